"""The controller of workers that are made up: what it refuses, and what it makes of their reports."""

import json
from types import SimpleNamespace

import pytest
from fakes import baseline_result, failed, result, tf32
from fleet import Simulation

from pytest_sdspeed import plugin
from pytest_sdspeed.plugin.distributed.controller import Controller
from pytest_sdspeed.plugin.distributed.groups import Group, add_group, add_problem
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
    monkeypatch.setattr("pytest_sdspeed.store.records._facts", lambda *_: vars_of(baseline_result()))
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
    with pytest.raises(pytest.UsageError, match="3 workers for 2 cores"):
        controller().pytest_xdist_node_collection_finished(None, [add_problem("t.py::test_x", "3 workers for 2 cores")])


def test_more_workers_than_gpus_end_the_run(monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.plugin.distributed.controller.visible_gpus", lambda: ["0"])
    execnet = pytest.importorskip("execnet")
    one, two = execnet.XSpec("popen"), execnet.XSpec("popen")
    with pytest.raises(pytest.UsageError, match="2 workers for 1 visible GPU: "):
        controller(sd_gpu=True).pytest_xdist_setupnodes([one, two])
    one = execnet.XSpec("popen")
    controller(sd_gpu=True).pytest_xdist_setupnodes([one])
    assert one.env == {"CUDA_VISIBLE_DEVICES": "0"}


def test_a_worker_that_replaces_another_has_its_seat():
    execnet = pytest.importorskip("execnet")
    specs = [execnet.XSpec("popen"), execnet.XSpec("popen")]
    run = controller()
    run.pytest_xdist_setupnodes(specs)
    node = SimpleNamespace(workerinput={}, gateway=SimpleNamespace(spec=specs[1]))
    run.pytest_configure_node(node)
    assert node.workerinput == {"sdspeed_seat": ("this host", 1, 2)}


def test_auto_is_one_worker_for_each_gpu(monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.plugin.distributed.placement.visible_gpus", lambda: ["0", "1", "2"])
    assert plugin.pytest_xdist_auto_num_workers(SimpleNamespace(getoption=lambda _: True)) == 3
    assert plugin.pytest_xdist_auto_num_workers(SimpleNamespace(getoption=lambda _: None, getini=lambda _: False)) is None
