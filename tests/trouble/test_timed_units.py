"""A table says what is timed: the whole call, its denoising loop, one forward, or decoding. Small real pipelines, whose parts move a clock."""

from __future__ import annotations

import json
from textwrap import indent

import pytest
from small import save_small_models

pytestmark = pytest.mark.slow

CONFTEST = """
from pytest_sdspeed import Optimization
from pytest_sdspeed.pipelines import units


class Times:
    def now(self):
        return builtins.sd_fake_time.seconds

    def seconds(self, start, end):
        return end - start


@pytest.fixture(autouse=True)
def planted_times(monkeypatch):
    monkeypatch.setattr(units, "make_timestamps", lambda _kind: Times())


def spend(seconds):
    builtins.sd_fake_time.spend(seconds * NOISE.gauss(1, 0.001))


def taking(text, step, decoding):
    def apply(pipeline, recipe):
        decode = pipeline.vae.decode

        def slow_decode(*args, **kwargs):
            spend(decoding)
            decoded = decode(*args, **kwargs)
            return decoded if text else (decoded[0] * 0 - 1,)

        pipeline.vae.decode = slow_decode
        pipeline.text_encoder.register_forward_hook(lambda *_: spend(text))
        pipeline.unet.register_forward_hook(lambda *_: spend(step))

    return apply


PARTS = frozenset({"text_encoder", "unet", "vae"})


def pytest_sdspeed_register(registry):
    for name, seconds in {
        "plain": (1.0, 1.0, 1.0),
        "slow_decode": (1.0, 1.0, 1.06),
        "quick_steps": (1.0, 0.5, 1.0),
        "quick_text": (0.1, 1.0, 1.0),
        "black": (0, 1.0, 1.0),
    }.items():
        registry.add_optimization(Optimization(name=name, summary="", changes=PARTS, apply=taking(*seconds)))
"""
TABLE = """
schema = 2
name = "units"
title = "Units"
source = "https://example.org"
device = "cpu"
[recipe]
model = "{model}"
prompt = "a golden vase"
height = 16
width = 16
steps = 2
scheduler = "ddim"
guidance = 7.5
unit = "{unit}"

[[rows]]
setup = "baseline"
optimizations = ["plain"]
{iterations}

[[rows]]
setup = "row"
optimizations = ["{row}"]
{documented}
image = {image}
"""
PICTURES, ARRAY = "{ psnr = 40 }", "{ cosine = 0.999 }"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))["model"]


@pytest.fixture
def run(gated, pytester, model):
    """Runs a row under a unit: its outcome, and its record."""

    def go(unit, row, documented, *arguments, iterations="", image=None):
        facts = {"model": model, "unit": unit, "row": row, "iterations": iterations}
        facts |= {"documented": documented, "image": image or (ARRAY if unit == "denoiser" else PICTURES)}
        (pytester.path / "units.sdspeed.toml").write_text(TABLE.format(**facts))
        outcome = gated(
            "", "units.sdspeed.toml::row", "--benchmark-json=out.json", "--sd-max-blocks=3", *arguments, conftest=indent(CONFTEST, " " * 12)
        )
        written = pytester.path / "out.json"
        stored = json.loads(written.read_text())["benchmarks"] if written.exists() else []
        return outcome, stored[0]["extra_info"]["sdspeed"] if stored else None

    return go


@pytest.mark.parametrize(
    ("unit", "row", "speedup", "latency"),
    [
        ("denoising", "quick_steps", 2.0, 1.0),
        ("denoiser", "quick_steps", 2.0, 0.5),
        ("decode", "plain", 1.0, 1.0),
    ],
)
def test_a_row_passes_by_what_its_unit_takes(run, unit, row, speedup, latency):
    outcome, found = run(unit, row, f"speedup = {speedup}")
    outcome.assert_outcomes(passed=1)
    assert found["recipe"]["unit"] == unit
    assert found["samples_s"]["row"][0][0] == pytest.approx(latency, rel=0.01)
    assert found["image_verdict"] == "pass"


def test_decoding_that_is_six_percent_slower_fails_as_a_unit_and_is_lost_in_a_call(run):
    outcome, _ = run("decode", "slow_decode", "speedup = 1.0")
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*sd speed-ups: units*, latency of one decoding of latents alone, *"])
    outcome, found = run("call", "slow_decode", "speedup = 1.0")
    outcome.assert_outcomes(passed=1)
    assert found["samples_s"]["row"][0][0] == pytest.approx(5.06, rel=0.01)


def test_a_forward_that_is_documented_to_be_twice_as_fast_fails_if_the_text_encoder_alone_is(run):
    run("denoiser", "quick_text", "speedup = 2.0")[0].assert_outcomes(failed=1)


def test_pictures_that_are_wrong_fail_though_the_decoding_alone_is_timed(run):
    outcome, found = run("decode", "black", "speedup = 1.0")
    outcome.assert_outcomes(failed=1)
    assert found["image_verdict"] == "fail"


def test_documented_iterations_are_told_as_measured(run):
    outcome, found = run("denoising", "quick_steps", "iterations_per_s = 2.0", iterations="iterations_per_s = 1.0")
    outcome.assert_outcomes(passed=1)
    assert found["iterations_per_s"] == pytest.approx(2.0, rel=0.01)
    outcome.stdout.fnmatch_lines(["setup * iterations * verdict", "row * 2 it/s * pass"])


def test_iterations_of_whole_calls_are_those_of_the_profile(run, monkeypatch):
    from pytest_sdspeed.model import Profile
    from pytest_sdspeed.setups.setup import Setup

    monkeypatch.setattr(Setup, "profile", lambda self, case: Profile(stages_s={"denoising": 0.5}, steps=4))
    assert run("call", "plain", "speedup = 1.0")[1]["iterations_per_s"] == 8.0


@pytest.mark.filterwarnings("ignore:Not saving anything")
def test_a_unit_that_the_pipeline_has_not_got_fails_with_its_name(run, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.pipelines.units.find_parts", lambda *_: ())
    outcome, _ = run("decode", "plain", "speedup = 1.0")
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(
        ["*setup 'baseline': the recipe's unit 'decode' cannot be timed: its pipeline called no decode of an autoencoder*"]
    )
