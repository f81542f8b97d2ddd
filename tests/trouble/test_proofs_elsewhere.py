"""Rows whose optimizations have no effect, measured by workers: of pytest-xdist, and of another version."""

from __future__ import annotations

import json

import pytest
from against import compare
from children import OWN_CLOCK, WORKERS
from failures import failures

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SETUPS = """
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np

from pytest_sdspeed import Finding, Optimization, Recipe
from pytest_sdspeed.device import memory
from pytest_sdspeed.model import Profile
from pytest_sdspeed.run.session import Session
from pytest_sdspeed.setups.setup import Setup

RECIPE = Recipe(model="miniature", prompt="a red ball", height=16, width=16, steps=1, scheduler="ddim")
memory.ResidentMemory.peak_bytes = lambda self: 4096


def draw(self, case, *more):
    CLOCK.spend(1.0)
    return np.random.default_rng(case.seed).random((1, 32, 32, 3), dtype=np.float32)


# Nothing is built: these runs ask what becomes of the proofs.
Setup.draw, Setup.slot, Setup.pipeline = draw, lambda self: nullcontext(), None
Setup.build = Setup.check = lambda self: None
Setup.weight_bytes, Setup.profile = lambda self: 0, lambda self, case: Profile()
Session.load_libraries = lambda self, *, pipelines: None


@contextmanager
def prove(pipeline, name):
    yield lambda: Finding(acted(name), "skipped a step" if acted(name) else "skipped no step")


def pytest_sdspeed_register(registry):
    registry.add_setup("plain", [], recipe=RECIPE)
    for name in ("cached", "idle_in_new", "idle_in_old"):
        registry.add_optimization(Optimization(name=f"{name}_cache", summary="made up", prove=partial(prove, name=name)))
        registry.add_setup(name, [f"{name}_cache"], recipe=RECIPE)
"""


def test_a_worker_of_xdist_sends_its_row_without_effect_and_its_reason(pytester):
    pytester.makeconftest(f"{OWN_CLOCK}\n{SETUPS}\ndef acted(name):\n    return False\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sd_latency(speedup=1.0)
        def test_it(sd_latency, sd_cached, sd_plain):
            sd_latency(sd_cached, baseline=sd_plain)
        """
    )
    result = pytester.runpytest_subprocess(
        *WORKERS, "-n1", "-p", "no:cacheprovider", "--sd-report=page.html", "--benchmark-json=out.json", "--sd-max-blocks=3"
    )
    result.assert_outcomes(failed=1)
    out = result.stdout.str()
    assert "Reason: cached_cache had no effect: skipped no step." in out
    assert "verdicts/#no-effect" in out
    assert "cached_cache had no effect: skipped no step" in (pytester.path / "page.html").read_text()
    file = pytester.path / "out.json"
    assert not file.exists() or not file.stat().st_size or json.loads(file.read_text())["benchmarks"] == []


IDLE = {"new": "idle_in_new", "old": "idle_in_old"}
CONFTEST = f"from fake_clock import CLOCK\n{SETUPS}\ndef acted(name):\n    import engine\n\n    return name != engine.IDLE\n"
TESTS = """
def test_cached(sd_latency, sd_cached):
    sd_latency(sd_cached)

def test_idle_in_new(sd_latency, sd_idle_in_new):
    sd_latency(sd_idle_in_new)

def test_idle_in_old(sd_latency, sd_idle_in_old):
    sd_latency(sd_idle_in_old)
"""


def test_each_version_shows_its_own_effect(pytester):
    for side, folder in (("new", pytester.path), ("old", pytester.path / "old")):
        folder.mkdir(exist_ok=True)
        (folder / "engine.py").write_text(f"IDLE = {IDLE[side]!r}\n")
    result = compare(pytester, "--sd-max-blocks=3", "-rA", "--sd-inconclusive=warn", conftest=CONFTEST, test=TESTS)
    result.assert_outcomes(passed=1, failed=2)
    said = failures(result)
    assert "Reason: idle_in_new_cache had no effect: skipped no step." in said["test_idle_in_new"]
    assert "Reason: its baseline idle_in_old of old: idle_in_old_cache had no effect: skipped no step." in said["test_idle_in_old"]
    assert all("verdicts/#no-effect" in words for words in said.values())
    assert "seen to act: cached: cached_cache (skipped a step)" in result.stdout.str()
