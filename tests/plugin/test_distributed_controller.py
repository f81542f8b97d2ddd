"""The controller of workers that are made up: what it refuses, and what it makes of their reports."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import xdist.dsession
from fakes import baseline_result, failed, result, tf32
from fleet import Simulation
from xdist.scheduler import LoadScheduling

from pytest_sdspeed import plugin
from pytest_sdspeed.plugin.distributed.controller import Controller
from pytest_sdspeed.plugin.distributed.groups import Group, add_group, add_problem, read_group
from pytest_sdspeed.tables import load_table


@pytest.fixture
def fed(pytester):
    """Runs the controller over results; ``gw0`` and ``gw1`` send them in turn."""

    def run(results, *arguments):
        simulation = Simulation(iter(results), len(results), 2)
        options = ("-p", "no:randomly", "-W", "default", "--tx=2*popen", "--benchmark-json=out.json")
        return pytester.runpytest_inprocess(*options, *arguments, plugins=[simulation])

    return run


def stored(pytester):
    return json.loads((pytester.path / "out.json").read_text())


def test_gpus_of_different_kinds_are_kept_apart(fed, pytester):
    kinds = [{"device": "NVIDIA H200"}, {"device": "NVIDIA A100", "blocks": 5}]
    said = fed([make(**kind) for make in (baseline_result, tf32) for kind in kinds], "--sd-record=mine.toml", "--sd-history=off")
    run = stored(pytester)
    assert [one["group"] for one in run["benchmarks"]] == ["inference on NVIDIA H200", "inference on NVIDIA A100"] * 2
    assert run["machine_info"]["sdspeed"]["device"] == "NVIDIA H200, NVIDIA A100"
    said.stdout.fnmatch_lines(["sd speed-ups: inference *measured on NVIDIA H200*", "sd speed-ups: inference *measured on NVIDIA A100*"])
    for name, device in (("h200", "NVIDIA H200"), ("a100", "NVIDIA A100")):
        assert load_table(pytester.path / f"mine-nvidia-{name}.toml").device == device


def test_one_kind_of_gpu_is_recorded_in_the_file_that_was_named(fed, pytester):
    fed([baseline_result(), tf32()], "--sd-record=mine.toml", "--sd-history=off")
    assert len(load_table(pytester.path / "mine.toml").rows) == 2


def test_a_record_that_lacks_everything_fails_the_run(fed):
    assert fed([failed(device="NVIDIA A100")], "--sd-record=mine.toml", "--sd-history=off").ret == pytest.ExitCode.TESTS_FAILED


def test_histories_go_on_from_the_stored_runs(fed):
    for _ in range(2):
        said = fed([baseline_result(), tf32()], "--benchmark-autosave")
    said.stdout.fnmatch_lines(["history: tf32: 2 runs*"])


def test_what_cannot_be_understood_is_told_and_fails_the_run(fed, pytester, monkeypatch):
    monkeypatch.setattr("fleet.to_json", lambda one: {"schema": 99 if one.setup == "tf32" else 1})
    monkeypatch.setattr("pytest_sdspeed.store.records._read_facts", lambda *_: vars_of(baseline_result()))
    said = fed([baseline_result(), tf32()], "--sd-history=off")
    assert said.ret == pytest.ExitCode.TESTS_FAILED
    said.stdout.fnmatch_lines(["sd run: not stored in this run, test_it.py::test_row[[]1[]] of gw1: StoredRunError: schema 99 is not 1"])
    assert len(stored(pytester)["benchmarks"]) == 1


def vars_of(one):
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


@pytest.mark.filterwarnings("ignore:Not saving anything")
def test_a_storage_that_cannot_be_written_is_refused_before_the_tests(fed, pytester):
    (pytester.path / "file").write_text("")
    said = fed([result()], "--benchmark-autosave", "--benchmark-storage=file")
    assert said.ret == pytest.ExitCode.USAGE_ERROR
    said.stderr.fnmatch_lines(["*is a file, not a folder*"])


# Workers that end


class Workers(Simulation):
    """One worker whose tests have groups, of which it measures the first; then it may end, or the run be interrupted.

    Args:
        results: what it measures.
        sent_ids: of its tests.
        lost: sent ids of the tests that it ends with.
        end: what follows, with the session.
        before: what comes before the worker ends, with the session.
    """

    def __init__(self, results, sent_ids, *, lost=(), end=lambda _session: None, before=lambda _session: None):
        super().__init__(iter(results), len(sent_ids), 1)
        self._sent_ids, self._lost, self._end, self._before = sent_ids, lost, end, before

    def pytest_runtestloop(self, session):
        hook, config = session.config.hook, session.config
        hook.pytest_xdist_node_collection_finished(node=None, ids=self._sent_ids)
        session.testscollected = len(self._sent_ids)
        for sent_id, one in zip(self._sent_ids, self._results, strict=False):
            for data in self._messages(read_group(sent_id)[0], one, "gw0"):
                hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=config, data=data))
        self._before(session)
        if self._lost:
            # As xdist does it.
            report = pytest.TestReport(self._lost[0], ("test_it.py", None, ""), {}, "failed", "worker 'gw0' crashed", "???")
            report.node = SimpleNamespace(gateway=SimpleNamespace(id="gw0"), _workerinfocache="[gw0]")
            hook.pytest_handlecrashitem(crashitem=self._lost[0], report=report, sched=SimpleNamespace(lost=self._lost))
            hook.pytest_runtest_logreport(report=report)
        self._end(session)
        return True


@pytest.fixture
def run_with(pytester):
    def run(*given, **more):
        options = ("-p", "no:randomly", "-W", "default", "--tx=1*popen", "--benchmark-json=out.json", "--sd-history=off")
        return pytester.runpytest_inprocess(*options, plugins=[Workers(*given, **more)], no_reraise_ctrlc=True)

    return run


def row(setup, table="inference"):
    return add_group(f"test_it.py::test_row[{setup}]", Group(table, "baseline", setup))


def test_a_result_stays_whose_worker_ended_before_the_test_had(run_with, pytester):
    lost = (row("tf32"), row("fp16"))
    said = run_with([baseline_result(), tf32()], [row("baseline"), *lost], lost=lost)
    assert said.ret == pytest.ExitCode.TESTS_FAILED
    assert [one["name"] for one in stored(pytester)["benchmarks"]] == ["test_row[baseline]", "test_row[tf32]"]
    said.stdout.fnmatch_lines(
        [
            "worker gw0 ended while it ran test_it.py::test_row[[]tf32[]]: its campaign is invalid",
            "worker gw0 ended in the teardown of test_it.py::test_row[[]tf32[]]",
            "tf32 * pass*",
            "fp16 * invalid",
        ]
    )
    said.stdout.no_fnmatch_line("*did not run*")


OWN_SETUP = """
from pytest_sdspeed import Optimization

def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="plain", summary="nothing", changes=frozenset(), apply=lambda *_: None))
    registry.add_setup("mine", ["plain"])
"""


@pytest.mark.parametrize(("conftest", "table"), [("", "inference"), ("", "theirs"), (OWN_SETUP, "inference")])
def test_a_lost_row_that_is_held_to_nothing_here_fails_all_the_same(run_with, pytester, conftest, table):
    pytester.makeconftest(conftest)
    said = run_with([], [row("mine", table)], lost=[row("mine", table)])
    assert said.ret == pytest.ExitCode.TESTS_FAILED
    said.stdout.fnmatch_lines(["worker gw0 ended while it ran test_it.py::test_row[[]mine[]]: its campaign is invalid"])
    said.stdout.no_fnmatch_line("*sd speed-ups*")
    said.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_run_that_would_pass_without_a_test_fails_and_names_it(run_with):
    said = run_with([baseline_result()], [row("baseline"), row("tf32"), row("fp16"), "test_it.py::test_other"])
    assert said.ret == pytest.ExitCode.TESTS_FAILED
    missing = "test_it.py::test_row[[]tf32[]], test_it.py::test_row[[]fp16[]]"
    said.stdout.fnmatch_lines([f"sd run: failed: a worker ended, and these tests did not run: {missing}"])


def stop(_session):
    # As xdist does it on -x and --maxfail.
    raise xdist.dsession.Interrupted("stopping after 1 failures")


def interrupt(_session):
    raise KeyboardInterrupt


def fail(session):
    session.testsfailed = 1


@pytest.mark.parametrize(
    ("end", "status"),
    [(stop, pytest.ExitCode.INTERRUPTED), (interrupt, pytest.ExitCode.INTERRUPTED), (fail, pytest.ExitCode.TESTS_FAILED)],
)
def test_a_run_that_was_stopped_or_failed_says_nothing_of_tests_that_did_not_run(run_with, end, status):
    said = run_with([baseline_result()], [row("baseline"), row("tf32")], end=end)
    assert said.ret == status
    said.stdout.no_fnmatch_line("*did not run*")
    said.stdout.fnmatch_lines(["baseline * x1.00*"])


@pytest.mark.parametrize("outcome", ["skipped", "failed"])
def test_a_test_that_ended_in_its_setup_has_run(outcome):
    run = controller()
    run._order, run._gated = {"t.py::test_x": 0}, {"t.py::test_x"}
    run.pytest_runtest_logreport(pytest.TestReport("t.py::test_x", ("t.py", 0, ""), {}, outcome, None, "setup"))
    assert run._gated == run._reported


@pytest.mark.parametrize(("outcome", "ran"), [("passed", False), ("failed", True), ("skipped", True)])
def test_a_test_that_is_run_again_has_not_reported_until_it_ends_again(outcome, ran):
    run = controller()
    run._order, run._gated = {"t.py::test_x": 0}, {"t.py::test_x"}
    for when, end in (("setup", "passed"), ("call", "rerun"), ("setup", outcome)):
        run.pytest_runtest_logreport(pytest.TestReport("t.py::test_x", ("t.py", 0, ""), {}, end, None, when))
    assert ("t.py::test_x" in run._reported) is ran


def test_a_row_whose_worker_ends_while_it_runs_again_is_invalid_and_not_left_out(run_with, pytester):
    again = "test_it.py::test_row[tf32]"

    def begin_again(session, sent_id=again):
        hook = session.config.hook
        hook.pytest_runtest_logreport(report=pytest.TestReport(sent_id, ("test_it.py", 0, ""), {}, "passed", None, "setup"))

    said = run_with([baseline_result(), tf32()], [row("baseline"), row("tf32")], lost=[row("tf32")], before=begin_again)
    assert said.ret == pytest.ExitCode.TESTS_FAILED
    said.stdout.fnmatch_lines(["worker gw0 ended while it ran test_it.py::test_row[[]tf32[]]: its campaign is invalid", "tf32 * invalid"])


def test_a_worker_that_measures_nothing_is_compared_with_one_that_does(pytester):
    other = "test_it.py::test_other"

    class Two(Simulation):
        """Two workers, of which the first collects no test that measures."""

        def pytest_runtestloop(self, session):
            dsession, hook = session.config.pluginmanager.getplugin("dsession"), session.config.hook
            nodes = [Mock(gateway=SimpleNamespace(id=name)) for name in ("gw0", "gw1")]
            dsession.sched = LoadScheduling(session.config, None)
            for node in nodes:
                dsession.sched.add_node(node)
            for node, ids in zip(nodes, ([other], [other, row("tf32")]), strict=True):
                hook.pytest_xdist_node_collection_finished(node=node, ids=ids)
                dsession.sched.add_node_collection(node, ids)
            session.testscollected = 2
            assert dsession.sched.collection_is_completed
            dsession.sched.schedule()
            assert dsession.sched.tests_finished
            return True

    said = pytester.runpytest_inprocess("-p", "no:randomly", "--tx=2*popen", plugins=[Two(iter(()), 0, 2)])
    assert said.ret == pytest.ExitCode.TESTS_FAILED
    said.stdout.fnmatch_lines(["*Different tests were collected between gw0 and gw1*"])
    said.stdout.no_fnmatch_line("*did not run*")


# Refusals


def controller(**options):
    config = SimpleNamespace(getoption=options.get, getini=lambda _name: False)
    return Controller(config)


def test_every_worker_for_every_test_is_refused():
    with pytest.raises(pytest.UsageError, match="--dist=each runs every test on every worker"):
        controller(dist="each").pytest_xdist_node_collection_finished(None, ["t.py::test_x", add_group("t.py::test_y", Group())])


def test_a_run_without_gates_is_left_alone():
    controller(dist="each").pytest_xdist_node_collection_finished(None, ["t.py::test_x"])


def test_what_a_worker_cannot_do_ends_the_run():
    with pytest.raises(pytest.UsageError, match="3 workers share 2 cores"):
        controller().pytest_xdist_node_collection_finished(None, [add_problem("t.py::test_x", "3 workers share 2 cores")])


def test_more_workers_than_gpus_end_the_run(monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.plugin.distributed.controller.visible_gpus", lambda: ["0"])
    execnet = pytest.importorskip("execnet")
    one, two = execnet.XSpec("popen"), execnet.XSpec("popen")
    with pytest.raises(pytest.UsageError, match=r"^2 workers share 1 GPU: use -n 1$"):
        controller(sd_gpu=True).pytest_xdist_setupnodes([one, two])
    one = execnet.XSpec("popen")
    controller(sd_gpu=True).pytest_xdist_setupnodes([one])
    assert one.env == {"CUDA_VISIBLE_DEVICES": "0"}


def test_a_worker_that_replaces_another_has_its_placement():
    execnet = pytest.importorskip("execnet")
    specs = [execnet.XSpec("popen"), execnet.XSpec("popen")]
    run = controller()
    run.pytest_xdist_setupnodes(specs)
    node = SimpleNamespace(workerinput={}, gateway=SimpleNamespace(spec=specs[1]))
    run.pytest_configure_node(node)
    assert node.workerinput == {"sdspeed_placement": ("this host", 1, 2)}


def test_auto_is_one_worker_for_each_gpu(monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.plugin.distributed.placement.visible_gpus", lambda: ["0", "1", "2"])
    assert plugin.pytest_xdist_auto_num_workers(SimpleNamespace(getoption=lambda _: True)) == 3
    assert plugin.pytest_xdist_auto_num_workers(SimpleNamespace(getoption=lambda _: None, getini=lambda _: False)) is None
