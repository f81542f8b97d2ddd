"""Saved pipelines of every kind, each gated by a table alone: a row for every kind of optimization, and rows that are wrong on purpose."""

from __future__ import annotations

import json
import os
import random
from textwrap import indent

import numpy as np
import pytest
from rehearsed import STAYS
from tiny_pipelines import TABLE, mark_kinds, save_pipeline, toml_recipe

from pytest_sdspeed.model import Machine
from pytest_sdspeed.setups.setup import Setup

assert STAYS

TILES = "tile_sample_min_height = 16, tile_sample_min_width = 16"
STRIDES = f"{TILES}, tile_sample_stride_height = 8, tile_sample_stride_width = 8"
ROWS = {
    "half": ('"bf16"', 40, "bf16 (* has * of its weights in bfloat16 and returns bfloat16)"),
    "fused": ('"fuse_qkv"', 90, "fuse_qkv (* of * fused projections of * were called)"),
    "tiled": (f'{{name = "vae_tiling", {TILES}}}', 20, "vae_tiling(*) (vae computed 9 tiles)"),
    "offloaded": ('"group_offload"', 90, "group_offload (* groups of layers were loaded * times (on a CPU no weight moves))"),
}
"""Row -> its stack as TOML, the bound on its pictures (PSNR in dB), and what is said to be seen of it."""
SKIPPED = "(skipped something in {} calls of the denoiser (*))"
FIRST_BLOCK = ('{name = "first_block_cache", threshold = 0.9}', 45)
PIPELINES = {
    "sdxl": {"cached": ('"deepcache"', 45, "deepcache " + SKIPPED.format("1 of 2"))},
    "sd3": {},
    "flux": {"cached": (*FIRST_BLOCK, "first_block_cache(threshold=0.9) " + SKIPPED.format("1 of 2"))},
    "wan": {
        "cached": (
            '{name = "taylorseer", use_lite_mode = true, cache_interval = 2, disable_cache_before_step = 1}',
            42,
            "taylorseer(*) " + SKIPPED.format("2 of 4"),
        ),
        "tiled": (f'{{name = "vae_tiling", {STRIDES}}}', 30, "vae_tiling(*) (vae computed 48 tiles)"),
    },
    "ltx": {
        "cached": (
            '{name = "pyramid_attention_broadcast", spatial_attention_timestep_skip_range = [-1, 1001]}',
            45,
            "pyramid_attention_broadcast(*) " + SKIPPED.format("1 of 2"),
        ),
        "tiled": (f'{{name = "vae_tiling", {STRIDES}}}', 18, "vae_tiling(*) (vae computed 16 tiles)"),
    },
    "img2img": {"cached": ('"feature_cache_2"', 45, "feature_cache_2 (computed 2 of 3 calls of the UNet in full)")},
    "inpaint": {"cached": ('{name = "deepcache", interval = 2}', 30, "deepcache(interval=2) " + SKIPPED.format("2 of 3"))},
}
"""Pipeline -> the rows that it has beside, or in another form than, those of all."""
OVERSIZED = ('"vae_tiling"', "vae_tiling had no effect: vae was given * at once: no side is longer than a tile.*")
UNCUT = "had no effect: none of {} calls of the denoiser was cut: {}*"
IDLE = {
    "sdxl": {"oversized": OVERSIZED},
    "sd3": {"oversized": OVERSIZED},
    "flux": {
        "idle": ('{name = "first_block_cache", threshold = 0.0}', "first_block_cache(threshold=0.0) " + UNCUT.format(2, "raise threshold"))
    },
    "wan": {
        "idle": (
            '{name = "taylorseer", use_lite_mode = true}',
            "taylorseer(use_lite_mode=true) " + UNCUT.format(4, "raise cache_interval, lower disable_cache_before_step"),
        ),
        "oversized": OVERSIZED,
    },
    "ltx": {"fused": ('"fuse_qkv"', "fuse_qkv had no effect: 0 of 4 fused projections of transformer were called*")},
    "img2img": {"idle": ('{name = "deepcache", interval = 1}', "deepcache(interval=1) " + UNCUT.format(3, "an interval of 2 or more*"))},
    "inpaint": {"oversized": OVERSIZED},
}
"""Pipeline -> rows without an effect: the stack, and what is said of it."""
REFUSED = {
    "sd3": {
        "cached": (
            FIRST_BLOCK[0],
            "first_block_cache cannot be applied to transformer, of SD3Transformer2DModel, which has no enable_cache: diffusers * has no caches*",
        )
    },
}
"""Pipeline -> rows that it cannot have: the stack, and the reason."""
BETWEEN = {**dict.fromkeys(PIPELINES, 20), "wan": 30}
"""Pipeline -> PSNR (dB) between what its rows have and what another seed draws."""
QUICK = ("ltx", "img2img")
"""A video by a transformer and a picture by a UNet for every run; the others take as long, each."""
KINDS = mark_kinds(QUICK, tuple(PIPELINES))

ROW = """\
[[rows]]
setup = "{row}"
optimizations = [{stack}]
latency_s = 1.0
speedup = 1.5
image = {{psnr = {psnr}}}
"""
OTHER_SEED = """
import functools
import torch
from pytest_sdspeed import Optimization

def apply(pipeline, _recipe):
    kind = type(pipeline)

    @functools.wraps(kind.__call__)
    def call(self, *args, **kwargs):
        kwargs["generator"] = torch.Generator().manual_seed(99)
        return kind.__call__(self, *args, **kwargs)

    pipeline.__class__ = type(kind.__name__, (kind,), {"__call__": call})

def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="another_seed", summary="made up", apply=apply))
"""


@pytest.fixture
def drawn(fake_time, monkeypatch):
    """Have setups take a documented time on the fake clock, and note what they draw: setup, case and pictures, in order."""
    machine = Machine(kind="cpu", device="test CPU", versions={}, features=frozenset({"avx512_bf16", "amx_bf16"}))
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_cpu", lambda: machine)
    noise, draw, seen = random.Random(1), Setup.draw, []

    def timed(self, case, *more):
        fake_time.spend((1.5 if self.name == "baseline" else 1.0) * noise.gauss(1, 0.003))
        pictures = draw(self, case, *more)
        seen.append((self.name, case, np.array(pictures)))
        return pictures

    monkeypatch.setattr(Setup, "draw", timed)
    return seen


@pytest.fixture
def gate(gated, drawn, pytester, tmp_path):
    """Return what gates a saved pipeline by a table of these rows; it gives the run's result and row -> its stored record."""

    def run(name, rows):
        text = TABLE.format(recipe=toml_recipe(name, save_pipeline(name, tmp_path)))
        text += "".join(ROW.format(row=row, stack=stack, psnr=psnr) for row, (stack, psnr) in rows.items())
        (pytester.path / "tiny.toml").write_text(text)
        arguments = ("tiny.toml", "--sd-max-blocks=3", "--sd-inconclusive=warn", "--benchmark-json=out.json")
        result = gated("", *arguments, conftest=indent(OTHER_SEED, 12 * " "))
        benches = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        records = [bench["extra_info"]["sdspeed"] for bench in benches]
        return result, {record["setup"]: record for record in records}

    return run


def check_baseline(drawn):
    """Check that the baseline draws the same before, between and after all rows, bit by bit, and that no row was after it."""
    names = [name for name, _case, _pictures in drawn]
    last = len(names) - 1 - names[::-1].index("baseline")
    assert set(names[:last]) >= set(names)
    first = {}
    for name, case, pictures in drawn:
        if name == "baseline":
            assert np.array_equal(first.setdefault(case, pictures), pictures)
    assert last > len(first)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_optimization_is_gated_by_a_table_alone(name, gate, drawn):
    """What acts passes with its proof told, what does not is invalid, what cannot be had says why, and another seed's picture fails."""
    good, idle, refused = {**ROWS, **PIPELINES[name]}, IDLE[name], REFUSED.get(name, {})
    good = {row: facts for row, facts in good.items() if row not in idle}
    rows = {row: (stack, psnr) for row, (stack, psnr, _seen) in good.items()}
    rows |= {row: (stack, 20) for row, (stack, _said) in {**idle, **refused}.items()}
    rows |= {"elsewhere": ('"model_offload"', 20), "otherwise": ('"another_seed"', BETWEEN[name])}
    result, records = gate(name, rows)
    out = result.stdout.str()
    assert records.keys() == {"baseline", "otherwise", *good}, out
    found = {row: (record["verdict"], record["image_verdict"]) for row, record in records.items()}
    assert found == {"baseline": found["baseline"], "otherwise": ("fail", "fail")} | dict.fromkeys(good, ("pass", "pass")), out
    result.assert_outcomes(passed=1 + len(good), failed=1 + len(idle) + len(refused), skipped=1)
    for row, (_stack, _psnr, seen) in good.items():
        assert [proof["acted"] for proof in records[row]["proofs"]] == [True]
        result.stdout.fnmatch_lines([f"seen to act: {row}: {escape(seen)}"])
    for row, (_stack, said) in idle.items():
        result.stdout.fnmatch_lines([f"invalid: {row} on test CPU: *Reason: {escape(said)}. Nothing of it was timed*"])
    for row, (_stack, said) in refused.items():
        result.stdout.fnmatch_lines([f"_* {row} _*", escape(said)])
    result.stdout.fnmatch_lines(
        ["SKIPPED*model_offload needs a GPU, or another device with memory of its own: *group_offload runs on a CPU, too"]
    )
    check_baseline(drawn)


def escape(pattern):
    """Take brackets as they stand."""
    return pattern.replace("[", "[[]")


MINUTES = pytest.mark.skipif("SDSPEED_TEST_COMPILE" not in os.environ, reason="compiling takes minutes: set SDSPEED_TEST_COMPILE=1")
COMPILED = ('"compile_repeated_blocks"', 60)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["ltx", *(pytest.param(name, marks=MINUTES) for name in PIPELINES if name not in ("ltx", "sd3"))])
def test_repeated_blocks_are_compiled(name, gate, drawn):
    result, records = gate(name, {"compiled": COMPILED, "otherwise": ('"another_seed"', BETWEEN[name])})
    verdicts = {row: (record["verdict"], record["image_verdict"]) for row, record in records.items()}
    assert verdicts["compiled"] == ("pass", "pass"), result.stdout.str()
    assert verdicts["otherwise"] == ("fail", "fail"), result.stdout.str()
    assert [proof["acted"] for proof in records["compiled"]["proofs"]] == [True]
    result.stdout.fnmatch_lines(["seen to act: compiled: compile_repeated_blocks (a call of * ran compiled code * times)"])
    check_baseline(drawn)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_names_no_repeated_blocks_says_so(gate):
    result, records = gate("sd3", {"compiled": COMPILED})
    assert records.keys() == {"baseline"}
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*compile_repeated_blocks: SD3Transformer2DModel (transformer) names no repeated blocks in this version*"])
