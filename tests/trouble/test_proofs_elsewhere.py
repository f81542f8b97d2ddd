"""Rows whose optimizations have no effect, measured by workers: of pytest-xdist, and of another version."""

from __future__ import annotations

import json

import pytest
from against import compare
from children import OWN_CLOCK, WORKERS
from small import save_small_models

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SETUPS = """
from contextlib import contextmanager

from pytest_sdspeed import Finding, Optimization, Recipe
from pytest_sdspeed.setups.setup import Setup

RECIPE = Recipe(model={model!r}, prompt="a red ball", height=16, width=16, steps=1, scheduler="ddim")
DRAW = Setup.draw


def draw(self, case, *more):
    CLOCK.spend(1.0)
    return DRAW(self, case, *more)


Setup.draw = draw


@contextmanager
def prove(pipeline):
    yield lambda: Finding(acted(), "skipped a step" if acted() else "skipped no step")


def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="cache", summary="made up", prove=prove))
    registry.add_setup("plain", [], recipe=RECIPE)
    registry.add_setup("cached", ["cache"], recipe=RECIPE)
"""


@pytest.fixture
def setups(tmp_path):
    return SETUPS.format(**save_small_models(tmp_path / "models"))


def test_a_worker_of_xdist_sends_its_row_without_effect_and_its_reason(pytester, setups):
    pytester.makeconftest(f"{OWN_CLOCK}\n{setups}\ndef acted():\n    return False\n")
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
    assert "Reason: cache had no effect: skipped no step." in out
    assert "verdicts/#no-effect" in out
    assert "cache had no effect: skipped no step" in (pytester.path / "page.html").read_text()
    file = pytester.path / "out.json"
    assert not file.exists() or not file.stat().st_size or json.loads(file.read_text())["benchmarks"] == []


@pytest.mark.parametrize(("new", "old"), [(False, True), (True, False), (True, True)], ids=["new", "old", "neither"])
def test_each_version_shows_its_own_effect(pytester, setups, new, old):
    for folder, acts in ((pytester.path, new), (pytester.path / "old", old)):
        folder.mkdir(exist_ok=True)
        (folder / "engine.py").write_text(f"def acted():\n    return {acts}\n")
    result = compare(
        pytester,
        "--sd-max-blocks=3",
        "-rA",
        "--sd-inconclusive=warn",
        conftest=f"from fake_clock import CLOCK\n{setups}\ndef acted():\n    import engine\n\n    return engine.acted()\n",
        test="def test_it(sd_latency, sd_cached):\n    sd_latency(sd_cached)\n",
    )
    out = result.stdout.str()
    if new and old:
        result.assert_outcomes(passed=1)
        assert "seen to act: cached: cache (skipped a step)" in out
        return
    result.assert_outcomes(failed=1)
    assert ("Reason: " if not new else "Reason: its baseline cached of old: ") + "cache had no effect: skipped no step." in out
    assert "verdicts/#no-effect" in out
