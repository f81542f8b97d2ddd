"""The parts of measuring under pytest-xdist: placements, groups, who runs what, and what becomes of reports."""

from __future__ import annotations

import errno
import json
import math
import tempfile
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import execnet
import pytest
from fakes import MACHINE, RECIPE, baseline_result, exhibit, result
from pages import Page

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.model import CONTROL, Exhibit
from pytest_sdspeed.plugin.distributed.groups import Group, add_group, add_problem, read_group, read_problem
from pytest_sdspeed.plugin.distributed.placement import LOCAL
from pytest_sdspeed.plugin.distributed.scheduler import CampaignScheduling
from pytest_sdspeed.plugin.distributed.worker import Worker, machine_from_json, machine_to_json
from pytest_sdspeed.plugin.state import PROBLEMS
from pytest_sdspeed.report import text
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.store.records import to_json
from pytest_sdspeed.store.spool import Spool
from pytest_sdspeed.store.transfer import pack, unpack

# Groups


@pytest.mark.parametrize("group", [Group(), Group("inference", "baseline", "fp16"), Group("a:b@c", "d]", "é/::x")])
def test_a_group_is_read_as_it_was_written(group):
    name = add_group("test_a.py::test_b[x@y]", group)
    assert read_group(name) == ("test_a.py::test_b[x@y]", group)
    assert read_problem(name) is None


def test_ids_without_a_group_stay_as_they_are():
    assert read_group("test_a.py::test_b[x@y]") == ("test_a.py::test_b[x@y]", None)
    assert read_problem(add_problem("test_a.py::test_b", "no\nGPU: é")) == "no\nGPU: é"


# Who runs what


class Node:
    """A worker that notes what it is told."""

    def __init__(self, name):
        self.gateway = SimpleNamespace(id=name)
        self.given, self.shutting_down = [], False

    def send_runtest_some(self, indices):
        self.given.append(indices)

    def shutdown(self):
        self.shutting_down = True


ALPHA = [add_group(f"t.py::test_a[{setup}]", Group("alpha", "baseline", setup)) for setup in ("baseline", "fp16", "tf32")]
BETA = [add_group(f"t.py::test_b[{setup}]", Group("beta", "baseline", setup)) for setup in ("baseline", "fp16")]
OWN = [add_group("t.py::test_own", Group())]
OTHER = ["t.py::test_x", "t.py::test_y"]


def config_of(workers, dist="load"):
    return SimpleNamespace(getvalue={"dist": dist, "tx": ["popen"] * workers}.get, option=SimpleNamespace(loadscopereorder=True), hook=None)


def scheduled(tests, *, dist="load", workers=2):
    nodes = [Node(f"gw{number}") for number in range(workers)]
    sched = CampaignScheduling(config_of(workers, dist), None, nodes)
    for node in nodes:
        sched.add_node_collection(node, tests)
    sched.schedule()
    return sched, nodes


def test_a_campaign_stays_on_one_worker_and_nothing_waits_behind_it():
    sched, (first, second) = scheduled([*OTHER, *ALPHA, *BETA, *OWN])
    assert (first.given, second.given) == ([[2, 3, 4]], [[5, 6]])
    sched.mark_test_complete(first, 2)
    assert len(first.given) == 1
    sched.mark_test_complete(first, 3)
    assert first.given == [[2, 3, 4], [0]]


@pytest.mark.parametrize(("dist", "together"), [("load", False), ("worksteal", False), ("loadscope", True), ("loadfile", True)])
def test_other_tests_are_dealt_out_as_the_user_asks(dist, together):
    sched, _ = scheduled([*ALPHA, *OTHER], dist=dist, workers=1)
    assert (sched._split_scope(OTHER[0]) == sched._split_scope(OTHER[1])) is together


def test_tests_with_a_campaign_of_their_own_may_go_anywhere():
    sched, _ = scheduled([*OWN, add_group("t.py::test_own2", Group())], workers=1)
    assert sched._split_scope(OWN[0]) != sched._split_scope(add_group("t.py::test_own2", Group()))


def test_a_worker_that_ends_loses_its_open_campaign_and_nothing_else():
    sched, (first, second) = scheduled([*ALPHA, *BETA, *OTHER])
    sched.mark_test_complete(first, 0)
    assert sched.remove_node(first) == ALPHA[1]
    assert sched.lost == tuple(ALPHA[1:])
    sched.mark_test_complete(second, 3)
    sched.mark_test_complete(second, 4)
    assert [number for given in second.given for number in given] == [3, 4, 5, 6]


def test_a_worker_that_ends_in_another_test_loses_that_test():
    sched, (first, second) = scheduled([*OTHER, *BETA], dist="loadfile")
    sched.mark_test_complete(second if second.given == [[0, 1]] else first, 0)
    node = second if second.given == [[0, 1]] else first
    left = Node("gw2")
    sched.add_node(left)
    assert sched.remove_node(node) == OTHER[1]
    assert sched.lost == (OTHER[1],)
    assert left.given == []


def test_a_worker_that_has_finished_loses_nothing():
    sched, (first, _) = scheduled([*ALPHA, *BETA])
    for number in range(3):
        sched.mark_test_complete(first, number)
    assert sched.remove_node(first) is None


def test_a_worker_that_ends_before_the_tests_are_dealt_out_is_replaced():
    first, second, third = map(Node, ("gw0", "gw1", "gw2"))
    sched = CampaignScheduling(config_of(2), None, [first, second])
    sched.add_node_collection(first, [*ALPHA, *BETA])
    assert sched.remove_node(first) is None
    sched.add_node_collection(second, [*ALPHA, *BETA])
    sched.add_node(third)
    assert not sched.collection_is_completed
    sched.add_node_collection(third, [*ALPHA, *BETA])
    sched.schedule()
    assert (second.given, third.given) == ([[0, 1, 2]], [[3, 4]])


def replaced(workers):
    """A run whose first worker ended in a campaign, and whose replacement collects one test less."""
    sched, (first, *others) = scheduled([*ALPHA, *BETA, *OTHER], workers=workers)
    hook = sched.config.hook = Mock()
    replacement = Node("gw2")
    sched.remove_node(first)
    sched.add_node(replacement)
    sched.add_node_collection(replacement, [*ALPHA, *BETA])
    sched.schedule()
    return sched, others, replacement, [call.kwargs["report"] for call in hook.pytest_collectreport.call_args_list]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replacement_that_collects_other_tests_is_told_of_and_runs_none(workers):
    _, _, replacement, (report,) = replaced(workers)
    assert (report.nodeid, report.failed) == ("gw2", True)
    assert "Different tests were collected between the tests of this run and gw2" in report.longrepr
    assert f"-{OTHER[0]}" in report.longrepr
    assert (replacement.given, replacement.shutting_down) == ([], True)


def test_a_run_that_nobody_can_go_on_with_ends():
    sched, _, _, _ = replaced(1)
    assert sched.tests_finished


def test_a_run_that_another_worker_can_go_on_with_goes_on():
    sched, (other,), _, _ = replaced(2)
    assert not sched.tests_finished
    for number in (3, 4, 5):
        sched.mark_test_complete(other, number)
    assert [number for given in other.given for number in given] == [3, 4, 5, 6]
    assert sched.tests_finished


# What a worker says of its tests


def sent_ids(tests, problems=()):
    """The ids that a worker sends, while pytest has its own; no test here measures."""
    config = SimpleNamespace(workerinput={"sdspeed_placement": (LOCAL, 0, 1)}, stash={PROBLEMS: list(problems)})
    session = SimpleNamespace(items=[Mock(nodeid=test, fixturenames=()) for test in tests])
    own = session.items
    sending = Worker(config).pytest_collection_finish(session)
    next(sending)
    found = [item.nodeid for item in session.items]
    sending.close()
    assert session.items is own
    return found


def test_a_worker_whose_tests_measure_nothing_sends_them_as_they_are(monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.plugin.distributed.worker.pin", pytest.fail)
    assert sent_ids(OTHER) == OTHER


def test_what_is_wrong_with_a_run_is_sent_though_no_test_measures():
    first, second = sent_ids(OTHER, ["no GPU", "no GPU", "no table"])
    assert (read_problem(first), second) == ("no GPU\nno table", OTHER[1])


# What is sent

LOOP = []
LOOP.append(LOOP)


def sent(one, params=None):
    item = SimpleNamespace(name="test_row[fp16]", funcargs={"benchmark": SimpleNamespace(extra_info={"sdspeed": to_json(one)})})
    if params is not None:
        item.callspec = SimpleNamespace(id="fp16", params=params)
    return pack(one, item, "t.py::test_row[fp16]")


@pytest.fixture
def spool():
    kept = Spool(pytest.fail)
    yield kept
    kept.close()


def test_a_result_arrives_as_it_was(spool):
    pictures = (exhibit(0, reference=b"reference"), exhibit(1, control=True))
    one = replace(result(exhibits=pictures), reasons=("a", "b"))
    message = sent(one, {"sd_setup": "fp16", "call": print})
    execnet.loads(execnet.dumps(message))
    back = unpack(json.loads(json.dumps(message)), spool)
    assert to_json(back.result) == to_json(one)
    assert "error_map" in pictures[0].pictures
    assert [set(shown.pictures) for shown in back.result.exhibits] == [{"baseline", "candidate", "reference"}, {"baseline", "candidate"}]
    assert back.test["params"]["sd_setup"] == "fp16"
    assert "print" in back.test["params"]["call"]


@pytest.mark.parametrize("value", ["\ud800", float("inf"), {1: {2}}, LOOP, object()], ids=["text", "number", "mapping", "loop", "object"])
def test_any_parameter_can_be_sent(spool, value):
    message = sent(result(), {"value": value})
    back = unpack(execnet.loads(execnet.dumps(message)), spool)
    assert "value" in back.test["params"]
    assert to_json(back.result) == to_json(result())


def shows(**pictures):
    return result(exhibits=(Exhibit(seed=0, prompt="", index=0, pictures=pictures, metrics={}),))


def test_equal_pictures_are_kept_once_and_on_the_disk(spool, monkeypatch):
    kept = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *given, **named: kept.append(make(*given, **named)) or kept[-1])
    found = [unpack(sent(shows(baseline=b"same", candidate=own)), spool) for own in (b"first", b"second")]
    assert [dict(one.result.exhibits[0].pictures) for one in found] == [
        {"baseline": b"same", "candidate": b"first"},
        {"baseline": b"same", "candidate": b"second"},
    ]
    (file,) = kept
    assert file.seek(0, 2) == len(b"samefirstsecond")


def test_pictures_without_space_cost_no_figures(monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("tempfile.TemporaryFile", Mock(side_effect=full))
    lost = []
    found = unpack(sent(shows(baseline=b"some")), Spool(lost.append))
    assert lost == [full]
    assert dict(found.result.exhibits[0].pictures) == {}
    assert found.result.speedup == result().speedup


def test_another_version_is_not_understood(spool):
    message = sent(result())
    message["test"] = message["test"].replace('"schema": 1', '"schema": 99', 1)
    with pytest.raises(StoredRunError, match="schema 99"):
        unpack(message, spool)


def test_a_machine_arrives_as_it_was():
    machine = replace(MACHINE, capability=(9, 0), features=frozenset({"a"}), notes=("n",))
    assert machine_from_json(execnet.loads(execnet.dumps(machine_to_json(machine)))) == machine


# A row that was lost


def lost(setup):
    unknown = dict.fromkeys(("speedup", "low", "high", "latency_s", "baseline_latency_s"), math.nan)
    empty = {"blocks": 0, "samples_s": {"baseline": (), CONTROL: (), setup: ()}, "image": {}, "control": None, "recipe": RECIPE}
    return result(setup, **unknown, **empty, verdict="invalid", image_verdict=None, reasons=("worker gw0 ended",))


@pytest.mark.parametrize("results", [[lost("fp16")], [lost("baseline"), lost("fp16")], [baseline_result(), result("tf32"), lost("fp16")]])
def test_a_row_that_was_lost_is_reported_with_its_reason(results):
    lines = [line for group in text.group_by_campaign(results) for line in text.format_table(group)]
    assert any(line.startswith("fp16") and line.endswith("invalid") for line in lines)
    shown = render_page(results)
    Page(shown)
    assert "worker gw0 ended" in shown
    assert "nan" not in " ".join(lines) + " ".join(Page(shown).data)
