"""What a setup tells of its costs: weights on its device, memory that is reserved, steps, and what its arm passes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sdspeed.device import memory
from pytest_sdspeed.model import Case, Profile
from pytest_sdspeed.model.costs import Loaded
from pytest_sdspeed.run.targets import Target


class Reserved:
    """Memory that a generation takes 30 bytes of, in segments of 512."""

    def __init__(self):
        self.started = False

    def start(self):
        self.started = True

    def taken_bytes(self):
        assert self.started
        return 30

    def count_segments(self, addresses):
        assert addresses
        return 512


def test_on_a_cpu_weights_are_counted_and_nothing_is_reserved(make_small):
    setup = make_small()
    assert setup.measure_loaded() == Loaded(setup.weight_bytes(), None)
    assert setup.weight_bytes() > 10_000


def test_what_is_not_on_the_device_is_not_held_there(make_small, cpu):
    elsewhere = make_small(machine=cpu)
    elsewhere._machine = replace(cpu, kind="xpu")
    assert elsewhere.weight_bytes() == 0


def test_a_device_that_tells_has_reserved_memory_after_loading_and_in_the_profile(make_small, monkeypatch):
    setup = make_small()
    monkeypatch.setattr(memory, "find_reserved_memory", lambda _kind: Reserved())
    assert setup.measure_loaded() == Loaded(setup.weight_bytes(), 512)
    assert setup.profile(Case(0)).reserved_bytes == 30


def test_a_profile_counts_the_steps_of_a_whole_generation(make_small, monkeypatch):
    setup = make_small()
    found = setup.profile(Case(0))
    assert (found.steps, found.reserved_bytes) == (2, None)
    whole = setup.draw

    def breaking(case):
        whole(case)
        raise RuntimeError("no memory for pictures")

    monkeypatch.setattr(setup, "draw", breaking)
    assert setup.profile(Case(0)).steps is None


@pytest.mark.parametrize("unit", ["call", "denoising", "denoiser", "decode"])
def test_an_arm_is_timed_by_its_unit(make_small, unit):
    setup = make_small()
    setup = make_small(recipe=replace(setup.recipe, unit=unit))
    arm = Target.of(setup).arm(None)
    assert arm.timed == (None if unit == "call" else setup.time_unit)
    assert (arm.loaded, arm.generate) == (setup.measure_loaded, setup.draw)


def test_profiles_of_before_have_no_steps():
    assert (Profile().steps, Profile().reserved_bytes) == (None, None)
