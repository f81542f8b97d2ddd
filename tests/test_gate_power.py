"""The promise, simulated: error rates, power and blocks of the package's own rule; and the command that shows them."""

from __future__ import annotations

import csv
import functools
import json
import sys

import numpy as np
import pytest

pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

import gate_power
from power import campaigns, noise, report, rules, studies

from pytest_sdspeed.judge import speed, stopping

TRIALS = 6000


@functools.cache
def looks(kind, cv, ratios=rules.block_ratios):
    return campaigns.seen(campaigns.paired(np.random.default_rng(1), noise.simulated(kind, cv), TRIALS), ratios)


def test_the_simulated_rule_is_the_packages_rule():
    """Thousands at a time and one by one, the same verdicts after the same blocks."""
    rng = np.random.default_rng(3)
    pairs = campaigns.paired(rng, noise.simulated("mixed", 0.03), 60)
    found, taken = campaigns.verdicts(campaigns.seen(pairs), 0.97)
    shift = np.log(0.97 / campaigns.FLOOR)
    for trial in range(60):
        outer, inner, row = np.moveaxis(pairs[trial], 1, 0).tolist()
        verdict, blocks = None, 20
        for look in stopping.looks(20):
            ratios = [ratio + shift for ratio in speed.log_ratios([outer[:look], inner[:look]], [row[:look]])]
            verdict = speed.decide(speed.interval(ratios, stopping.critical(look)), 1.0)
            if verdict:
                blocks = look
                break
        assert {1: "pass", -1: "fail", 0: None}[int(found[trial, 0])] == verdict
        assert taken[trial, 0] == blocks


@pytest.mark.parametrize("cv", [0.003, 0.01, 0.03, 0.10])
@pytest.mark.parametrize("kind", ["iid", "drift", "AR(1)", "spikes", "stalls", "steps", "mixed", "noisy candidate", "quiet candidate"])
def test_a_verdict_on_the_floor_is_wrong_at_most_once_in_a_hundred(kind, cv):
    shares = campaigns.judged(looks(kind, cv), campaigns.FLOOR)
    # Half a percent for each side; three standard errors of 6,000 trials are 0.27%.
    assert shares.passed < 0.0078
    assert shares.failed < 0.0078


@pytest.mark.parametrize(("cv", "blocks"), [(0.003, 3.3), (0.01, 4.5), (0.03, 8.0)])
@pytest.mark.parametrize("kind", ["iid", "drift", "AR(1)", "spikes", "mixed"])
def test_a_documented_speedup_passes_soon_and_a_tenth_less_fails(kind, cv, blocks):
    seen = looks(kind, cv)
    documented, short = campaigns.judged(seen, 1.0), campaigns.judged(seen, 0.9)
    assert documented.passed >= 0.99
    assert documented.failed <= 0.001
    assert documented.blocks <= blocks
    assert short.failed >= 0.99
    assert short.passed <= 0.001


def test_a_rule_with_a_planted_fault_is_caught(monkeypatch):
    """Critical values a third smaller, or the faster slot under unequal noise: the test above would fail."""
    unequal = looks("noisy candidate", 0.03, ratios=next(rule.ratios for rule in rules.BLOCK_RULES if rule.name.startswith("faster")))
    assert campaigns.judged(unequal, campaigns.FLOOR).passed > 0.1
    right = stopping.critical
    monkeypatch.setattr(stopping, "critical", lambda blocks, rows=1: right(blocks, rows) * 2 / 3)
    assert campaigns.judged(looks("iid", 0.01), campaigns.FLOOR).passed > 0.01


@pytest.mark.parametrize("rows", [3, 7])
def test_a_suite_on_its_floors_has_a_red_row_at_most_once_in_a_hundred(rows):
    rng = np.random.default_rng(5)
    seen = campaigns.seen(campaigns.paired(rng, noise.simulated("iid", 0.01), 2000, rows))
    shares = campaigns.judged(seen, campaigns.FLOOR)
    assert shares.suite_failed < 0.01
    assert shares.passed < 0.01
    # Without sharing the error among the rows it would not hold.
    alone = sum(
        campaigns.judged(campaigns.Looks(seen.blocks, seen.mean[:, [row]], seen.error[:, [row]]), campaigns.FLOOR).failed
        for row in range(rows)
    )
    assert alone > shares.suite_failed


def test_the_control_holds_on_clean_data_and_breaks_on_a_slot_order_effect():
    lines = {line.rule: line for line in studies.control_lines(np.random.default_rng(2), noise.simulated("iid", 0.003), 4000)}
    for when in ("when decided", "whole budget"):
        assert lines[f"clean, {when}"].failed < 0.0135
        assert lines[f"outer pair +5%, {when}"].failed > 0.9
        assert lines[f"first and last slot of a block +5%, {when}"].failed > 0.9


@pytest.fixture
def trace(tmp_path):
    def write(durations, name="noise-own.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"start_s_duration_s": [[index, duration] for index, duration in enumerate(durations)]}))
        return path

    return write


def test_a_trace_is_replayed_in_its_own_order(trace):
    replay = noise.replayed(trace(np.exp(np.arange(40) / 100)), 6)
    assert (replay.name, replay.blocks) == ("noise-own", 6)
    logs = replay.draw(np.random.default_rng(0), 5, 36)
    steps = np.diff(logs, axis=1)
    assert np.all(np.isclose(steps, 0.01) | np.isclose(steps, -0.39))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "not a noise trace"),
        ("nonsense", "not a noise trace"),
        ('{"start_s_duration_s": [[0, -1]]}', "not positive"),
        ('{"start_s_duration_s": [[0, 1]]}', "three blocks"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_by_name(tmp_path, monkeypatch, content, says):
    path = tmp_path / "t.json"
    path.write_text(content)
    monkeypatch.setattr(sys, "argv", ["gate_power.py", "--traces", str(path)])
    with pytest.raises(SystemExit, match=rf"t\.json.*{says}"):
        gate_power.main()


def test_a_missing_trace_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gate_power.py", "--traces", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit, match=r"none\.json"):
        gate_power.main()


def test_the_command_writes_what_it_found(tmp_path, trace, monkeypatch, capsys):
    monkeypatch.setattr(gate_power, "QUICK", (40, 3))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    own = trace(np.random.default_rng(0).lognormal(0, 0.01, 200))
    monkeypatch.setattr(
        sys, "argv", ["gate_power.py", "--quick", "--traces", str(own), "--output", str(tmp_path / "out"), "--page", str(page)]
    )
    gate_power.main()
    lines = list(csv.DictReader((tmp_path / "out/gate_power.csv").read_text().splitlines()))
    assert {line["study"] for line in lines} == {"gate", "rules", "rows", "control", "peers"}
    assert {float(line["ratio"]) for line in lines if line["study"] == "peers"} == set(studies.RATIOS)
    assert any(line["noise"] == "noise-own" for line in lines)
    table = (tmp_path / "out/gate_power.md").read_text()
    assert table in capsys.readouterr().out
    for title in (
        "### The gate",
        "### Rules that were tried",
        "### Several rows",
        "### The A/A control",
        "### Peers, at equal generations",
    ):
        assert title in table
    written = page.read_text()
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "| mixed, CV 3.0% |" in written
    assert "pytest-sdspeed" in (tmp_path / "out/gate_power.svg").read_text()


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="gate_power"):
        report.into("a page", "tables")
