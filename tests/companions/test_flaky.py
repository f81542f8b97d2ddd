"""``flaky`` runs a test again without telling anybody: the last attempt counts here too."""

import json

PACKAGE = {"packages": ["flaky"]}
SOURCE = """
tries = []

@pytest.mark.flaky(max_runs=3{more})
@pytest.mark.sd_latency(speedup=1.5)
def test_row(sd_latency):
    tries.append(1)
    sd_latency(engine(2.0 if len(tries) < {good} else 1.0), baseline=engine(2.0))
"""


def notes(pytester):
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return [note for note in bench["extra_info"]["sdspeed"]["notes"] if "attempt" in note]


def test_a_failed_attempt_is_superseded_and_told_of(beside, pytester):
    run = beside(SOURCE.format(more="", good=2), "--benchmark-json=out.json", **PACKAGE)
    assert run.ret == 0
    (note,) = notes(pytester)
    assert "fail, slower than its floor" in note


def test_a_test_that_has_to_pass_twice_is_one_row(beside, pytester):
    run = beside(SOURCE.format(more=", min_passes=2", good=0), "--benchmark-json=out.json", **PACKAGE)
    assert run.ret == 0
    (note,) = notes(pytester)
    assert "(passed)" in note
