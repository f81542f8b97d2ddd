"""A test that is run again is one measurement: its last attempt counts, and the ones before it are told of."""

import json
from xml.etree import ElementTree as ET

import pytest
from tables_text import UNBUILT

TWICE = """
tries = []

@pytest.mark.flaky(reruns=2)
@pytest.mark.sd_latency(speedup=1.5)
def test_row(sd_latency):
    tries.append(1)
    sd_latency(engine(2.0 if len(tries) < 2 else 1.0), baseline=engine(2.0))
"""
PACKAGE = {"packages": ["pytest-rerunfailures"]}


def stored(pytester):
    return json.loads((pytester.path / "out.json").read_text())["benchmarks"]


def notes_of(bench):
    return [note for note in bench["extra_info"]["sdspeed"]["notes"] if "attempt" in note]


def test_only_the_last_attempt_is_in_tables_files_and_history_and_a_note_tells_of_the_others(beside, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "step.md"))
    run = beside(TWICE, "--benchmark-json=out.json", "--junit-xml=j.xml", "--sd-report=r.html", **PACKAGE)
    assert run.ret == 0
    run.stdout.fnmatch_lines(["*1 passed*1 rerun*"])
    (bench,) = stored(pytester)
    assert bench["extra_info"]["sdspeed"]["verdict"] == "pass"
    (note,) = notes_of(bench)
    assert "1 attempt of this test came before this one" in note
    assert "fail, slower than its floor" in note
    assert "2 of them in up to 1.0%" in note
    assert len([line for line in run.outlines if line.startswith("sd speed-ups")]) == 1
    assert len([line for line in run.outlines if line.startswith("note: ") and "1 attempt" in line]) == 1
    summary = (pytester.path / "step.md").read_text()
    assert summary.count("| candidate") == 1
    assert "1 attempt" in summary
    names = [one.get("name") for one in ET.parse(pytester.path / "j.xml").iter("property")]
    assert names.count("sdspeed_verdict") == 1
    assert (pytester.path / "r.html").read_text().count("1 attempt of this test") >= 1


def test_a_test_that_fails_to_the_end_is_one_failed_row(beside, pytester):
    run = beside(TWICE.replace("< 2", "< 9"), "--benchmark-json=out.json", **PACKAGE)
    run.stdout.fnmatch_lines(["*1 failed, 2 rerun*"])
    (bench,) = stored(pytester)
    assert bench["extra_info"]["sdspeed"]["verdict"] == "fail"
    assert "2 attempts of this test" in notes_of(bench)[0]


def test_an_attempt_that_passed_its_gate_and_failed_later_is_superseded_too(beside, pytester):
    run = beside(TWICE.replace("< 2", "< 0") + "    assert len(tries) > 1, 'too early'\n", "--benchmark-json=out.json", **PACKAGE)
    assert run.ret == 0
    (bench,) = stored(pytester)
    assert "too early" in notes_of(bench)[0]


def test_an_attempt_that_raised_is_told_of(beside, pytester):
    source = TWICE.replace("    sd_latency(", "    if len(tries) == 1:\n        raise RuntimeError('no luck')\n    sd_latency(").replace(
        "< 2", "< 0"
    )
    assert beside(source, "--benchmark-json=out.json", **PACKAGE).ret == 0
    (bench,) = stored(pytester)
    assert "failed, no luck" in notes_of(bench)[0]


def test_a_last_attempt_that_measures_nothing_leaves_no_figure_of_an_earlier_one(beside, pytester):
    source = TWICE.replace("    sd_latency(", "    if len(tries) == 3:\n        raise RuntimeError('no luck')\n    sd_latency(").replace(
        "< 2", "< 9"
    )
    run = beside(source, "--benchmark-json=out.json", **PACKAGE)
    run.stdout.fnmatch_lines(["*1 failed, 2 rerun*"])
    run.stdout.no_fnmatch_line("sd speed-ups*")
    assert not (pytester.path / "out.json").exists() or stored(pytester) == []


def test_a_test_that_passes_at_once_has_no_note(beside, pytester):
    assert beside(TWICE.replace("< 2", "< 0"), "--benchmark-json=out.json", **PACKAGE).ret == 0
    (bench,) = stored(pytester)
    assert notes_of(bench) == []


def test_the_option_reruns_too_and_other_tests_keep_their_rows(beside, pytester):
    source = TWICE.replace("@pytest.mark.flaky(reruns=2)\n", "") + TWICE.replace("test_row", "test_other").replace("tries", "others")
    run = beside(source, "--reruns=1", "--benchmark-json=out.json", **PACKAGE)
    run.stdout.fnmatch_lines(["*2 passed, 2 rerun*"])
    assert sorted(bench["name"] for bench in stored(pytester)) == ["test_other", "test_row"]


@pytest.mark.slow
def test_workers_of_xdist_rerun_and_the_controller_keeps_the_last_attempt(process, pytester):
    arms = "import time\ndef slow():\n    time.sleep(0.008)\ndef fast():\n    time.sleep(0.002)\n"
    source = """
        import pytest
        from arms import fast, slow
        tries = []
        @pytest.mark.flaky(reruns=2)
        @pytest.mark.sd_latency(speedup=1.2, tolerance=0.9)
        def test_row(sd_latency):
            tries.append(1)
            sd_latency(fast, baseline=slow)
            assert len(tries) > 1, "too early"
        """
    run = process(source, "-n1", "--benchmark-json=out.json", packages=["pytest-rerunfailures"], arms=arms)
    assert run.ret == 0
    run.stdout.fnmatch_lines(["*1 passed*1 rerun*"])
    (bench,) = stored(pytester)
    assert "1 attempt of this test" in notes_of(bench)[0]


LATE = TWICE.replace("@pytest.mark.sd_latency(speedup=1.5)\n", "").replace("(sd_latency)", "(request)")
LATE = LATE.replace(
    "    sd_latency(", "    request.applymarker(pytest.mark.sd_latency(speedup=1.5))\n    request.getfixturevalue('sd_latency')("
)


def test_the_first_attempt_of_a_gate_by_request_is_told_of_too(beside, pytester):
    assert beside(LATE, "--benchmark-json=out.json", **PACKAGE).ret == 0
    (bench,) = stored(pytester)
    (note,) = notes_of(bench)
    assert "1 attempt of this test came before this one" in note
    assert "fail, slower than its floor" in note


def test_every_attempt_of_a_gate_by_request_is_counted_once(beside, pytester):
    run = beside(LATE.replace("< 2", "< 3"), "--benchmark-json=out.json", **PACKAGE)
    run.stdout.fnmatch_lines(["*1 passed, 2 rerun*"])
    (bench,) = stored(pytester)
    assert "2 attempts of this test came before this one" in notes_of(bench)[0]


def test_a_gate_by_request_that_passes_at_once_has_no_note(beside, pytester):
    assert beside(LATE.replace("< 2", "< 0"), "--benchmark-json=out.json", **PACKAGE).ret == 0
    (bench,) = stored(pytester)
    assert notes_of(bench) == []


ROWS = """
import builtins
from contextlib import nullcontext

drawn = []

@pytest.fixture(autouse=True)
def no_pipelines(monkeypatch):
    from pytest_sdspeed.setups.setup import Setup

    def draw(self, _case):
        drawn.append(self.name)
        first = len(slow_at_first) < 2
        took = {"baseline": 2.0, "steady": 1.0, "quick": 1.9 if first else 1.0}[self.name]
        builtins.sd_fake_time.spend(took)

    monkeypatch.setattr(Setup, "build", lambda self: None)
    monkeypatch.setattr(Setup, "slot", lambda self: nullcontext())
    monkeypatch.setattr(Setup, "weight_bytes", lambda self: 0)
    monkeypatch.setattr(Setup, "profile", None)
    monkeypatch.setattr(Setup, "has_proofs", False)
    monkeypatch.setattr(Setup, "draw", draw)

slow_at_first = []

@pytest.mark.flaky(reruns=1)
@pytest.mark.sd_latency(table="small")
def test_row(sd_latency, sd_setup):
    before = drawn.count(sd_setup.name), drawn.count("steady")
    if sd_setup.name == "quick":
        slow_at_first.append(1)
    try:
        sd_latency(sd_setup)
    finally:
        after = drawn.count(sd_setup.name), drawn.count("steady")
        print("drew", sd_setup.name, after[0] - before[0], "steady", after[1] - before[1])
"""


def test_a_row_of_a_table_that_runs_again_is_measured_again_alone(beside, pytester):
    (pytester.path / "small.toml").write_text(UNBUILT.format(tolerance=0.05, first="quick", second="steady", speedup=2.0))
    run = beside(ROWS, "--sd-tables=small.toml", "--benchmark-json=out.json", "-s", **PACKAGE)
    run.stdout.fnmatch_lines(["*3 passed, 1 rerun*"])
    again = [line for line in run.outlines if "drew quick" in line]
    assert len(again) == 2
    assert again[1].split("drew quick ")[1].split()[0] != "0"
    assert again[1].endswith("steady 0")
    rows = {bench["extra_info"]["sdspeed"]["setup"]: bench for bench in stored(pytester)}
    assert len(stored(pytester)) == 3
    assert rows["quick"]["extra_info"]["sdspeed"]["verdict"] == "pass"
    assert "fail, slower than its floor" in notes_of(rows["quick"])[0]
    assert notes_of(rows["steady"]) == []


def test_a_row_by_request_that_runs_again_is_measured_again(beside, pytester):
    (pytester.path / "small.toml").write_text(UNBUILT.format(tolerance=0.05, first="quick", second="steady", speedup=2.0))
    source = (
        ROWS.replace('@pytest.mark.sd_latency(table="small")\n', '@pytest.mark.parametrize("name", ["baseline", "quick", "steady"])\n')
        .replace("(sd_latency, sd_setup)", "(request, name)")
        .replace("    before =", "    request.applymarker(pytest.mark.sd_latency(table='small'))\n    before =")
        .replace("sd_latency(sd_setup)", "request.getfixturevalue('sd_latency')(request.getfixturevalue(f'sd_{name}'))")
        .replace("sd_setup.name", "name")
    )
    run = beside(source, "--sd-tables=small.toml", "--benchmark-json=out.json", "-s", **PACKAGE)
    run.stdout.fnmatch_lines(["*3 passed, 1 rerun*"])
    again = [line for line in run.outlines if "drew quick" in line]
    assert again[1].split("drew quick ")[1].split()[0] != "0"
