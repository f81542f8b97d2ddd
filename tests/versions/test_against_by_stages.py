"""``--sd-against`` by stages: real pipelines in two real processes, on a clock that only the planted costs of their parts move."""

import json
import re
from types import SimpleNamespace

import pytest
from against import compare, stored, workers
from small import save_small_models

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Not saving anything")]

STEPS, SAMPLED = 12, 5
COSTS = {"text": 0.02, "unet": 0.03, "block": 0.01, "decoder": 0.05}
"""Seconds of a call of each part; ``block`` is one inside of the denoiser's."""
STEP_S = COSTS["unet"] + COSTS["block"]
WHOLE_S = 2 * COSTS["text"] + STEPS * STEP_S + COSTS["decoder"]
"""Seconds of a whole call: of a prompt and the one that guidance leads away from."""
ENGINE = """
import json
import os
import random
from collections import Counter
from pathlib import Path

from fake_clock import CLOCK

COSTS, SLOWER, DIES = {costs}, {slower}, {dies}
NOISE, CALLS = random.Random(2), []
NOW, SPENT = [""], Counter()

def spend(part):
    if not NOW[0]:
        return
    SPENT[NOW[0]] += COSTS[part]
    if part == "decoder":
        Path(__file__).with_name("spent.json").write_text(json.dumps(SPENT))
    CLOCK.spend(COSTS[part] * SLOWER.get(NOW[0], {{}}).get(part, 1) * NOISE.gauss(1, 0.003))
    if NOW[0] == "dying" and part == "unet":
        CALLS.append(part)
        if len(CALLS) == DIES:
            os.kill(os.getpid(), 9)
"""
"""A module of each version: what its parts cost, by the setup that draws."""
SLOWER = {
    # In hand: setup -> part -> how many times as long.
    "in_denoiser": {"block": 1.5},
    "in_decoder": {"decoder": 1.06},
    "faster": {"unet": 0.9, "decoder": 1.06},
}
SETUPS = ("equal", *SLOWER, "moded", "cached", "dying")
CONFTEST = """
import functools
import sys
from contextlib import contextmanager, nullcontext

import engine
from pytest_sdspeed import Optimization
from pytest_sdspeed.device.quiet import quiet

def mark(name):
    @contextmanager
    def slot():
        engine.NOW[0] = name
        try:
            yield
        finally:
            engine.NOW[0] = ""
    return Optimization(name=f"mark_{{name}}", summary="", slot=slot)

def pytest_sdspeed_register(registry):
    for name in {setups}:
        registry.add_optimization(mark(name))
    if "pytest_sdspeed_finder" in sys.modules:
        with quiet():
            plant()

def plant():
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.models.unets.unet_2d_blocks import UpBlock2D
    from torch.overrides import TorchFunctionMode
    from transformers import CLIPTextModel

    from pytest_sdspeed.pipelines import staged_calls

    staged_calls.time = engine.CLOCK
    for owner, name, part in (
        (CLIPTextModel, "forward", "text"),
        (UNet2DConditionModel, "forward", "unet"),
        (UpBlock2D, "forward", "block"),
        (AutoencoderKL, "decode", "decoder"),
    ):
        setattr(owner, name, spending(getattr(owner, name), part))
    call = StableDiffusionPipeline.__call__

    class Nothing(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {{}}))

    @functools.wraps(call)
    def called(self, *args, **kwargs):
        with Nothing() if engine.NOW[0] == "moded" and engine.SLOWER else nullcontext():
            return call(self, *args, **kwargs)

    StableDiffusionPipeline.__call__ = called

def spending(method, part):
    @functools.wraps(method)
    def spent(*args, **kwargs):
        engine.spend(part)
        return method(*args, **kwargs)
    return spent
"""
"""A setup's mark says what draws; parts then spend what the version's engine says, and in hand ``moded`` draws inside of a mode of torch."""
TABLE = """
schema = 2
name = "planted"
title = "A Stable Diffusion of a few thousand weights"
source = "a test"
device = "cpu"

[recipe]
model = "{model}"
prompt = "a horse"
height = 32
width = 32
steps = {steps}
scheduler = "ddim"

[[rows]]
setup = "equal"
baseline = "equal"
optimizations = ["mark_equal"]
speedup = 1
"""
ROW = """
[[rows]]
setup = "{name}"
baseline = "equal"
optimizations = ["mark_{name}"{more}]
speedup = 1.1
"""
TEST = """
import pytest

@pytest.mark.sd_latency(table="planted")
def test_it(sd_latency, sd_setup):
    sd_latency(sd_setup)

def test_callable(sd_latency):
    sd_latency("engine:work")
"""
WORK = """
def work():
    CLOCK.spend(0.05 * NOISE.gauss(1, 0.003))
"""


def engine(folder, slower, dies=-1):
    folder.mkdir(exist_ok=True)
    (folder / "engine.py").write_text(ENGINE.format(costs=COSTS, slower=slower, dies=dies) + WORK)


@pytest.fixture
def staged(pytester, once):
    """What came of one run over all setups: what it printed and stored, and the processes it left."""

    def run():
        rows = "".join(ROW.format(name=name, more=', "feature_cache_2"' * (name == "cached")) for name in SETUPS[1:])
        model = save_small_models(pytester.path / "models")["model"]
        (pytester.path / "planted.toml").write_text(TABLE.format(model=model, steps=STEPS) + rows)
        # After the warm-up, a round without samples and two blocks, in the middle of a call of the third.
        engine(pytester.path, SLOWER, dies=2 * STEPS + SAMPLED + 4 * SAMPLED + 4)
        engine(pytester.path / "old", {})
        options = ("--sd-unit=stage", "--sd-tables=planted.toml", "--sd-max-blocks=20", "--sd-tolerance=0.03", "-rA")
        result = compare(pytester, *options, test=TEST, conftest=CONFTEST.format(setups=SETUPS))
        spent_s = [json.loads((folder / "spent.json").read_text()) for folder in (pytester.path, pytester.path / "old")]
        return SimpleNamespace(result=result, records=stored(pytester), left=workers(), spent_s=spent_s)

    return once("staged", run)


def record_of(staged, name):
    return staged.records[f"test_it[{name}]"]


def test_equal_versions_pass_by_their_calls_and_in_each_stage(staged):
    record = record_of(staged, "equal")
    assert record["verdict"] == "pass", staged.result.outlines
    by_stage = record["by_stage"]
    assert by_stage["verdicts"] == {"text_encoder": "pass", "denoising": "pass", "decoding": "pass"}
    assert (by_stage["steps"], by_stage["sampled_steps"]) == (STEPS, SAMPLED)
    assert record["against"]["turns"] == 1
    for stage, change in record["against"]["stages"].items():
        assert abs(change - 1) < 0.01, stage
    assert staged.left == []


def test_calls_are_put_together_of_what_their_parts_cost(staged):
    record = record_of(staged, "equal")
    assert record["by_stage"]["latencies_s"]["denoising"] == pytest.approx([STEPS * STEP_S] * 2, rel=0.01)
    for pairs in record["samples_s"].values():
        assert [slot for pair in pairs for slot in pair] == pytest.approx([WHOLE_S] * 2 * len(pairs), rel=0.02)
    assert record["by_stage"]["whole_s"] == pytest.approx([WHOLE_S] * 2, rel=0.01)


def test_a_verdict_takes_few_calls_of_each_version(staged):
    """Beside two for warming up, and two whole ones at the end, what the blocks take: the baseline's are twice as many.

    A stage may take a block more than its call.
    """
    most = 1 + max(len(pairs) for pairs in record_of(staged, "equal")["samples_s"].values())
    new, old = (spent["equal"] / WHOLE_S - 4 for spent in staged.spent_s)
    assert most <= 8
    assert 0.5 < new < 0.6 * (1 + 2 * most)
    assert 1 < old < 0.6 * (2 + 4 * most)


def test_a_slower_block_of_the_denoiser_fails_and_names_denoising(staged):
    record = record_of(staged, "in_denoiser")
    assert record["verdict"] == "fail"
    assert record["high"] < record["floor"]
    assert record["against"]["stages"]["denoising"] == pytest.approx(1.125, abs=0.01)
    # The call may fail a look before its stage does: the stage that lost the time is named then.
    assert any(
        re.search(r"denoising x0\.8[89]\d? .* is (below its floor|(9\d|100)% of what was lost)", reason) for reason in record["reasons"]
    )
    assert not any("decoding" in reason for reason in record["reasons"])
    assert not any("judged without it" in note for note in record["notes"])


def test_a_slower_decoder_alone_fails_though_the_call_passes(staged):
    record = record_of(staged, "in_decoder")
    assert record["verdict"] == "fail"
    assert record["low"] > record["floor"]
    assert record["by_stage"]["verdicts"] == {"text_encoder": "pass", "denoising": "pass", "decoding": "fail"}
    (reason,) = record["reasons"]
    assert re.fullmatch(r"decoding x0\.94\d \[0\.9\d\d, 0\.9\d\d\] is below its floor x0\.970", reason)
    staged.result.stdout.fnmatch_lines([f"in_decoder: *decoding +6.*Reason: {reason.replace('[', '[[]')}.*"])


def test_a_stage_is_not_forgiven_for_another_that_is_faster(staged):
    record = record_of(staged, "faster")
    assert record["speedup"] > 1.05
    assert record["verdict"] == "fail"
    assert any(reason.startswith("decoding") for reason in record["reasons"])


def test_pictures_are_those_of_whole_calls(staged):
    for name in ("equal", "in_denoiser", "in_decoder", "cached"):
        assert record_of(staged, name)["against"]["identical"] is True
    assert any(line.startswith("equal ") and "identical" in line for line in staged.result.outlines)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("moded", r"setup 'moded': .*cannot be left between two steps: torch function modes"),
        ("cached", "two calls of cached of old cannot take turns: its unet keeps"),
    ],
)
def test_what_cannot_be_staged_is_measured_by_calls_and_says_why(staged, name, why):
    record = record_of(staged, name)
    assert record["by_stage"] is None
    (note,) = [note for note in record["notes"] if "not by stages" in note]
    assert re.search(why, note)
    assert record["verdict"] == "pass"
    assert record["blocks"] >= 3


def test_callables_are_measured_by_calls(staged):
    record = staged.records["test_callable"]
    assert record["verdict"] == "pass"
    assert record["by_stage"] is None
    assert any("work is no pipeline whose stages are known" in note or "no pipeline" in note for note in record["notes"])


def test_a_worker_that_dies_in_the_middle_of_a_call_makes_its_row_invalid(staged):
    record = record_of(staged, "dying")
    assert record["verdict"] == "invalid"
    assert any("ended while it was measured" in reason for reason in record["reasons"])
    assert record["blocks"] == 2
