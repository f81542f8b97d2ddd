"""What a run says of its cost: before its tests, before a campaign's blocks, and once more at its end."""

from __future__ import annotations

import re
import sys
from io import StringIO
from types import SimpleNamespace

import pytest
from distributed_project import CONFTEST, OPTIONS, ROW, TABLE, write_project

from pytest_sdspeed.measure.campaign_data import Progress
from pytest_sdspeed.model.campaign_plan import CampaignPlan
from pytest_sdspeed.plugin.progress import make_watcher

ENGINE = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""
ROWS = """
import pytest

@pytest.mark.sd_latency(table="{name}")
def test_{name}(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""
PLAN = CampaignPlan(call_s=1.5, block_s=8.0, by_calls_s=8.0, calls=6, first_look=3, blocks=20)
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default")


def plans(result):
    return [line for line in result.outlines if line.startswith("sd plan: ")]


def test_a_campaign_of_callables_says_what_it_was_planned_to_cost(gated):
    result = gated(ENGINE, "--sd-max-blocks=20")
    (line,) = plans(result)
    assert re.fullmatch(
        r"sd plan: \S+::test_engine by calls: a block takes (7\.9|8\.0) s \(6 calls\), 3 to 20 blocks take 24 s to 2 min (39|40) s;"
        r" at 1% noise of a block 20 blocks resolve 1\.\d%",
        line,
    ), line


def test_callables_that_are_asked_for_stages_say_why_they_have_none(gated):
    result = gated(ENGINE, "--sd-unit=stage")
    result.assert_outcomes(passed=1)
    why = "baseline is no pipeline whose stages are known"
    assert f"by calls, not by stages ({why}): a block" in plans(result)[0]
    assert f"note: candidate: measured by whole calls, not by stages: {why}" in result.outlines


@pytest.fixture
def run(pytester, monkeypatch):
    """Run two tables: calls of one take 10 s on its page, of the other nothing is published."""
    pytester.makeconftest(CONFTEST)
    folder = pytester.mkdir("tables")
    for name, latency in {"known": "latency_s = 10.0\n", "unknown": ""}.items():
        text = TABLE.format(name=name).replace("speedup = 1\n", f"speedup = 1\n{latency}").replace("steps = 2", "steps = 50")
        (folder / f"{name}.toml").write_text(text + ROW.format(setup="quick", speedup=2))
    pytester.makepyfile(test_it="".join(ROWS.format(name=name) for name in ("known", "unknown")))

    def call(*arguments):
        with monkeypatch.context() as patched:
            patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return pytester.runpytest_inprocess("-p", "benchmark", "-p", "sdspeed", "--sd-tables=tables", *QUIET, *arguments)

    return call


BEFORE_S = 2 * 10 + (2 + 2) * 15
"""Building two arms; warm-up and profiles of calls of 10 s and 5 s."""


def minutes(seconds):
    return f"{round(seconds) // 60} min {round(seconds) % 60} s"


def test_a_run_says_before_its_tests_what_is_published_of_its_cost(run):
    result = run()
    first, *later = plans(result)
    assert first == (
        f"sd plan: 2 campaigns, 2 rows: about {minutes(BEFORE_S + 3 * 50)} to first looks (3 blocks, the time of 15 calls),"
        f" at most {minutes(BEFORE_S + 300)}, by published latencies and stored counts; 1 campaign of unknown cost beside them"
    )
    assert result.outlines.index(first) < min(at for at, line in enumerate(result.outlines) if line.startswith("test_it.py"))
    # At the end, what each was planned to cost after its warm-up.
    assert [line.split(":")[1] for line in later] == [" known by calls", " unknown by calls"]
    assert result.outlines.index(later[0]) > max(at for at, line in enumerate(result.outlines) if line.startswith("test_it.py"))


def test_by_stages_less_is_expected(run):
    first = plans(run("--sd-unit=stage"))[0]
    seconds = BEFORE_S + 3 * 50 * 7 / 50 + 2 * 15
    assert f"2 rows, by stages: about {minutes(seconds)} to first looks" in first


@pytest.mark.parametrize("arguments", [["-q"], ["--collect-only"], ["--benchmark-disable"], ["--sd-dry"]])
def test_nothing_is_said_before_a_run_that_is_quiet_or_measures_nothing(run, arguments):
    assert not any("to first looks" in line for line in run(*arguments).outlines)


def test_tests_of_other_kinds_are_told_nothing(pytester):
    pytester.makepyfile("def test_other():\n    pass\n")
    assert plans(pytester.runpytest_inprocess(*QUIET)) == []


@pytest.mark.slow
def test_workers_send_what_their_campaigns_were_planned_to_cost(pytester):
    write_project(pytester)
    one, two = (plans(pytester.runpytest_subprocess(*OPTIONS, workers)) for workers in ("-n0", "-n2"))
    assert [line.split(":")[1] for line in one] == [" alpha by calls", " beta by calls", " test_it.py"]
    assert two == one


# The terminal


class Terminal(StringIO):
    """What somebody watches, 60 columns wide."""

    fullwidth = 60

    def isatty(self):
        return True

    def write(self, text, *, flush=False):
        super().write(text)


def watch(monkeypatch, terminal, kept):
    monkeypatch.setattr(sys, "stdout", terminal)
    plugins = SimpleNamespace(getplugin=lambda _name: None, hasplugin=lambda _name: True)
    config = SimpleNamespace(pluginmanager=plugins, get_verbosity=lambda: 0, get_terminal_writer=lambda: terminal)
    return make_watcher(config, kept.append)("mine")


def test_on_a_terminal_the_plan_is_a_line_that_stays(monkeypatch):
    terminal, kept = Terminal(), []
    with watch(monkeypatch, terminal, kept) as show:
        show(Progress(phase="canary"))
        show(Progress(phase="plan", plan=PLAN))
        show(Progress(phase="block", arm="row", block=1, blocks=20, left_s=10.0))
    (line,) = kept
    assert line.startswith("sd plan: mine by calls: a block takes 8.0 s")
    assert len(line) > terminal.fullwidth
    # The progress line before it is wiped out; what follows begins below it.
    before, after = terminal.getvalue().split(f"\r{line}\n")
    assert before.endswith(f"\r{' ' * 59}")
    assert after.startswith("\rmine: block 1 of at most 20, row, 10 s left at most")


def test_nobody_watches_and_the_plan_is_kept_all_the_same(monkeypatch):
    terminal, kept = Terminal(), []
    monkeypatch.setattr(Terminal, "isatty", lambda _terminal: False)
    with watch(monkeypatch, terminal, kept) as show:
        show(Progress(phase="canary"))
        show(Progress(phase="plan", plan=PLAN))
    assert terminal.getvalue() == ""
    assert len(kept) == 1
