"""Where the workers of pytest-xdist are measured: their cores, threads and GPUs."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import execnet
import pytest

from pytest_sdspeed.errors import DistributedError
from pytest_sdspeed.plugin.distributed import placement
from pytest_sdspeed.plugin.distributed.placement import LOCAL, Placement, assign_gpus, cores, place_workers, share, visible_gpus


def specs(*texts):
    return [execnet.XSpec(spec) for spec in texts]


def test_workers_are_counted_by_host():
    found = place_workers(specs("popen", "ssh=lab//python=python3", "popen//chdir=x", "socket=10.0.0.1:8888", "ssh=lab", "popen//via=lab2"))
    assert found == [
        Placement(LOCAL, 0, 2),
        Placement("lab", 0, 2),
        Placement(LOCAL, 1, 2),
        Placement("10.0.0.1", 0, 1),
        Placement("lab", 1, 2),
        Placement("lab2", 0, 1),
    ]


@pytest.mark.parametrize(
    ("siblings", "expected"),
    [
        ({0: "0", 1: "1", 2: "2", 3: "3"}, [(0,), (1,), (2,), (3,)]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [(0, 2), (1, 3)]),
        ({0: "0-1\n", 1: "0-1\n", 2: "2-3\n", 3: "2-3\n"}, [(0, 1), (2, 3)]),
        ({}, [(0,), (1,), (2,), (3,)]),
    ],
)
def test_hyper_threads_of_a_core_are_one(siblings, expected):
    assert cores({0, 1, 2, 3}, lambda processor: siblings.get(processor, "")) == expected


def test_a_hyper_thread_that_may_not_be_used_does_not_hide_its_core():
    assert cores({2, 3}, {2: "0,2", 3: "1,3"}.get) == [(2,), (3,)]


def test_cores_are_shared_out_evenly_and_disjoint():
    found = [(number,) for number in range(7)]
    parts = [share(found, Placement(LOCAL, number, 3)) for number in range(3)]
    assert parts == [[(0,), (1,)], [(2,), (3,)], [(4,), (5,)]]


def test_too_few_cores_are_refused_with_the_number_that_works():
    with pytest.raises(DistributedError, match=r"3 workers share 2 cores \(4 processors: hyper-threads share a core\): use -n 2 or fewer"):
        share([(0, 2), (1, 3)], Placement(LOCAL, 0, 3))


def test_a_system_that_cannot_pin_is_refused(monkeypatch):
    monkeypatch.delattr("os.sched_setaffinity", raising=False)
    with pytest.raises(DistributedError, match="cannot be pinned"):
        placement.pin(Placement(LOCAL, 0, 1))


@pytest.mark.parametrize("loaded", [True, False])
def test_torch_has_as_many_threads_as_cores_now_or_when_it_is_imported(monkeypatch, loaded):
    threads = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=threads.append))
    if not loaded:
        monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda _process: {0})
    monkeypatch.setattr(placement.os, "sched_setaffinity", lambda *_task: None)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "9")
    assert placement.pin(Placement(LOCAL, 0, 1)).endswith("on 1 core of its own")
    assert (threads, os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ([1] if loaded else [], "1", "1")


@pytest.mark.parametrize(
    ("environ", "count", "expected"),
    [
        ({}, 3, ["0", "1", "2"]),
        ({"CUDA_VISIBLE_DEVICES": "2, GPU-abc"}, 2, ["2", "GPU-abc"]),
        ({"CUDA_VISIBLE_DEVICES": "1,-1,2"}, 1, ["1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-a,MIG-b"}, 1, ["MIG-a", "MIG-b"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0, []),
    ],
)
def test_visible_gpus_keep_the_names_they_have(monkeypatch, environ, count, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert visible_gpus(environ) == expected


def test_every_worker_sees_one_gpu():
    workers = specs("popen", "popen//env:CUDA_VISIBLE_DEVICES=1", "popen", "ssh=lab", "ssh=lab")
    assign_gpus(workers, lambda: ["0", "1", "GPU-abc"])
    assert [spec.env["CUDA_VISIBLE_DEVICES"] for spec in workers] == ["0", "1", "GPU-abc", "0", "1"]


def test_local_gpus_are_not_counted_where_no_worker_needs_one():
    assign_gpus(specs("ssh=lab"), pytest.fail)


def test_more_local_workers_than_gpus_are_refused():
    with pytest.raises(DistributedError, match=r"3 workers share 2 GPUs: use -n 2$"):
        assign_gpus(specs("popen", "popen", "popen"), lambda: ["0", "1"])


def test_workers_that_have_every_gpu_by_name_leave_none_to_others():
    execnet = pytest.importorskip("execnet")
    named, open_ = execnet.XSpec("popen//env:CUDA_VISIBLE_DEVICES=0"), execnet.XSpec("popen")
    with pytest.raises(DistributedError, match=r"^1 worker without a GPU, and none is left: name fewer workers$"):
        assign_gpus([named, open_], lambda: ["0"])


# Other accelerators, and containers


@pytest.mark.parametrize(
    ("kind", "devices", "environ", "expected"),
    [
        ("xpu", 2, {}, ("ZE_AFFINITY_MASK", ["0", "1"])),
        ("xpu", 1, {"ZE_AFFINITY_MASK": "3", "CUDA_VISIBLE_DEVICES": "0,1"}, ("ZE_AFFINITY_MASK", ["3"])),
        ("mps", 1, {}, ("CUDA_VISIBLE_DEVICES", ["0"])),
    ],
)
def test_gpus_of_another_kind_have_the_names_of_their_own_variable(monkeypatch, kind, devices, environ, expected):
    monkeypatch.setattr(placement, "find_kind", lambda: kind)
    monkeypatch.setattr(placement, "find_module", lambda asked: SimpleNamespace(device_count=lambda: devices if asked == kind else 9))
    assert (placement.find_variable(), visible_gpus(environ)) == expected


def test_every_worker_sees_one_xpu():
    workers = specs("popen", "popen")
    assign_gpus(workers, lambda: ["0", "1"], "ZE_AFFINITY_MASK")
    assert [spec.env for spec in workers] == [{"ZE_AFFINITY_MASK": "0"}, {"ZE_AFFINITY_MASK": "1"}]


@pytest.mark.parametrize(("quota", "expected"), [(None, 4), (8.0, 4), (4.0, 4), (3.9, 3), (2.0, 2), (0.5, 1)])
def test_a_quota_counts_as_so_many_cores(quota, expected):
    found = [(number, number + 4) for number in range(4)]
    assert len(share(found, Placement(LOCAL, 0, 1), quota)) == expected


def test_more_workers_than_the_quota_keeps_busy_are_refused():
    found = [(number,) for number in range(64)]
    with pytest.raises(
        DistributedError, match=r"^4 workers share 2 cores \(64, of which this container's quota keeps 2\.5 busy\): use -n 2 or f"
    ):
        share(found, Placement(LOCAL, 0, 4), 2.5)
    assert share(found, Placement(LOCAL, 1, 2), 2.5) == [(1,)]


def test_a_worker_is_pinned_within_the_quota(monkeypatch):
    pinned = []
    monkeypatch.setattr(placement, "read_quota", lambda: 2.0)
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda _process: set(range(8)))
    monkeypatch.setattr(placement.os, "sched_setaffinity", lambda _task, processors: pinned.append(processors))
    monkeypatch.setattr(placement, "_siblings", lambda _processor: "")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=lambda _count: None))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "9")
    assert placement.pin(Placement(LOCAL, 1, 2)).endswith("on 1 core of its own")
    assert {*map(frozenset, pinned)} == {frozenset({1})}
