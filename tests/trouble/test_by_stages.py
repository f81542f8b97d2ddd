"""Whole runs by stages on a clock that the parts of small real pipelines move: what is planted is found, and named by its stage."""

from __future__ import annotations

import json
from textwrap import indent

import pytest
from small import save_small_models

pytestmark = pytest.mark.slow

CONFTEST = """
from types import SimpleNamespace

from pytest_sdspeed import Optimization
from pytest_sdspeed.pipelines import staged_calls


@pytest.fixture(autouse=True)
def planted_times(monkeypatch):
    clock = SimpleNamespace(perf_counter=lambda: builtins.sd_fake_time.seconds)
    monkeypatch.setattr(staged_calls, "time", clock)


def spend(seconds):
    builtins.sd_fake_time.spend(seconds * NOISE.gauss(1, 0.0002))


class Taking:
    # Two texts of 0.05 s, twelve steps of 0.05 s in five blocks and the scheduler, decoding 0.6 s: 1.3 s a call.
    def __init__(self, text=0.05, block=0.0, sync=0.0, decode=0.6, later=None, stall=None):
        self.text, self.block, self.sync, self.decode = text, block, sync, decode
        self.later, self.stall, self.calls, self.steps = later, stall, 0, 0

    def __call__(self, pipeline, recipe):
        decode, step = pipeline.vae.decode, pipeline.scheduler.step

        def slow_decode(*args, **kwargs):
            spend(self.decode)
            return decode(*args, **kwargs)

        def slow_step(*args, **kwargs):
            self.steps += 1
            spend(0.01 + self.sync)
            if self.later and self.steps > 5:
                spend(self.later)
            if self.stall and self.calls > self.stall[0] and self.steps % 10 == 0:
                spend(self.stall[1])
            return step(*args, **kwargs)

        def begin(*_):
            self.calls, self.steps = self.calls + 1, 0
            spend(self.text)

        pipeline.vae.decode, pipeline.scheduler.step = slow_decode, slow_step
        pipeline.text_encoder.register_forward_hook(begin)
        unet = pipeline.unet
        for number, block in enumerate((*unet.down_blocks, unet.mid_block, *unet.up_blocks)):
            block.register_forward_hook(lambda *_, seconds=0.008 + self.block * (number == 3): spend(seconds))


PARTS = frozenset({"text_encoder", "unet", "vae"})


def pytest_sdspeed_register(registry):
    for name, taking in {
        "plain": Taking(),
        "slow_block": Taking(block=0.003),
        "slow_decode": Taking(decode=0.636),
        "slow_text": Taking(text=0.08),
        "slow_sync": Taking(sync=0.003),
        "slow_later": Taking(later=0.01),
        "every_tenth": Taking(stall=(0, 0.06)),
        "some_time_after": Taking(stall=(8, 0.06)),
        "faster": Taking(block=-0.005, sync=-0.005, decode=0.3),
    }.items():
        registry.add_optimization(Optimization(name=name, summary="", changes=PARTS, apply=taking))
"""
TABLE = """
schema = 2
name = "staged"
title = "Staged"
source = "https://example.org"
device = "cpu"
[recipe]
model = "{model}"
prompt = "a golden vase"
height = 16
width = 16
steps = 12
scheduler = "{scheduler}"

[[rows]]
setup = "baseline"
optimizations = ["plain"]

[[rows]]
setup = "row"
optimizations = ["{row}"]
speedup = {speedup}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))["model"]


@pytest.fixture
def run(gated, pytester, model):
    """Runs a row that is documented to be as fast as its baseline: its outcome, and its record."""

    def go(row, *arguments, speedup=1.0, scheduler="ddim"):
        facts = {"model": model, "row": row, "speedup": speedup, "scheduler": scheduler}
        (pytester.path / "staged.sdspeed.toml").write_text(TABLE.format(**facts))
        options = ("--benchmark-json=out.json", "--sd-max-blocks=3", "--sd-tolerance=0.014", "--sd-unit=stage")
        outcome = gated("", "staged.sdspeed.toml::row", *options, *arguments, conftest=indent(CONFTEST, " " * 12))
        stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        return outcome, stored[0]["extra_info"]["sdspeed"]

    return go


def test_what_nothing_is_planted_in_passes(run):
    outcome, found = run("plain")
    outcome.assert_outcomes(passed=1)
    assert (found["by_stage"]["steps"], found["by_stage"]["sampled_steps"]) == (12, 5)
    assert found["samples_s"]["row"][0][0] == pytest.approx(1.3, rel=0.01)
    assert "no stage owns" not in outcome.stdout.str()


@pytest.mark.parametrize(
    ("row", "stage"),
    [("slow_block", "denoising"), ("slow_decode", "decoding"), ("slow_text", "text_encoder"), ("slow_sync", "denoising")],
)
def test_what_is_six_percent_slower_in_one_place_fails_and_is_named_by_its_stage(run, row, stage):
    outcome, found = run(row)
    outcome.assert_outcomes(failed=1)
    assert f"by stages: {stage} " in outcome.stdout.str()
    assert found["verdict"] == "fail"
    slower = {name: high < 1 for name, (_, _, high) in read_ratios(found).items()}
    assert slower == {name: name == stage for name in slower}


def read_ratios(found):
    """Stage -> ratio, low, high as they are stored."""
    return {
        name: list(interval.values()) if isinstance(interval, dict) else interval for name, interval in found["by_stage"]["ratios"].items()
    }


def test_later_steps_that_are_dearer_are_measured_and_named(run):
    outcome, found = run("slow_later")
    outcome.assert_outcomes(failed=1)
    assert "by stages: denoising " in outcome.stdout.str()
    assert found["by_stage"]["sampled_steps"] == 12
    assert "row: by its first 4 steps and its last one all would take" in found["by_stage"]["why_all"]


def test_a_stall_in_every_tenth_step_is_found(run):
    """The whole call in the warm-up shows it, so that all steps are measured."""
    outcome, found = run("every_tenth")
    outcome.assert_outcomes(failed=1)
    assert found["verdict"] == "fail"
    assert "by stages: denoising " in outcome.stdout.str()
    assert found["by_stage"]["sampled_steps"] == 12


def test_a_stall_that_only_whole_calls_have_is_time_that_no_stage_owns(run):
    """It sets in after the warm-up, behind the steps that are measured."""
    outcome, found = run("some_time_after")
    outcome.assert_outcomes(failed=1)
    assert found["verdict"] == "invalid"
    assert "time that no stage owns: whole calls of row take +4." in outcome.stdout.str()
    assert found["by_stage"]["unowned"] == pytest.approx([0.06 / 1.3, 0], abs=0.005)


@pytest.mark.parametrize("scheduler", ["ddim", "HeunDiscreteScheduler"])
def test_a_row_that_is_faster_passes_by_stages_as_by_calls(run, scheduler):
    found = {unit: run("faster", f"--sd-unit={unit}", speedup=1.0, scheduler=scheduler)[1] for unit in ("call", "stage")}
    assert found["stage"]["speedup"] == pytest.approx(found["call"]["speedup"], rel=0.005)
    assert found["stage"]["speedup"] > 1.2
    assert found["stage"]["verdict"] == found["call"]["verdict"] == "pass"


def test_callables_are_measured_whole_and_told_so(gated):
    outcome = gated(
        "@pytest.mark.sd_latency(speedup=2.0)\ndef test_engine(sd_latency):\n    sd_latency(engine(1.0), baseline=engine(2.0))",
        "--sd-unit=stage",
        "--sd-max-blocks=4",
    )
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines(["*measured by whole calls, not by stages: *is no pipeline whose stages are known*"])
