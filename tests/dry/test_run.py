"""The block of a dry run leaves nothing behind, whatever happens inside."""

import ctypes
import sys

import pytest
import torch

from pytest_sdspeed.dry.guard import allow_cuda
from pytest_sdspeed.dry.run import count
from pytest_sdspeed.dry.tensors import CountedTensor
from pytest_sdspeed.errors import DryRunError, UnsupportedError


def describe_torch():
    """Return all of torch that a dry run touches."""
    state = {f"cuda.{name}": value for name, value in vars(torch.cuda).items() if not name.startswith("__")}
    if hasattr(torch, "accelerator"):
        state |= {f"accelerator.{name}": value for name, value in vars(torch.accelerator).items() if not name.startswith("__")}
    state |= {f"jit.{name}": getattr(torch.jit, name) for name in ("trace", "trace_module")}
    state["Generator"] = torch.Generator
    state["overwrite"] = torch.__future__.get_overwrite_module_params_on_conversion()
    state["modes"] = torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()
    state["stance"] = torch._dynamo.eval_frame._stance.stance
    state["default device"] = torch.get_default_device()
    return state


def find_guards():
    """Return what switches between devices, for the CPU and a GPU, or None if this torch has its own."""
    if torch.backends.cuda.is_built() or sys.platform != "linux":
        return None
    library = ctypes.CDLL(f"{torch.__path__[0]}/lib/libc10.so")
    return list((ctypes.c_void_p * 2).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE"))


def test_nothing_is_left_after_the_block():
    before, guards = describe_torch(), find_guards()
    with count():
        torch.zeros(2, device="cuda").sum().item()
        assert torch.cuda.is_available()
        assert describe_torch() != before
    assert describe_torch() == before
    assert find_guards() == guards
    assert not torch.cuda.is_available()
    with pytest.raises((RuntimeError, AssertionError)):
        torch.zeros(2, device="cuda")


@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_nothing_is_left_after_an_exception(error):
    before, guards = describe_torch(), find_guards()
    with pytest.raises(type(error)), count():
        raise error
    assert describe_torch() == before
    assert find_guards() == guards


def test_nothing_is_left_after_an_error_of_the_device():
    before = describe_torch()
    with pytest.raises(DryRunError), count(values_up_to=0):
        torch.zeros(2, device="cuda").sum().item()
    assert describe_torch() == before


def test_the_switch_that_somebody_set_stays_set():
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with count():
            pass
        assert torch.__future__.get_overwrite_module_params_on_conversion()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def test_a_block_after_another_begins_with_nothing_held():
    with count() as first:
        kept = torch.zeros(8, device="cuda")
        assert first.held == 32
    with count() as second:
        assert second.held == 0
        assert second.events == []
    del kept
    assert first.held == 0


def test_a_tensor_of_the_device_is_of_no_use_outside():
    with count():
        kept = torch.zeros(8, device="cuda")
    with pytest.raises(RuntimeError, match="outside of the dry run"):
        kept + 1
    assert "CountedTensor" in repr(kept)


def test_a_block_inside_another_is_refused_and_the_outer_goes_on():
    with count() as outer:
        x = torch.ones(2, device="cuda")
        before = describe_torch()
        with pytest.raises(UnsupportedError, match="inside another"), count():
            pass
        assert describe_torch() == before
        assert (x + 1).sum().item() == 4
    assert len(outer.events) == 4


def test_the_guard_is_put_back_when_two_blocks_overlap():
    guards = find_guards()
    with allow_cuda():
        with allow_cuda():
            pass
        with count():
            assert torch.ones(2, device="cuda")[0].item() == 1
    assert find_guards() == guards


def test_what_packages_remember_about_gpus_is_asked_again(monkeypatch):
    from functools import lru_cache

    import diffusers.utils.torch_utils as module

    @lru_cache
    def has_gpu():
        return torch.cuda.is_available()

    monkeypatch.setattr(module, "has_gpu", has_gpu, raising=False)
    assert not has_gpu()
    with count():
        assert has_gpu()
    assert not has_gpu()


def test_the_host_computes_as_before_and_is_not_counted():
    with count() as ledger:
        x = torch.arange(6.0).reshape(2, 3)
        x[0, 0] = 7
        y = (x @ x.t()).sum().item() + float(x[x > 2].max())
        x.nonzero(), x.tolist(), torch.unique(x), torch.nn.Linear(3, 2)(x)
        assert type(x) is torch.Tensor
        assert not isinstance(x, CountedTensor)
    assert y
    assert ledger.events == []
