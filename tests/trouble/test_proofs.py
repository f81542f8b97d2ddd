"""Rows whose optimizations have no effect: invalid with the reason, in every form that a run is told in."""

from __future__ import annotations

import json
import re
from textwrap import indent

import pytest
from small import save_small_models

CONFTEST = """
from contextlib import contextmanager

from pytest_sdspeed import Finding, Optimization, Recipe
from pytest_sdspeed.setups.setup import Setup

RECIPE = Recipe(model={model!r}, prompt="a red ball", height=16, width=16, steps=2, scheduler="ddim")
SECONDS = {{"plain": 1.5, "baseline": 1.5, "quick": 1.0, "idle": 1.5, "blind": 1.0, "stalled": 1.5, "after": 1.0}}
DRAW = Setup.draw


def draw(self, case, *more):
    builtins.sd_fake_time.spend(SECONDS[self.name] * NOISE.gauss(1, 0.003))
    return DRAW(self, case, *more)


Setup.draw = draw


def pytest_unconfigure():
    Setup.draw = DRAW


@contextmanager
def prove(pipeline, *, threshold):
    steps = []
    hook = pipeline.unet.register_forward_hook(lambda *_: steps.append(1))
    try:
        yield lambda: Finding(threshold > 0, f"skipped {{1 if threshold else 'none'}} of {{len(steps)}} steps")
    finally:
        hook.remove()


@contextmanager
def cannot(pipeline):
    yield lambda: pipeline.no_such_part


def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="cache", summary="made up", options={{"threshold": 0.5}}, prove=prove))
    registry.add_optimization(Optimization(name="blind", summary="made up", prove=cannot))
    registry.add_setup("plain", [], recipe=RECIPE)
    registry.add_setup("quick", ["cache"], recipe=RECIPE)
    registry.add_setup("idle", ["cache(threshold=0.0)"], recipe=RECIPE)
    registry.add_setup("blind", ["blind"], recipe=RECIPE)
    registry.add_setup("after", ["sdpa"], recipe=RECIPE)
"""

TESTS = """
@pytest.mark.sd_latency(speedup=1.5, image={"psnr": 20})
def test_quick(sd_latency, sd_quick, sd_plain):
    result = sd_latency(sd_quick, baseline=sd_plain)
    assert [str(one) for one in result.proofs] == ["cache acted: skipped 1 of 2 steps"]

@pytest.mark.sd_latency(speedup=1.0)
def test_idle(sd_latency, sd_idle, sd_plain):
    sd_latency(sd_idle, baseline=sd_plain)

@pytest.mark.sd_latency(speedup=1.0)
def test_blind(sd_latency, sd_blind, sd_plain):
    sd_latency(sd_blind, baseline=sd_plain)

@pytest.mark.sd_latency(speedup=1.0)
def test_over_a_baseline_without_effect(sd_latency, sd_quick, sd_idle):
    sd_latency(sd_quick, baseline=sd_idle)

@pytest.mark.sd_latency(speedup=1.0)
def test_callable(sd_latency, sd_idle):
    sd_latency(engine(1.0), baseline=sd_idle)
"""


@pytest.fixture(scope="module")
def conftest(tmp_path_factory):
    return indent(CONFTEST.format(**save_small_models(tmp_path_factory.mktemp("small"))), 12 * " ")


NO_EFFECT = "cache(threshold=0.0) had no effect: skipped none of 2 steps"


@pytest.fixture
def ran(gated, conftest):
    return lambda *arguments, source=TESTS: gated(source, *arguments, conftest=conftest)


@pytest.mark.filterwarnings("ignore")
def test_a_row_without_effect_is_invalid_with_the_reason_and_an_effect_is_shown(ran, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "steps.md")
    result = ran(
        "--sd-report=page.html",
        "--sd-record=mine.toml",
        "--benchmark-json=out.json",
        "--sd-confirm",
        "--sd-history=warn",
        "--sd-max-blocks=3",
    )
    result.assert_outcomes(passed=1, failed=4)
    out = result.stdout.str()
    for said in (
        f"Reason: {NO_EFFECT}. Nothing of it was timed",
        "Reason: whether blind acted cannot be told: its proof raised AttributeError: ",
        f"Reason: its baseline idle: {NO_EFFECT}. Nothing of it was timed",
        "seen to act: quick: cache (skipped 1 of 2 steps)",
    ):
        assert said in out, said
    assert "find what disturbed the machine" not in out
    assert out.count("explanations/verdicts/#no-effect") == 4
    assert "no-effect" in out
    # Of the rows without effect there is no latency to store.
    benches = {
        bench["name"]: bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    }
    assert benches.keys() == {"test_quick"}
    assert benches["test_quick"]["proofs"] == [{"optimization": "cache", "acted": True, "text": "skipped 1 of 2 steps"}]
    for page in ("page.html", "steps.md"):
        text = (pytester.path / page).read_text()
        assert "cache(threshold=0.0) had no effect: skipped none of 2 steps" in text.replace("\\", "")
    assert "seen to act: cache (skipped 1 of 2 steps)" in (pytester.path / "page.html").read_text()


TABLE = """
schema = 2
name = "{name}"
title = "Made up"
source = "https://example.org/{name}"
device = "cpu"

[recipe]
model = {model!r}
prompt = "a red ball"
height = 16
width = 16
steps = 2
scheduler = "ddim"
"""
ROW = """
[[rows]]
setup = "{setup}"
optimizations = [{stack}]
speedup = {speedup}
image = {{ psnr = 20 }}
"""
CACHE, IDLE = '{name = "cache", threshold = 0.5}', '{name = "cache", threshold = 0.0}'
OF_TABLES = """
@pytest.mark.sd_latency(table="alpha")
def test_alpha(sd_latency, sd_setup):
    sd_latency(sd_setup)

@pytest.mark.sd_latency(table="beta")
def test_beta(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_in_tables_such_rows_are_not_recorded_and_such_a_baseline_takes_all_of_its_rows(ran, pytester, conftest):
    model = re.search(r"model='([^']+)'", conftest)[1]
    rows = {
        "alpha": [("baseline", "", 1), ("quick", CACHE, 1.5), ("idle", IDLE, 1.0)],
        "beta": [("baseline", IDLE, 1), ("quick", CACHE, 1.5)],
    }
    for name, of_table in rows.items():
        text = TABLE.format(name=name, model=model) + "".join(ROW.format(setup=row, stack=stack, speedup=at) for row, stack, at in of_table)
        (pytester.path / f"{name}.toml").write_text(text)
    files = ("--sd-tables=alpha.toml", "--sd-tables=beta.toml", "--sd-record=mine.toml")
    result = ran(*files, "--sd-max-blocks=3", "--sd-tolerance=0.2", source=OF_TABLES)
    result.assert_outcomes(passed=2, failed=3)
    out = result.stdout.str()
    assert f"baseline on AMD EPYC: ?, 0 blocks. Reason: {NO_EFFECT}." in re.sub(r" on [^:]+: \?", " on AMD EPYC: ?", out)
    assert f"Reason: its baseline baseline: {NO_EFFECT}." in out
    for row in ("idle", "quick over it"):
        assert f"sd record: {'alpha: idle' if row == 'idle' else 'beta: quick'} left out: its verdict is invalid: " in out
    # Rows of one campaign stand in one table, whether they were timed or not.
    assert len(re.findall("^sd speed-ups: alpha", out, re.MULTILINE)) == 1


DECIDED_BEFORE = """
@pytest.mark.sd_latency(speedup=1.2, tolerance=0.1)
def test_after(sd_latency, sd_after, sd_plain):
    result = sd_latency(sd_after, baseline=sd_plain)
    assert result.proofs == () or all(one.finding.acted for one in result.proofs)
"""


@pytest.mark.filterwarnings("ignore")
def test_what_has_nothing_to_prove_is_measured_as_before(ran):
    ran(source=DECIDED_BEFORE).assert_outcomes(passed=1)
