"""Process-global flags: a leak is caught and undone, however the block ends."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from pytest_sdspeed.device import switches
from pytest_sdspeed.device.flags import guard, hold, snapshot
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.device.switches import list_flags
from pytest_sdspeed.errors import LeakedFlagError, UsageMistakeError
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS

with quiet():
    import diffusers.models.attention_dispatch  # noqa: F401 - the flag of what is not imported is not read

    NAMES = sorted(list_flags())
TWINS = "fp32_precision", "float32 matmul precision"
"""Ends of the names of flags that torch sets together with others."""
TF32 = "torch.backends.cuda.matmul.allow_tf32"
BENCHMARK = "torch.backends.cudnn.benchmark"


def other_value(name, value):
    if isinstance(value, bool):
        return not value
    if name == "diffusers attention backend":
        return next(member for member in type(value) if member != value)
    known = {
        "torch default dtype": torch.float64,
        "torch autocast dtype of cpu": torch.float16,
        "torch autocast dtype of cuda": torch.bfloat16,
        "torch default device": torch.device("meta"),
        "torch float32 matmul precision": "high",
        "torch.backends.quantized.engine": next(one for one in torch.backends.quantized.supported_engines if one not in (value, "none")),
        "torch.nn.functional.scaled_dot_product_attention": torch.nn.functional.gelu,
        "torch.backends.cuda.preferred_blas_library": torch._C._BlasBackend.Cublaslt,
        "torch.backends.cuda.preferred_linalg_library": torch._C._LinalgBackend.Cusolver,
        "processors that may be used": {min(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else None,
    }
    if name.endswith("fp32_precision"):
        return "ieee" if value == "tf32" else "tf32"
    return known.get(name, value + 1 if isinstance(value, int) else None)


def apart_from_twins(flags):
    return {name: value for name, value in flags.items() if not name.endswith(TWINS)}


def slot_of(name):
    return next(part for part in OPTIMIZATIONS if part.name == name).slot()


def test_the_switches_that_optimizations_touch_are_watched():
    assert {TF32, BENCHMARK, "torch.autocast('cuda')", "diffusers attention backend", "torch default dtype"} <= set(NAMES)


def test_nothing_left_behind_passes():
    before = snapshot()
    with guard("setup 'good'"):
        pass
    assert snapshot() == before


SETTABLE = [name for name in NAMES if not name.endswith(("modes", "hooks of every module", "profiler", "CUDA device"))]


@pytest.mark.parametrize("name", SETTABLE)
def test_a_leak_is_named_and_undone(name):
    before = snapshot()
    value = other_value(name, before[name])
    with pytest.raises(LeakedFlagError) as caught, guard("setup 'planted'"):
        list_flags()[name].write(value)
    assert str(caught.value).startswith("setup 'planted' left process-global flags behind: ")
    assert f"{name} is {value}, was {before[name]}" in str(caught.value)
    assert snapshot() == before


@pytest.mark.parametrize("name", [name for name in SETTABLE if name != "torch inference mode"])
def test_what_is_put_back_inside_is_no_leak(name):
    before = snapshot()
    value = other_value(name, before[name])
    with guard("setup 'good'"), hold({name: value}):
        assert list_flags()[name].read() == value
    assert snapshot() == before


def test_a_cuda_device_that_was_chosen_is_put_back(monkeypatch):
    current = [1]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: current.__setitem__(0, index))
    with pytest.raises(LeakedFlagError, match="torch current CUDA device is 3, was 1"), guard("setup 'planted'"):
        torch.cuda.set_device(3)
    assert current == [1]


def test_the_first_use_of_cuda_chooses_no_other_device(monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: bool(used))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with guard("setup 'good'"):
        used.append(True)


def double(_module, _args, _kwargs, result):
    return result * 2


def test_a_hook_of_every_module_that_is_taken_away_inside_is_no_leak():
    with guard("setup 'good'"):
        torch.nn.modules.module.register_module_forward_hook(double, with_kwargs=True, always_call=True).remove()


def test_a_hook_of_every_module_that_is_taken_away_comes_back_as_it_was():
    handle = torch.nn.modules.module.register_module_forward_hook(double, with_kwargs=True)
    try:
        with pytest.raises(LeakedFlagError, match="torch hooks of every module is none, was double"), guard("setup 'planted'"):
            handle.remove()
        assert torch.nn.Identity()(torch.ones(1)) == 2
    finally:
        handle.remove()
    assert torch.nn.Identity()(torch.ones(1)) == 1


def write(values):
    for name, value in values.items():
        list_flags()[name].write(value)


def write_and_raise(values, error):
    write(values)
    raise error


def test_every_leak_is_named():
    with pytest.raises(LeakedFlagError) as caught, guard("x"):
        write({BENCHMARK: True, "torch default dtype": torch.float64})
    assert BENCHMARK in str(caught.value)
    assert "torch default dtype" in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("planted"), KeyboardInterrupt()])
def test_an_exception_goes_through_and_the_switches_are_back(error):
    before = snapshot()
    with pytest.raises(type(error)) as caught, guard("setup 'planted'"):
        write_and_raise({BENCHMARK: True, TF32: True}, error)
    assert caught.value is error
    assert snapshot() == before


def test_holding_restores_after_an_exception():
    before = snapshot()
    with pytest.raises(ValueError, match="planted"), hold({TF32: True, "torch default dtype": torch.float32}):
        write_and_raise({TF32: False, "torch default dtype": torch.float64}, ValueError("planted"))
    assert snapshot() == before


def test_holding_restores_what_the_block_itself_changed():
    before = snapshot()
    with hold({BENCHMARK: True}):
        torch.backends.cudnn.benchmark = False
    with hold({BENCHMARK: before[BENCHMARK]}):
        torch.backends.cudnn.benchmark = True
    assert snapshot() == before


def test_holding_restores_the_first_when_the_second_cannot_be_set():
    before = snapshot()
    with pytest.raises(TypeError), hold({BENCHMARK: True, "torch default dtype": "no dtype"}):
        pass
    assert snapshot() == before


def test_warn_only_determinism_survives_a_leak():
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        with pytest.raises(LeakedFlagError), guard("x"):
            torch.use_deterministic_algorithms(mode=False)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(mode=False)


@pytest.mark.parametrize(("name", "flag"), [("tf32", TF32), ("cudnn_benchmark", BENCHMARK)])
def test_a_slot_sets_its_switch_only_inside(name, flag):
    before = snapshot()
    with slot_of(name):
        assert apart_from_twins(snapshot()) == apart_from_twins({**before, flag: True})
    assert apart_from_twins(snapshot()) == apart_from_twins(before)


def test_the_autocast_slot_sets_its_switch_only_inside(monkeypatch):
    # Without a CUDA device autocast would turn itself off.
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    before = snapshot()
    with slot_of("autocast"):
        assert snapshot() == {**before, "torch.autocast('cuda')": True}
    assert snapshot() == before


NEWER_TWIN = """
import sys
sys.modules["diffusers.models.attention_dispatch"] = None
import torch
from pytest_sdspeed.errors import LeakedFlagError
from pytest_sdspeed.device.flags import guard, hold, snapshot

def held():
    try:
        with hold({"torch.backends.cuda.matmul.allow_tf32": True}):
            return "held"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def leaked():
    try:
        with guard("setup 'planted'"):
            torch.backends.cuda.matmul.fp32_precision = "tf32"
    except LeakedFlagError as error:
        return str(error)

torch.set_float32_matmul_precision("medium")
print(held(), torch.get_float32_matmul_precision())
torch.set_float32_matmul_precision("highest")
print(leaked())
print(torch.backends.cuda.matmul.allow_tf32)
torch.backends.cuda.matmul.fp32_precision = "tf32"
with guard("setup 'later'"):
    pass
print(held())
"""


@pytest.mark.slow
def test_the_newer_switch_of_tf32_is_no_trap():
    # In a process of its own: torch never forgets that the newer flag was used. A diffusers without attention backends is enough.
    run = subprocess.run([sys.executable, "-c", NEWER_TWIN], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert lines[0] == "held medium"
    assert f"setup 'planted' left process-global flags behind: {TF32} is unreadable, was False" in lines[1]
    assert lines[2] == "False"
    assert lines[3] == (
        f"{UsageMistakeError.__name__}: {TF32} cannot be held: its newer twin (fp32_precision) was set in this process. "
        "Set one of the two, not both."
    )


@pytest.mark.parametrize(("names", "value"), [({}, True), ({"alias": None}, True), ({"alias": "torch._inductor.config.other"}, None)])
def test_a_setting_is_read_whether_or_not_torch_has_other_names_for_settings(names, value):
    assert switches._read_override(SimpleNamespace(user_override=True, default=False, **names)) is value


@pytest.mark.parametrize("error", [None, KeyError("planted")], ids=["returns", "raises"])
def test_casts_for_an_autocast_that_was_never_left_are_not_those_of_a_later_one(error):
    """Torch finds its casts by the weight alone, and forgets them when no autocast is entered any more."""
    layer, x = torch.nn.Linear(4, 4), torch.randn(2, 4)

    def enter_for_good():
        torch.autocast("cpu", dtype=torch.bfloat16).__enter__()
        layer(x)
        if error:
            raise error

    with pytest.raises(type(error) if error else LeakedFlagError), guard("setup 'planted'"):
        enter_for_good()
    with torch.autocast("cpu", dtype=torch.float16):
        assert layer(x).dtype == torch.float16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
