"""What a rehearsal has drawn is not drawn again for a row that draws the same, and is judged again by its own table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Bench
from rehearsed import CONFTEST, HEAD, rehearse, verdicts, write_table

from pytest_sdspeed.errors import GenerationError
from pytest_sdspeed.measure.campaign import run_campaign
from pytest_sdspeed.measure.campaign_data import Arm, Limits
from pytest_sdspeed.model import CONTROL, Case
from pytest_sdspeed.run.rehearsed_arms import RehearsedArms

LIMITS = Limits(timed=False)


class Rehearsal:
    """Campaigns of a rehearsal on a clock that only the arms move; ``drawn`` has the names of the arms that generated."""

    def __init__(self):
        self.bench, self.arms, self.drawn = Bench(), RehearsedArms(), []

    def arm(self, name, identity, error=None):
        def generate(case):
            self.drawn.append(name)
            self.bench.clock.spend(1.0)
            if error:
                raise error
            return f"{identity} {case.seed}"

        return Arm(name=name, generate=generate, identity=identity)

    def run(self, baseline, *rows, limits=LIMITS):
        self.drawn.clear()
        return self.arms.complete(baseline, rows, limits.cases, lambda missing: run_campaign(baseline, missing, limits, self.bench.clock))


@pytest.fixture
def rehearsal():
    return Rehearsal()


def test_a_campaign_of_arms_that_were_drawn_draws_nothing_and_says_the_same_under_its_own_names(rehearsal):
    first = rehearsal.run(rehearsal.arm("base", "plain"), rehearsal.arm("row", "fast"))
    assert set(rehearsal.drawn) == {"base", "row"}
    again = rehearsal.run(rehearsal.arm("other_base", "plain"), rehearsal.arm("other_row", "fast"))
    assert rehearsal.drawn == []
    assert again.baseline == "other_base"
    assert set(again.samples_s) == {"other_base", "other_row", CONTROL}
    assert again.pictures == {"other_base": first.pictures["base"], "other_row": first.pictures["row"]}
    assert again.warm_up_s == {"other_base": first.warm_up_s["base"], "other_row": first.warm_up_s["row"]}
    assert again.errors == {}


def test_an_arm_that_was_not_drawn_is_drawn_with_the_baseline_and_without_the_others(rehearsal):
    first = rehearsal.run(rehearsal.arm("base", "plain"), rehearsal.arm("row", "fast"))
    found = rehearsal.run(rehearsal.arm("base", "plain"), rehearsal.arm("row", "fast"), rehearsal.arm("new", "faster"))
    assert set(rehearsal.drawn) == {"base", "new"}
    assert set(found.pictures) == {"base", "row", "new"}
    assert found.pictures["row"] is first.pictures["row"]


@pytest.mark.parametrize("other", [{"seed": 5}, {"prompts": ("a dog",)}, {"steps": 2}])
def test_arms_are_drawn_again_for_other_cases(rehearsal, other):
    rehearsal.run(rehearsal.arm("base", "plain"))
    limits = replace(LIMITS, **other)
    found = rehearsal.run(rehearsal.arm("base", "plain"), limits=limits)
    assert set(found.pictures["base"].outputs) <= set(limits.cases)
    assert len(rehearsal.drawn) == len(limits.cases)


def test_arms_of_which_it_is_unknown_what_they_draw_are_always_drawn(rehearsal):
    for _ in range(2):
        rehearsal.run(rehearsal.arm("base", None), rehearsal.arm("row", None))
        assert set(rehearsal.drawn) == {"base", "row"}


def test_an_arm_that_raised_is_drawn_again_since_its_error_names_it(rehearsal):
    for name in ("row", "other"):
        found = rehearsal.run(rehearsal.arm("base", "plain"), rehearsal.arm(name, "broken", GenerationError(f"{name} broke")))
        assert name in rehearsal.drawn
        assert "broke" in str(found.errors[name])


def test_a_baseline_that_raises_ends_rows_that_were_drawn_before(rehearsal):
    rehearsal.run(rehearsal.arm("base", "plain"), rehearsal.arm("row", "fast"))
    broken = rehearsal.arm("broken", "other", GenerationError("the baseline broke"))
    found = rehearsal.run(broken, rehearsal.arm("row", "fast"))
    assert found.errors.keys() == {"broken", "row"}
    assert found.errors["row"] is found.errors["broken"]
    assert "row" in found.samples_s
    assert Case(0) in found.pictures["row"].outputs or found.pictures["row"].looks


COUNTED = (
    CONFTEST
    + """

import collections

from diffusers import StableDiffusionPipeline

CALLS = collections.Counter()
PLAIN = StableDiffusionPipeline.__call__


@functools.wraps(PLAIN)
def counted(self, *args, **kwargs):
    CALLS["call"] += 1
    return PLAIN(self, *args, **kwargs)


StableDiffusionPipeline.__call__ = counted


def pytest_sessionfinish():
    StableDiffusionPipeline.__call__ = PLAIN


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"calls: {CALLS['call']}")
"""
)


@pytest.mark.slow
def test_tables_that_are_the_same_at_toy_size_are_drawn_once_and_each_judged_by_itself(pytester, monkeypatch):
    rows = {"baseline": "", "fp16": '"fp16"', "cached": '"feature_cache_2"', "wrong": '"another_seed_same_weights"'}
    alone = rehearse(pytester, monkeypatch, write_table(pytester, rows), conftest=COUNTED)
    (calls,) = (line for line in alone.outlines if line.startswith("calls: "))
    assert int(calls.removeprefix("calls: ")) > 0
    again = HEAD.replace('"night"', '"day"').replace("A100", "H200").replace("512", "768").replace("images = 2", "images = 8")
    bounded = write_table(pytester, rows, again, "day.toml")
    # What its own table bounds is judged there alone.
    bounded.write_text(bounded.read_text().replace("setup = 'fp16'", "setup = 'fp16'\nimage_random = {psnr = 200}"))
    both = rehearse(pytester, monkeypatch, write_table(pytester, rows), bounded, "-rf", conftest=COUNTED)
    assert calls in both.outlines
    both.assert_outcomes(passed=5, failed=3)
    assert verdicts(alone) == {"baseline": "-", "fp16": "pass", "cached": "pass", "wrong": "fail"}
    both.stdout.fnmatch_lines(["FAILED *night.toml::wrong*", "FAILED *day.toml::fp16*", "FAILED *day.toml::wrong*"])
