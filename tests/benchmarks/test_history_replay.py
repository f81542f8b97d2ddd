"""The replay of nightlies: reading them, the rules, how alarms are scored, the simulation."""

import json
import math
import sys
from pathlib import Path

import history_replay
import numpy as np
import pytest
from history import nightlies, peers, rules, scoring, simulation, tables
from history.rules import Alarm

HEADER = "timestamp_utc,commit,case,framework,latency_s\n"
RULES = {rule.name: rule for rule in (*rules.OWN, *peers.PEERS)}
PACKAGES = {"asv": "asv", "PELT": "ruptures", "otava": "otava.analysis"}
RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "2026-11-23-history.md"
"""The last full run, with every table."""


@pytest.fixture
def written(tmp_path):
    """Writes a CSV file below the usual columns, or a whole one."""

    def write(rows, header=HEADER):
        path = tmp_path / "n.csv"
        path.write_text(header + rows)
        return path

    return write


def noisy(n, seed=0, cv=0.005):
    return np.exp(cv * np.random.default_rng(seed).standard_normal(n))


def rows(latencies, case="a"):
    return "".join(f"2026-01-{1 + night:02d}T01:00:00,c{night},{case},f,{latency}\n" for night, latency in enumerate(latencies))


# Reading


@pytest.mark.parametrize(
    ("content", "header", "says"),
    [
        ("2026-01-01,c,a,f,fast\n", HEADER, "line 2, column latency_s: 'fast'"),
        ("2026-01-01,c,a,f,1\n2026-01-02,c,a,f,-1\n", HEADER, "line 3, column latency_s"),
        ("2026-01-01,c,a,f,nan\n", HEADER, "line 2, column latency_s"),
        ("2026-01-01,c,a,f,0\n", HEADER, "line 2, column latency_s"),
        ("yesterday,c,a,f,1\n", HEADER, "line 2, column timestamp_utc: 'yesterday'"),
        ("2026-01-01,c,,f,1\n", HEADER, "line 2, column case"),
        ("2026-01-01,c,a\n", HEADER, "line 2, column framework"),
        ("2026-01-01,a,1\n", "timestamp_utc,case,latency_s\n", "line 1: no column commit, framework"),
        ("", "", "line 1: no column timestamp_utc"),
        ("", HEADER, "line 2: no results"),
    ],
)
def test_a_bad_file_is_named_with_line_and_column_and_exit_code_2(written, monkeypatch, capsys, content, header, says):  # noqa: PLR0917 - three fixtures, three parameters
    monkeypatch.setattr(sys, "argv", ["history_replay", str(written(content, header))])
    with pytest.raises(SystemExit) as stopped:
        history_replay.main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"n.csv, {says}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["none.csv"], [], ["--docs", "figures"]])
def test_other_bad_input_is_exit_code_2_too(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["history_replay", *arguments])
    with pytest.raises(SystemExit) as stopped:
        history_replay.main()
    assert stopped.value.code == 2


def test_a_file_of_another_encoding_is_refused(tmp_path):
    path = tmp_path / "n.csv"
    path.write_bytes(HEADER.encode() + "2026-01-01,c,é,f,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"n\.csv, line .*UTF-8"):
        nightlies.read(path)


def test_rows_are_put_in_order_the_last_of_repeated_ones_counts_and_gaps_are_left_out(written):
    data = nightlies.read(
        written(
            "x,2026-01-03T00:00:00,c3,a,f,3\nx,2026-01-01T00:00:00Z,c1,a,f,1\nx,2026-01-02T00:00:00,c2,a,f,\n"
            "x,2026-01-04T02:00:00+02:00,c4,b,f,4\nx,2026-01-03T00:00:00,c5,a,f,5\nx,2026-01-01T00:00:00,c1,a,g,\n",
            "ignored," + HEADER,
        )
    )
    assert (data.nights, data.repeated) == (4, 1)
    assert [(one.case, one.framework) for one in data.series] == [("a", "f"), ("b", "f")]
    assert [(night.commit, night.latency_s) for night in data.series[0].nights] == [("c1", 1), ("c5", 5)]
    assert data.series[1].nights[0].time.isoformat() == "2026-01-04T00:00:00+00:00"


# Rules


@pytest.fixture(params=RULES.values(), ids=lambda rule: rule.name)
def rule(request):
    for name, package in PACKAGES.items():
        if request.param.name.startswith(name):
            pytest.importorskip(package)
    return request.param


def test_every_rule_finds_a_plain_step_and_tells_it_once(rule):
    latencies = noisy(45)
    latencies[30:] *= 1.2
    (alarm,) = (alarm for alarm in rule.alarms(latencies, 10) if alarm.change > 0.05)
    assert 29 <= alarm.since <= 31
    assert 30 <= alarm.found <= 33
    assert 0.07 < alarm.change < 0.25  # of a step of 0.18, one night of which may be all that is known


def test_every_rule_is_silent_where_there_is_nothing(rule):
    assert rule.alarms(np.ones(40), 0) == []
    assert rule.alarms(np.ones(2), 0) == []
    assert [alarm for alarm in rule.alarms(noisy(40, seed=3), 0) if abs(alarm.change) > 0.05] == []


def test_rules_that_know_faster_find_it(rule):
    latencies = noisy(45)
    latencies[30:] /= 1.2
    found = [alarm for alarm in rule.alarms(latencies, 20) if alarm.change < -0.05]
    assert bool(found) is rule.both


def test_nobody_sees_the_future(rule):
    latencies = noisy(45, seed=2)
    latencies[25:] *= 1.15
    alarms = [(alarm.since, alarm.found) for alarm in rule.alarms(latencies, 0)]
    assert [(alarm.since, alarm.found) for alarm in rule.alarms(latencies[:33], 0)] == [one for one in alarms if one[1] < 33]
    assert [(alarm.since, alarm.found) for alarm in rule.alarms(latencies, 20)] == [one for one in alarms if one[1] >= 20]


def test_the_compiled_twin_of_pelt_is_pelt():
    ruptures = pytest.importorskip("ruptures")
    values = np.log(noisy(60, cv=0.01))
    values[20:] += 0.03
    values[40:] -= 0.05
    penalty = 3 * math.log(60) * 1e-4
    slow, fast = (
        list(map(int, detector.fit(values).predict(pen=penalty)))
        for detector in (
            ruptures.Pelt(model="l2", min_size=2, jump=1),
            ruptures.KernelCPD(kernel="linear", min_size=2, jump=1),
        )
    )
    assert slow == fast == [20, 40, 60]


def test_a_change_point_that_moves_or_comes_again_is_no_news():
    seen = {6: [(3, 0.1)], 7: [(5, 0.1)], 8: [], 9: [(5, 0.1), (7, 0.1)], 10: [(7, -0.1)]}
    alarms = peers.online(lambda latencies: [peers.Point(*point, 10) for point in seen[len(latencies)]])(np.ones(10), 0)
    assert [(alarm.since, alarm.found, alarm.slower) for alarm in alarms] == [(3, 5, True), (7, 8, True), (7, 9, False)]


def test_a_run_of_flags_is_one_alarm():
    latencies = np.array([1.0] * 6 + [1.2, 1.2, 1.0, 1.2])
    assert [alarm.found for alarm in rules.median_of_five(0.05)(latencies, 0)] == [6, 9]


def test_a_missing_peer_is_named_and_left_out(monkeypatch):
    for package in ("asv.step_detect", "ruptures", "otava.analysis"):
        monkeypatch.setitem(sys.modules, package, None)
    found, missing = peers.available()
    assert found == rules.OWN
    assert [line.split(":")[0] for line in missing] == [peer.name for peer in peers.PEERS]
    assert all("dependency group history" in line for line in missing)


# Scoring


def level(*parts):
    return np.log(np.concatenate([np.full(nights, height) for nights, height in parts]))


@pytest.mark.parametrize(
    ("values", "alarm", "expected"),
    [
        (level((10, 1), (1, 1.2), (5, 1)), Alarm(10, 10, 0.2), True),
        (level((10, 1), (6, 1.2)), Alarm(10, 10, 0.2), False),
        (level((10, 1), (3, 1.2), (5, 1)), Alarm(10, 11, 0.2), True),
        (level((10, 1), (5, 1.2), (5, 1)), Alarm(10, 11, 0.2), False),
        (level((10, 1), (1, 1.5), (5, 1.1)), Alarm(10, 10, 0.4), False),  # the step stays, only its first night was higher
        (level((10, 1), (1, 1.5), (5, 1.04)), Alarm(10, 10, 0.4), True),
        (level((10, 1), (1, 1.2)), Alarm(10, 10, 0.2), None),
        (level((10, 1), (1, 1.2), (1, 1)), Alarm(10, 10, 0.2), True),
        (level((10, 1), (6, 0.8)), Alarm(10, 11, -0.2), False),
        (level((10, 1), (5, 1.2), (20, 1)), Alarm(10, 30, 0.2, end=15), True),  # told when it was long over
    ],
)
def test_what_was_gone_by_the_next_nights_is_transient(values, alarm, expected):
    assert scoring.transient(values, alarm) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (level((20, 1), (20, 1.1)), [(20, 20)]),
        (level((20, 1), (20, 1 / 1.1)), [(20, 20)]),
        (level((20, 1), (20, 1.04)), []),
        (level((20, 1), (4, 1.2), (20, 1)), []),
        (level((4, 1), (20, 1.2)), []),
        (level((20, 1), (4, 1.2)), []),
        (level((20, 1), (6, 1.2), (20, 1)), [(20, 20), (26, 26)]),
        (level((20, 1), (6, 1.2), (20, 1.4)), [(20, 20), (26, 26)]),
        (level((20, 1), (1, 1.2), (1, 1), (20, 1.2)), [(22, 20)]),  # came, went, and came to stay
        (level((20, 1), (5, 1.2), (1, 1), (20, 1.2)), [(20, 20)]),
        (level(*[(1, height) for height in [1, 1.2] * 20]), []),
        (level((40, 1)), []),
        (level((3, 1)), []),
    ],
)
def test_lasting_steps_in_hindsight(values, expected):
    values = values + 0.001 * np.random.default_rng(0).standard_normal(len(values))
    assert [(step.night, step.came) for step in scoring.lasting_steps(values)] == expected


def test_a_step_within_the_noise_is_no_lasting_one():
    values = level((20, 1), (20, 1.06))
    assert len(scoring.lasting_steps(values)) == 1
    assert scoring.lasting_steps(values + 0.1 * np.random.default_rng(0).standard_normal(40)) == []


def test_who_found_a_step_and_on_which_of_its_nights():
    step = scoring.Step(20, 18, 0.1)

    def found(*alarms, gone=False):
        return scoring.finder(step, [scoring.Judged(alarm, gone) for alarm in alarms])

    late, first = Alarm(20, 30, 0.1), Alarm(20, 21, 0.1)
    assert found(late) is late
    assert found(first, late) is first
    assert (scoring.nights_until(late, 20), scoring.nights_until(first, 20), scoring.nights_until(Alarm(18, 18, 0.1), 20)) == (11, 2, 1)
    assert found(Alarm(20, 31, 0.1)) is None
    assert found(Alarm(20, 21, -0.1)) is None
    assert found(Alarm(20, 21, 0.1, gone=25)) is None
    early = Alarm(15, 16, 0.1)
    assert found(early) is early
    assert found(early, gone=True) is None
    assert found(Alarm(15, 15, 0.1)) is None


def series(latencies, written):
    return nightlies.read(written(rows(latencies))).series


def test_alarms_and_steps_are_counted(written):
    latencies = np.ones(31) * noisy(31, cv=0.002)
    latencies[10] *= 1.2
    latencies[20:] *= 1.2
    replays = scoring.replay(series(latencies, written), [RULES["median of five, 5%"], RULES[rules.OURS]])
    nightly, ours = (tables.summary(replays, name, slower=True) for name in ("median of five, 5%", rules.OURS))
    assert (nightly.told, nightly.steps, nightly.soon, nightly.delays) == ((2, 1, 2), 1, 1, (1,))
    assert (ours.told, ours.steps, ours.soon, ours.found, ours.delays) == ((1, 0, 1), 1, 1, 1, (2,))
    assert tables.summary(replays, "median of five, 5%", slower=False) is None
    found = tables.replayed_json(replays)
    assert found["lasting_steps"][0]["found"] == {"median of five, 5%": 1, rules.OURS: 2}
    assert found["lasting_steps"][0]["commit"] == "c20"
    assert [alarm["transient"] for alarm in found["alarms"]] == [True, False, False]
    assert "| median of five, 5% | 2 | 1 (50%) | 1 of 1 | 1 of 1 | 1 of 1 | 1 | 1 |" in tables.replayed(replays)


def test_a_missed_step_is_named(written):
    latencies = noisy(30, cv=0.002)
    latencies[15:] *= 1.08
    found = tables.replayed_json(scoring.replay(series(latencies, written), [RULES["median of five, 10%"]]))
    assert found["lasting_steps"][0]["missed"] == ["median of five, 10%"]
    assert found["lasting_steps"][0]["case"] == "a"


# Simulation and command


def test_the_simulation_is_reproducible_and_says_what_was_planted():
    job = simulation.jobs([RULES[rules.OURS]], ["iid, CV 0.5%"], (3, 5), seed=1)[0]
    one = simulation.line(job)
    assert simulation.line(job) == one
    assert one.alarms == 0
    assert one.steps[0.1] == simulation.Power({2: 1.0, 10: 1.0, 20: 1.0}, 2.0)
    assert one.drift.within[15] == 1.0


def test_a_single_spike_alarms_those_who_believe_one_run():
    shares = {
        name: simulation.line(simulation.jobs([RULES[name]], ["iid, CV 1%"], (2, 5), seed=0)[0]).spike
        for name in (rules.OURS, "median of five, 5%")
    }
    assert shares == {rules.OURS: 0.0, "median of five, 5%": 1.0}


@pytest.mark.parametrize("noise", simulation.NOISES)
def test_noises_are_seeded_and_of_one_length(noise):
    draw = simulation.NOISES[noise]
    assert draw(np.random.default_rng(1)).shape == (simulation.RUNS,)
    assert (draw(np.random.default_rng(1)) == draw(np.random.default_rng(1))).all()


def test_the_command_writes_what_it_found(written, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(history_replay, "QUICK", (2, 2))
    monkeypatch.setattr(history_replay, "QUICK_NOISES", ("iid, CV 1%",))
    monkeypatch.setattr(peers, "PEERS", ())
    monkeypatch.setattr(peers, "available", lambda: (rules.OWN, ("asv: missing",)))
    path = written(rows([*noisy(15), *(1.2 * noisy(12))]) + rows([1.0], "once") + rows([1.0], "once"))
    docs, out = tmp_path / "docs" / "figures", tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["h", str(path), "--simulate", "--quick", "--jobs", "1", "--docs", str(docs), "--json", str(out)])
    history_replay.main()
    said = capsys.readouterr()
    assert "27 nights, 2 series, 28 results. 1 rows repeat the night of another" in said.out
    assert "asv: missing" in said.err
    assert "#### Nightlies: slower" in said.out
    assert "#### A step of 5%" in said.out
    stored = json.loads(out.read_text())
    assert stored["replay"]["lasting_steps"][0]["found"][rules.OURS] == 2
    assert {line["rule"] for line in stored["simulation"]} == {rule.name for rule in rules.OWN}
    snippets = {file.name: file.read_text() for file in docs.iterdir()}
    assert sorted(snippets) == [
        "history-nightlies-both.md",
        "history-nightlies-faster.md",
        "history-nightlies-slower.md",
        "history-simulated.md",
    ]
    assert all(text.endswith(" |\n") for text in snippets.values())
    for name in ("slower", "faster", "both directions"):
        table = snippets[f"history-nightlies-{name.split()[0]}.md"]
        assert f"#### Nightlies: {name}\n\n{table}" in said.out
    assert first_columns(snippets["history-nightlies-slower.md"]) == first_columns(stored_table("Nightlies: slower"))
    assert titles(snippets["history-simulated.md"]) == [
        title for title in titles(RESULT.read_text(encoding="utf-8")) if title[0] == "A" and "of 3%" not in title
    ]


def stored_table(title):
    return RESULT.read_text(encoding="utf-8").partition(f"### {title}\n\n")[2].partition("\n\n")[0]


def first_columns(table):
    """The header; what stands below depends on the nights."""
    return table.splitlines()[:2]


def titles(text):
    return [line.lstrip("#").strip() for line in text.splitlines() if line.startswith("###")]
