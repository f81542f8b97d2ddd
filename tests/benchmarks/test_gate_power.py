"""The promise, simulated: error rates, power and blocks of the package's own rule; and the command that shows them."""

from __future__ import annotations

import csv
import functools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

import gate_power
from power import campaigns, noise, report, rules, studies
from power.peers import Peer

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.measure.campaign_data import Arm, Limits
from pytest_sdspeed.measure.decisions import Decisions
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.model import CONTROL

pytestmark = pytest.mark.slow

TRIALS = 6000
MOST = [study for study in studies.STUDIES if study not in ("order", "own", "stages")]
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@functools.cache
def looks(kind, cv, ratios=rules.BLOCK_RULES[0].ratios):
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
            ratios = [ratio + shift for ratio in intervals.log_ratios([outer[:look], inner[:look]], [row[:look]])]
            verdict = intervals.decide(intervals.interval(ratios, stopping.critical_value(look)), 1.0)
            if verdict:
                blocks = look
                break
        assert {1: "pass", -1: "fail", 0: None}[int(found[trial, 0])] == verdict
        assert taken[trial, 0] == blocks


def test_the_simulated_sharing_of_the_error_is_the_packages():
    """Suites of a row that passes, one near its floor and three that fail, by a campaign's looks: the same verdicts after the same blocks."""
    pairs = campaigns.paired(np.random.default_rng(4), noise.simulated("iid", 0.03), 40, 5)
    pairs *= np.array([1, 1, 0.99, 1.04, 1.08, 1.1, 1.12])[:, None]
    seen = campaigns.seen(pairs, control=True)
    found, taken = campaigns.verdicts(seen, 1.0)
    assert set(found.ravel()) == {-1, 0, 1}
    assert campaigns.judged(seen, 1.0)[3:5] == (0, (found < 0).any(1).mean())
    arms = [Arm(name=name, generate=str, floor=campaigns.FLOOR) for name in "abcde"]
    for trial in range(40):
        own = Decisions(Roster(Arm(name="base", generate=str), arms, None, None), {}, Limits().rows)
        for look in stopping.looks(20):
            own.samples = dict(zip(("base", CONTROL, *"abcde"), np.moveaxis(pairs[trial, :look], 1, 0).tolist(), strict=True))
            own.look(look, 20)
        decided = [own.decided.get(name) for name in "abcde"]
        assert [{"pass": 1, "fail": -1}[one.verdict] if one else 0 for one in decided] == found[trial].tolist()
        assert [one.blocks if one else 20 for one in decided] == taken[trial].tolist()


def test_the_simulated_control_is_the_packages():
    pairs = campaigns.paired(np.random.default_rng(4), noise.simulated("iid", 0.02), 90)
    pairs[:, :, campaigns.OUTER] *= np.repeat([1.0, 1.06, 1 / 1.06], 30)[:, None, None]
    blocks = np.resize([3, 6, 12], 90)
    alarms = campaigns.control_alarms(pairs, blocks).tolist()
    own = [intervals.control_interval(*np.moveaxis(trial[:count, :2], 1, 0).tolist()) for trial, count in zip(pairs, blocks, strict=True)]
    assert alarms == [control.excludes_one for control in own]
    assert sum(alarms[30:60]) > 10 < sum(alarms[60:])


def test_simulated_blocks_are_palindromes_with_the_outer_pair_outside():
    ramp = noise.Noise("ramp", lambda _rng, trials, slots: np.tile(np.arange(slots) / 1000, (trials, 1)), blocks=5)
    first, second = 1000 * np.moveaxis(np.log(campaigns.paired(np.random.default_rng(0), ramp, 50, rows=2)), -1, 0)
    start = 8 * np.arange(5)[:, None]
    assert first + second == pytest.approx(np.broadcast_to(2 * start + 7, first.shape))
    assert np.sort(first - start, axis=-1) == pytest.approx(np.broadcast_to(np.arange(4), first.shape))
    assert (first[..., 0] < first[..., 1]).all()
    assert len({tuple(order) for order in np.round(first - start).reshape(-1, 4).tolist()}) == 12
    still = noise.Noise("none", lambda _rng, trials, slots: np.zeros((trials, slots)), blocks=5)
    edged = campaigns.paired(np.random.default_rng(0), still, 50, rows=2, effect="first and last slot of a block", size=0.05)
    assert np.sort(edged.reshape(50, 5, 8)) == pytest.approx(np.broadcast_to([1.0] * 6 + [1.05] * 2, (50, 5, 8)))
    assert edged[..., 0] == pytest.approx(edged[..., 1])


def drawn(kind, cv=0.0):
    return noise.simulated(kind, cv).draw(np.random.default_rng(7), 4000, 120)


def test_every_noise_is_what_it_is_said_to_be():
    assert drawn("iid", 0.03).std() == pytest.approx(0.03, rel=0.01)
    assert np.allclose(np.abs(drawn("drift")), 0.2 * np.linspace(0, 1, 120))
    assert np.sign(drawn("drift")[:, -1]).mean() == pytest.approx(0, abs=0.06)
    correlated = drawn("AR(1)", 0.03)
    assert correlated[:, -1].std() == pytest.approx(0.03, rel=0.05)
    assert np.corrcoef(correlated[:, -2], correlated[:, -1])[0, 1] == pytest.approx(0.5, abs=0.05)
    for kind, share, slower in (("spikes", 0.02, 1.3), ("stalls", 0.01, 20)):
        hit = drawn(kind) > 0
        assert hit.mean() == pytest.approx(share, rel=0.05)
        assert np.allclose(np.exp(drawn(kind)[hit]), slower)
    steps = np.diff(drawn("steps"))
    assert (steps != 0).mean() == pytest.approx(1 / 40, rel=0.05)
    assert steps[steps != 0].std() == pytest.approx(0.15, rel=0.05)
    jumps = np.abs(np.diff(drawn("mixed", 1e-6))) > 0.2
    assert jumps.mean() == pytest.approx(2 * 0.02 * 0.98, rel=0.05)
    assert np.abs(drawn("mixed", 1e-6)[:, -1]).max() == pytest.approx(0.2 + np.log(1.3), abs=1e-3)


@pytest.mark.parametrize(("kind", "baseline", "candidate"), [("noisy candidate", 0.003, 0.03), ("quiet candidate", 0.03, 0.003)])
def test_unequal_arms_have_their_deviations(kind, baseline, candidate):
    logs = np.log(campaigns.paired(np.random.default_rng(0), noise.simulated(kind, 0.03), 400))
    assert logs[:, :, : campaigns.FIRST_ROW].std() == pytest.approx(baseline, rel=0.05)
    assert logs[:, :, campaigns.FIRST_ROW :].std() == pytest.approx(candidate, rel=0.05)


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
    # A spike that only the candidate met asks for blocks that show whether it recurs.
    assert documented.blocks <= blocks + (0.6 if kind in ("spikes", "mixed") else 0)
    assert short.failed >= 0.99
    assert short.passed <= 0.001


def test_a_rule_with_a_planted_fault_is_caught(monkeypatch):
    """Critical values a third smaller, or the faster slot under unequal noise: the test above would fail."""
    unequal = looks("noisy candidate", 0.03, ratios=next(rule.ratios for rule in rules.BLOCK_RULES if rule.name.startswith("faster")))
    assert campaigns.judged(unequal, campaigns.FLOOR).passed > 0.1
    right = stopping.critical_value
    monkeypatch.setattr(stopping, "critical_value", lambda blocks, rows=1: right(blocks, rows) * 2 / 3)
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
    assert lines["clean, when decided"].blocks < 4
    assert lines["clean, whole budget"].blocks == 20


def test_every_rule_is_asked_on_its_own():
    def wrong(kind):
        lines = studies.rule_lines(np.random.default_rng(2), noise.simulated(kind, 0.03), 2000)
        return {(line.rule, line.ratio): line for line in lines}

    shipped, mean, faster, evidence = (rule.name for rule in rules.BLOCK_RULES)
    unequal, stalled = wrong("noisy candidate"), wrong("stalls")
    assert unequal[faster, campaigns.FLOOR].passed > 0.1 > 10 * unequal[shipped, campaigns.FLOOR].passed
    assert stalled[mean, 1.0].passed < 0.8 < stalled[shipped, 1.0].passed
    assert stalled[evidence, campaigns.FLOOR].passed + stalled[evidence, campaigns.FLOOR].failed < 0.01
    assert stalled[evidence, 1.0].passed > 0.9
    assert stalled[evidence, 1.0].blocks > stalled[shipped, 1.0].blocks


def test_a_peer_gets_as_many_generations_as_the_gate_and_a_reference_as_documented():
    slower = []

    def alarms(reference, current):
        slower.append(np.log(current).mean() - np.log(reference).mean())
        return len(reference) == len(current) and slower[-1] > 0.075

    lines = list(studies.peer_lines(np.random.default_rng(2), noise.simulated("iid", 0.03), 500, 40, [Peer("a rule", "", alarms)]))
    assert [line.rule for line in lines] == ["pytest-sdspeed", "a rule"] * 5
    for index, (gate, peer) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
        assert gate.ratio == peer.ratio == studies.RATIOS[index]
        assert gate.generations == pytest.approx(6 * gate.blocks)
        assert peer.generations == pytest.approx(max(12, gate.generations), abs=1)
        assert np.mean(slower[40 * index : 40 * index + 40]) == pytest.approx(-np.log(peer.ratio), abs=0.01)
    assert lines[1].failed > 0.9
    assert lines[-1].failed == 0
    assert lines[2].blocks > 2 * lines[6].blocks


def test_every_figure_stands_in_its_own_column():
    def made(study, noise, **facts):
        shares = ({"failed": index / 10 + 0.01, "passed": index / 10 + 0.02, "blocks": float(index)} for index in range(5))
        cells = zip(studies.RATIOS, shares, strict=True)
        return [
            studies.Line(study=study, noise=noise, trials=1, ratio=ratio, **{"rule": "rule", **share, **facts}) for ratio, share in cells
        ]

    gate, peers = (made(study, "iid, CV 1.0%", generations=7.0, **facts) for study, facts in (("gate", {"rule": "now"}), ("peers", {})))
    gate.append(replace(gate[0], ratio=studies.ABOVE, invalid=0.5))
    gate += [replace(line, rule="before", passed=0.75, invalid=0.25) for line in gate]
    rows, control = made("rows", "mixed", rows=3, suite_passed=0.5, suite_failed=0.25), made("control", "iid", rule="clean")
    said = report.markdown([*gate, *made("rules", "iid"), *rows, *control, *peers])
    for line in (
        "| iid, CV 1.0% | 75.00% / 12.00% | 11.00% / 11.00% | 31.000% / 31.000% | 1.0% / 1.0% | 75.0% / 32.0% | 75.0% / 22.0% | 3.0 / 3.0 | 25.00% / 50.00% |",
        "| iid | rule | 12.00% | 11.00% | 1.0% | 32.0% | 3.0 |",
        "| 4 | rule | x0.90 | 2.00% | 1.00% | 50.00% | 25.00% | - | 0.0 |",
        "| iid | clean | 1.00% | 0.0 |",
        "| iid, CV 1.0% | rule | 1.0% | 11.0% | 21.0% | 31.0% | 41.0% | 37.0% | 7.0 |",
    ):
        assert line in said.splitlines()
    noises = ("iid, CV 0.3%", "iid, CV 1.0%", "iid, CV 3.0%", "noise-own")
    found = report.snippets([line for noise in noises for study in ("gate", "peers") for line in made(study, noise)])
    short = "".join(found.values())
    assert [short.count(f"| {noise} |") for noise in noises] == [0, 1, 2, 2]


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


def test_a_trace_has_three_blocks_at_least_and_twenty_at_most(trace):
    assert [noise.replayed(trace(np.ones(slots)), 6).blocks for slots in (18, 119, 120, 600)] == [3, 19, 20, 20]
    with pytest.raises(ValueError, match="17 durations; three blocks need 18"):
        noise.replayed(trace(np.ones(17)), 6)


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
    docs = tmp_path / "docs" / "figures"
    own = trace(np.random.default_rng(0).lognormal(0, 0.01, 200))
    monkeypatch.setattr(
        sys,
        "argv",
        ["gate_power.py", "--quick", "--traces", str(own), "--output", str(tmp_path / "out"), "--docs", str(docs), "--only", *MOST],
    )
    gate_power.main()
    lines = list(csv.DictReader((tmp_path / "out/gate_power.csv").read_text().splitlines()))
    assert {line["study"] for line in lines} == set(MOST)
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
    assert "pytest-sdspeed" in (tmp_path / "out/gate_power.svg").read_text()
    written = {file.name: file.read_text() for file in docs.iterdir()}
    assert sorted(written) == ["gate-peers.md", "gate.md"]
    for name, title in (("gate.md", "### The gate\n\n"), ("gate-peers.md", "### Peers, at equal generations\n\n")):
        header, _, *rows = written[name].splitlines()
        assert header == table.partition(title)[2].splitlines()[0]
        assert set(rows) <= set(table.splitlines())
        assert written[name].endswith(" |\n")
    assert "| mixed, CV 3.0% |" in written["gate.md"]


@pytest.mark.parametrize(
    ("run", "lengths"),
    [
        ("2026-11-29-gate-margin", {"gate.md": 21, "gate-order.md": 23, "gate-own.md": 50}),
        ("2026-11-23-gate-power", {"gate-peers.md": 44}),
        ("2026-11-30-gate-stages", {"gate-stages.md": 44}),
    ],
)
def test_the_documented_tables_are_those_of_the_stored_lines(run, lengths):
    """The last full runs: their lines in CSV give the snippets, whose rows stand in their tables."""
    with (RESULTS / f"{run}.csv").open(encoding="utf-8") as file:
        lines = [stored_line(row) for row in csv.DictReader(file)]
    report_of_the_run = (RESULTS / f"{run}.md").read_text(encoding="utf-8").splitlines()
    found = report.snippets(lines)
    assert {name: len(found[name].splitlines()) for name in lengths} == lengths
    for name in lengths:
        assert set(found[name].splitlines()) <= set(report_of_the_run)
        assert (RESULTS.parents[1] / "docs" / "figures" / name).read_text(encoding="utf-8") == found[name] + "\n"


def stored_line(row):
    """A line of the studies from a line of their CSV file."""
    texts = ("study", "rule", "noise")
    whole = ("rows", "trials")
    return studies.Line(
        **{name: cell if name in texts else int(cell) if name in whole else float(cell) if cell else None for name, cell in row.items()}
    )


def test_a_file_in_the_place_of_the_documentation_is_refused_before_any_study(tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").write_text("")
    monkeypatch.setattr(sys, "argv", ["gate_power.py", "--docs", str(tmp_path / "docs")])
    with pytest.raises(SystemExit) as stopped:
        gate_power.main()
    assert stopped.value.code == 2
    assert "docs is not a folder" in capsys.readouterr().err
