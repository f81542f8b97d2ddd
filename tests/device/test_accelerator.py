"""Accelerators that torch may have: found, waited for, seeded, metered and named, on stand-ins; and none begun just to ask."""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace

import pytest
import torch
from accelerators import Metal, StandIn, forget, install, refuse

from pytest_sdspeed.device import accelerator, machine
from pytest_sdspeed.device.accelerator import (
    find_build_without_accelerators,
    find_kind,
    free_device_memory,
    list_used,
    synchronize,
)
from pytest_sdspeed.device.flags import guard
from pytest_sdspeed.device.machine import describe_accelerator
from pytest_sdspeed.device.memory import AllocatorMemory, DriverMemory, find_meter
from pytest_sdspeed.device.seeds import hold_seeds
from pytest_sdspeed.device.switches import list_flags
from pytest_sdspeed.errors import LeakedFlagError, OutOfMemoryError, UnsupportedError, explain


@pytest.fixture(autouse=True)
def forgotten():
    yield
    forget()


# Which there is


def test_a_build_without_accelerators_has_none(monkeypatch):
    install(monkeypatch, None, None)
    assert (find_kind(), list_used()) == (None, [])


def test_torch_that_raises_without_an_accelerator_has_none(monkeypatch):
    def raises():
        raise RuntimeError("Cannot access accelerator device when none is available.")

    monkeypatch.setattr(torch.accelerator, "current_accelerator", raises)
    assert (find_kind(), list_used()) == (None, [])
    synchronize()


NONE = "__version__ = '2.13.0+cpu'\ncuda: str | None = None\nhip: str | None = None\nxpu: str | None = None\n"


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Let a process that has not imported torch find one that says of itself what is given, on Linux, extended by nothing."""

    def give(version):
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('it was imported')\n")
        if version:
            (tmp_path / "torch" / "version.py").write_text(version)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "torch")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(accelerator, "entry_points", lambda **_group: ())
    return give


def test_a_build_for_no_accelerator_is_known_without_importing_it(built):
    built(NONE)
    assert find_build_without_accelerators() == "2.13.0+cpu"


@pytest.mark.parametrize(
    "version",
    [
        NONE.replace("cuda: str | None = None", "cuda = '13.0'"),
        NONE.replace("hip: str | None = None", "hip = '7.0.1'"),
        NONE.replace("xpu: str | None = None", "xpu = '20250301'"),
        NONE.replace("xpu: str | None = None", ""),
        "",
    ],
    ids=["CUDA", "ROCm", "XPU", "it does not say", "no file"],
)
def test_a_build_that_may_have_an_accelerator_is_asked_itself(built, version):
    built(version)
    assert find_build_without_accelerators() is None


def test_torch_that_is_extended_is_asked_itself(built, monkeypatch):
    built(NONE)
    monkeypatch.setattr(accelerator, "entry_points", lambda group: {"torch.backends": ["torch_npu"]}[group])
    assert find_build_without_accelerators() is None


def test_torch_on_a_mac_is_asked_itself(built, monkeypatch):
    built(NONE)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_build_without_accelerators() is None


def test_torch_that_is_imported_is_asked_itself(built, monkeypatch):
    built(NONE)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert find_build_without_accelerators() is None


@pytest.mark.parametrize(("kind", "module"), [("cuda", StandIn(devices=0)), ("xpu", StandIn(devices=0)), ("mps", Metal(devices=0))])
def test_a_build_without_a_device_has_none(monkeypatch, kind, module):
    module.begun = False
    install(monkeypatch, kind, module)
    assert (find_kind(), list_used()) == (None, [])
    synchronize()
    assert module.waited == []


@pytest.mark.parametrize(("kind", "module"), [("cuda", StandIn()), ("xpu", StandIn()), ("mps", Metal()), ("hpu", StandIn())])
def test_the_accelerator_of_torch_is_found_and_waited_for(monkeypatch, kind, module):
    install(monkeypatch, kind, module)
    assert (find_kind(), list_used()) == (kind, [kind])
    synchronize()
    assert module.waited == [None]


# Waiting


def test_a_device_that_is_not_used_yet_is_neither_begun_nor_waited_for(monkeypatch):
    module = install(monkeypatch, "xpu", StandIn(begun=False))
    refuse(monkeypatch)
    # If a test before has compiled something, Dynamo itself asks for CUDA.
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    synchronize()
    free_device_memory()
    with hold_seeds(7):
        pass
    assert (module.begun, module.waited, module.emptied) == (False, [], 0)


def test_without_torch_nothing_is_imported_to_wait(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    synchronize()
    assert "torch" not in sys.modules


def test_torch_that_is_just_being_imported_is_not_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    synchronize()


def test_cuda_is_waited_for_beside_an_accelerator_of_another_package(monkeypatch):
    cuda = StandIn()
    other = install(monkeypatch, "hpu", StandIn())
    monkeypatch.setattr(torch, "cuda", cuda)
    synchronize()
    assert (cuda.waited, other.waited) == ([None], [None])


def test_every_device_of_cuda_with_a_context_is_waited_for_and_no_other(monkeypatch):
    module = install(monkeypatch, "cuda", StandIn(devices=4))
    monkeypatch.setattr(torch._C, "_cuda_hasPrimaryContext", lambda index: index in (0, 2), raising=False)
    synchronize()
    assert module.waited == [0, 2]


def test_cuda_that_does_not_tell_contexts_waits_for_the_current_device(monkeypatch):
    module = install(monkeypatch, "cuda", StandIn(devices=4))
    monkeypatch.delattr(torch._C, "_cuda_hasPrimaryContext", raising=False)
    synchronize()
    assert module.waited == [None]


def test_every_xpu_is_waited_for(monkeypatch):
    module = install(monkeypatch, "xpu", StandIn(devices=2))
    synchronize()
    assert module.waited == [0, 1]


def test_a_forked_process_does_not_wait_for_metal_which_would_break_it(monkeypatch):
    module = install(monkeypatch, "mps", Metal(forked=True))
    synchronize()
    assert module.waited == []


# Memory


def test_memory_is_given_back_if_the_module_can(monkeypatch):
    module = install(monkeypatch, "xpu", StandIn())
    free_device_memory()
    assert module.emptied == 1
    monkeypatch.setattr(torch, "xpu", SimpleNamespace(is_initialized=lambda: True))
    free_device_memory()


def test_an_xpu_tells_its_peak_without_what_was_there_before():
    module = StandIn()
    module.now = module.peak = 300
    module.submit(0, 900)
    meter = find_meter(module)
    assert type(meter) is AllocatorMemory
    meter.start()
    module.submit(0, 50)
    assert meter.peak_bytes() == 50
    assert meter.shortage() == "; 0.00 GiB were allocated and it asked for more"


def test_metal_tells_what_its_pools_took_since_they_were_emptied():
    module = Metal()
    module.used = 100
    module.take(5 * 2**30)
    meter = find_meter(module)
    assert type(meter) is DriverMemory
    meter.start()
    assert meter.peak_bytes() == 0
    module.take(2**30)
    assert meter.peak_bytes() == 2**30
    assert meter.shortage() == "; 1.00 GiB were taken and it asked for more"


def test_an_accelerator_that_tells_no_peak_has_no_meter():
    assert find_meter(SimpleNamespace()) is None
    # Half of the statistics is no statistic.
    assert find_meter(SimpleNamespace(max_memory_allocated=lambda: 1, memory_allocated=lambda: 1)) is None


@pytest.mark.parametrize(
    "said",
    [
        "HIP error: out of memory",
        "HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
        "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
        "MPS backend out of memory (MPS allocated: 17.91 GB, other allocations: 3.00 MB, max allowed: 18.13 GB).",
    ],
)
def test_what_runtimes_say_when_memory_runs_out_is_understood(said):
    assert type(explain("candidate", RuntimeError(said))) is OutOfMemoryError


# Seeds


@pytest.mark.parametrize(("kind", "seeded"), [("xpu", "manual_seed_all"), ("mps", "manual_seed")])
def test_generators_are_seeded_and_put_back(monkeypatch, kind, seeded):
    module = install(monkeypatch, kind, StandIn(devices=2) if kind == "xpu" else Metal())
    getattr(module, seeded)(5)
    cpu, python = torch.get_rng_state(), random.getstate()
    with hold_seeds(7):
        inside = getattr(module, "states", None) or [module.state]
        getattr(module, seeded)(9)
    after = getattr(module, "states", None) or [module.state]
    assert (set(inside), set(after)) == ({7}, {5})
    assert torch.equal(torch.get_rng_state(), cpu)
    assert random.getstate() == python


def test_an_accelerator_without_generators_is_left_alone(monkeypatch):
    install(monkeypatch, "hpu", SimpleNamespace(device_count=lambda: 1, is_initialized=lambda: True))
    monkeypatch.setattr(torch, "manual_seed", torch.default_generator.manual_seed)
    with hold_seeds(7):
        assert torch.initial_seed() == 7


# Names


def test_an_xpu_is_named_and_said_to_be_untried(monkeypatch):
    install(monkeypatch, "xpu", StandIn(devices=2))
    refuse(monkeypatch)
    monkeypatch.setattr(machine, "_computes_in_bfloat16", lambda _kind: True)
    found = describe_accelerator()
    assert (found.kind, found.device, found.capability, found.features) == ("xpu", "Intel(R) Arc(TM) B580", None, {"bf16"})
    assert found.notes == (
        "measured on xpu:0, Intel(R) Arc(TM) B580, of 2 visible GPUs",
        "XPU is untried on hardware: this plugin was tested with a stand-in for it",
    )


@pytest.mark.parametrize("told", [True, False])
def test_metal_has_the_name_that_torch_tells_else_that_of_its_machine(monkeypatch, told):
    install(monkeypatch, "mps", Metal())
    if told:
        monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M4 Max", raising=False)
    else:
        monkeypatch.delattr(torch.backends.mps, "get_name", raising=False)
    monkeypatch.setattr(machine.platform, "processor", lambda: "arm")
    found = describe_accelerator()
    assert (found.kind, found.device) == ("mps", "Apple M4 Max" if told else "MPS of arm")
    assert found.features == frozenset()  # here no bfloat16 can be tried


def test_rocm_is_cuda_without_its_compute_capability(monkeypatch):
    module = StandIn()
    module.init = lambda: None
    module.get_device_name = lambda: "AMD Instinct MI300X"
    module.get_device_capability = lambda: (9, 4)
    install(monkeypatch, "cuda", module)
    monkeypatch.setattr(torch.version, "hip", "6.4.2")
    monkeypatch.setattr(torch.version, "cuda", None)
    found = describe_accelerator()
    assert (found.kind, found.device, found.capability) == ("cuda", "AMD Instinct MI300X", None)
    assert found.notes == ("ROCm is untried on hardware: this plugin was tested with a stand-in for it",)


def test_a_build_for_xpu_without_one_says_so(monkeypatch):
    install(monkeypatch, "xpu", StandIn(devices=0, begun=False))
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(
        UnsupportedError, match=r"^--sd-gpu needs a CUDA GPU: torch \S+ is a build without CUDA, and sees no device of XPU, for"
    ):
        describe_accelerator()


# Switches


def test_a_chosen_xpu_is_put_back_and_its_autocast_is_watched(monkeypatch):
    module = install(monkeypatch, "xpu", StandIn(devices=2))
    with pytest.raises(LeakedFlagError, match="torch current XPU device is 1, was 0"), guard("setup 'planted'"):
        module.set_device(1)
    assert module.index == 0
    assert "torch.autocast('xpu')" in list_flags()
    forget()
    install(monkeypatch, None, None)
    assert "torch.autocast('xpu')" not in list_flags()


def test_a_count_is_asked_once(monkeypatch):
    module, asked = install(monkeypatch, "xpu", StandIn()), []
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: asked.append(1) or module.devices)
    assert [accelerator.find_kind() for _ in range(3)] == ["xpu"] * 3
    assert len(asked) == 1
