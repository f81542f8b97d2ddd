"""Counting under pytest-xdist and by tests that run again: the record is that of one process, and of the last attempt."""

import json
import os

import pytest
from counting import BOUNDS, ENGINE

SOURCE = f"""
import pytest
from engine import make

@pytest.mark.parametrize("plant", [None, "item", "cast"])
@pytest.mark.sd_account({BOUNDS})
def test_loop(sd_account, plant):
    sd_account(make(plant))

def test_counted(sd_account):
    sd_account(make())

def test_other():
    pass
"""
OPTIONS = ("-p", "no:randomly", "-p", "no:cacheprovider", "-W", "default", "--benchmark-json=out.json", "--sd-report=page.html")


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(pytester.path), os.environ.get("PYTHONPATH", "")])))
    pytester.makepyfile(engine=ENGINE)
    pytester.makepyfile(test_it=SOURCE)

    def run(*arguments):
        # One process may be this one, which has imported all that it needs.
        start = pytester.runpytest_subprocess if arguments else pytester.runpytest_inprocess
        return start(*OPTIONS, *arguments)

    return run


def read_records(pytester):
    stored = json.loads((pytester.path / "out.json").read_text())
    return [(one["fullname"], one["params"], one["group"], one["extra_info"]["sdspeed"]) for one in stored["benchmarks"]]


@pytest.mark.slow
def test_the_record_of_more_workers_than_cores_is_that_of_one_process(project, pytester):
    records, lines = {}, {}
    for workers in ((), ("-n3",)):
        run = project(*workers)
        run.assert_outcomes(passed=3, failed=2)
        records[workers] = read_records(pytester)
        lines[workers] = [line for line in run.outlines if line.startswith(("sd accounts", "engine ", "  1 host sync"))]
        assert "2 of 4 rows need attention" not in (pytester.path / "page.html").read_text()
        assert "2 of 3 rows need attention" in (pytester.path / "page.html").read_text()
    alone, together = records.values()
    assert alone == together
    assert len(alone) == 4
    alone, together = lines.values()
    assert alone == together
    assert len(alone) == 9


@pytest.mark.slow
def test_a_wrong_marker_ends_the_run_of_workers(project, pytester):
    # Nothing is counted, nor imported for it.
    pytester.makepyfile(engine="", test_it=SOURCE.replace("casts_per_step=2", "cast_per_step=2").replace("from engine import make", ""))
    run = project("-n2")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    assert "unknown bound of an account 'cast_per_step'" in run.stderr.str() + run.stdout.str()


AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

TRIES = []

@pytest.mark.sd_account(host_syncs_per_step=0)
def test_loop(sd_account):
    from engine import make
    TRIES.append(1)
    sd_account(make("item" if len(TRIES) < 2 else None))
"""
RERUN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    # As pytest-rerunfailures does.
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(3):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = any(report.failed for report in reports) and attempt < 2
        for report in reports:
            if again and report.failed:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        if not again:
            break
        item._initrequest()
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


def test_of_attempts_the_last_one_counts(pytester):
    pytester.makepyfile(engine=ENGINE)
    pytester.makeconftest(RERUN)
    pytester.makepyfile(test_it=AGAIN)
    run = pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default", "--benchmark-json=out.json", "--junit-xml=out.xml")
    assert run.ret == 0
    ((name, _, _, record),) = read_records(pytester)
    assert name == "test_it.py::test_loop (account)"
    assert record["verdict"] == "pass"
    assert len([line for line in run.outlines if line.startswith("sd accounts")]) == 1
    assert (pytester.path / "out.xml").read_text().count("sdspeed_account_verdict") == 1
