"""What a call that takes turns has set goes with it, and nobody else sees it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from pytest_sdspeed.device.flags import restore, snapshot
from pytest_sdspeed.device.seeds import Generators, hold_seeds
from pytest_sdspeed.device.switches import count_autocasts
from pytest_sdspeed.device.thread_state import ThreadState
from pytest_sdspeed.errors import UnstageableError


def lend(state, *, ended=False):
    return state.lend("it", lambda: ended)


def draws():
    return random.random(), np.random.random_sample(), float(torch.rand(()))  # noqa: NPY002 - the generators of the process


SET = {
    "gradients": (lambda: torch.set_grad_enabled(mode=False), torch.is_grad_enabled),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", *[True]), lambda: torch.is_autocast_enabled("cpu")),
    "type of autocast": (lambda: torch.set_autocast_dtype("cpu", torch.float16), lambda: torch.get_autocast_dtype("cpu")),
    "default type": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "attention": (lambda: torch.backends.cuda.enable_flash_sdp(enabled=False), torch.backends.cuda.flash_sdp_enabled),
    "TF32": (lambda: torch.set_float32_matmul_precision("medium"), torch.get_float32_matmul_precision),
}


@pytest.mark.parametrize("name", SET)
def test_what_a_call_sets_is_put_aside_when_it_stops_and_is_there_when_it_goes_on(name):
    change, read = SET[name]
    state, other, before, flags = ThreadState(), ThreadState(), read(), snapshot()
    with lend(state):
        assert read() == before
        change()
        changed = read()
    assert changed != before
    with lend(other):
        assert read() == before
    with lend(state):
        assert read() == changed
    with lend(state, ended=True):
        assert read() == changed
        SET_BACK[name](before)
    assert restore(flags) == []
    state.forget()
    other.forget()


SET_BACK = {
    "gradients": torch.set_grad_enabled,
    "autocast": lambda value: torch.set_autocast_enabled("cpu", value),
    "type of autocast": lambda value: torch.set_autocast_dtype("cpu", value),
    "default type": torch.set_default_dtype,
    "attention": torch.backends.cuda.enable_flash_sdp,
    "TF32": torch.set_float32_matmul_precision,
}


def test_what_it_leaves_when_it_has_returned_is_for_others_to_judge():
    state, before = ThreadState(), torch.get_default_dtype()
    with lend(state):
        torch.set_default_dtype(torch.float64)
    assert torch.get_default_dtype() == before
    with lend(state, ended=True):
        pass
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(before)


def test_generators_go_on_where_the_call_stopped_whatever_a_slot_seeds():
    with hold_seeds(7):
        whole = [draws() for _ in range(3)]
    states = [ThreadState(), ThreadState()]
    found = [[], []]
    for _ in range(3):
        for state, own in zip(states, found, strict=True):
            with hold_seeds(7), lend(state):
                own.append(draws())
    assert found == [whole, whole]


def test_generators_of_nobody_are_where_they_were():
    before = Generators.read()
    state = ThreadState()
    with lend(state):
        expected = draws()
    after = draws()
    before.write()
    assert draws() == after == expected


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.device("meta")], ids=["inference mode", "device"])
def test_a_mode_that_is_left_open_is_refused_and_named(mode):
    held = mode()
    try:
        with pytest.raises(UnstageableError, match=r"it: its pipeline denoises inside of .*: torch "), lend(ThreadState()):
            held.__enter__()
    finally:
        held.__exit__(None, None, None)


def test_what_it_raises_comes_through():
    before = torch.get_default_dtype()
    with pytest.raises(KeyboardInterrupt), lend(ThreadState()):
        raise KeyboardInterrupt
    assert torch.get_default_dtype() == before


@pytest.fixture
def before():
    """An earlier test may have entered autocast and never left it."""
    return count_autocasts()


def test_casts_are_kept_while_a_call_under_autocast_has_stopped_and_no_longer(before):
    state, plain = ThreadState(), ThreadState()
    for _ in range(2):
        with torch.autocast("cpu"), lend(state):
            pass
        assert count_autocasts() == before + 1
        with lend(plain):
            pass
    assert state.casts
    assert not plain.casts
    with torch.autocast("cpu"), lend(state, ended=True):
        pass
    assert count_autocasts() == before
    state.forget()
    assert count_autocasts() == before


def test_an_abandoned_call_keeps_no_casts(before):
    state = ThreadState()
    with torch.autocast("cpu"), lend(state):
        pass
    state.forget()
    assert count_autocasts() == before
