"""One unit of a call timed by itself, on a clock that its parts move: the text encoder takes 10 s, a forward 1 s, a step 0.1 s, decoding 5 s."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeClock

from pytest_sdspeed.errors import GenerationError
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines import units
from pytest_sdspeed.pipelines.units import Loop, UnitTimer, make_timestamps, replace_method, show_decoded, watch_calls

FIRST, OTHER = Case(0), Case(1)


class Times:
    """Points in the time of a fake clock."""

    def __init__(self, clock):
        self.now = lambda: clock.seconds

    def seconds(self, start, end):
        return end - start


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(units, "make_timestamps", lambda _kind: Times(clock))
    return clock


@pytest.fixture
def timed(make_small, clock):
    """A setup of two steps whose parts take their time, by the unit; ``slow`` makes a part's time longer."""

    def make(unit, **slow):
        setup = make_small()
        setup = make_small(recipe=replace(setup.recipe, unit=unit))
        pipeline = setup.pipeline
        spends = {"text_encoder": 10.0, "unet": 1.0, **slow}
        hooks = [
            getattr(pipeline, name).register_forward_hook(lambda *_, name=name: clock.spend(spends[name]) or None)
            for name in ("text_encoder", "unet")
        ]

        def slow_down(name, seconds):
            def wrap(method):
                def call(*args, **kwargs):
                    clock.spend(slow.get(name, seconds))
                    return method(*args, **kwargs)

                return call

            return wrap

        held = [
            replace_method(pipeline.vae, "decode", slow_down("decode", 5.0)),
            replace_method(pipeline.scheduler, "step", slow_down("step", 0.1)),
        ]
        for one in held:
            one.__enter__()
        made.append((hooks, held))
        return setup

    made = []
    yield make
    for hooks, held in made:
        for hook in hooks:
            hook.remove()
        for one in reversed(held):
            one.__exit__(None, None, None)


def time_unit(setup, case=FIRST):
    with torch.no_grad(), setup._hold():
        return setup.time_unit(case)


def draw(setup, case=FIRST):
    with torch.no_grad(), setup._hold():
        return setup.draw(case)


@pytest.mark.parametrize(("unit", "seconds"), [("denoising", 2.2), ("denoiser", 1.0), ("decode", 5.0)])
def test_the_unit_alone_is_timed_every_time(timed, unit, seconds):
    setup = timed(unit)
    assert [time_unit(setup)[1] for _ in range(3)] == [pytest.approx(seconds)] * 3


@pytest.mark.parametrize(
    ("unit", "part", "seconds", "found"),
    [
        ("decode", "decode", 5.3, 5.3),
        ("decode", "unet", 9.0, 5.0),
        ("denoiser", "unet", 1.06, 1.06),
        ("denoiser", "decode", 9.0, 1.0),
        ("denoising", "step", 0.2, 2.4),
        ("denoising", "text_encoder", 99.0, 2.2),
        ("denoising", "decode", 99.0, 2.2),
    ],
)
def test_what_slows_the_unit_is_in_it_and_what_slows_others_is_not(timed, unit, part, seconds, found):
    assert time_unit(timed(unit, **{part: seconds}))[1] == pytest.approx(found)


@pytest.mark.parametrize("unit", ["denoising", "decode"])
def test_the_pictures_are_those_of_the_call(timed, unit):
    setup = timed(unit)
    for case in (FIRST, OTHER, FIRST):
        pictures, _ = time_unit(setup, case)
        assert np.array_equal(pictures, draw(setup, case))


def test_a_forward_returns_an_array_that_is_the_same_every_time_and_another_for_another_case(timed):
    setup = timed("denoiser")
    first, again, other = (keep(time_unit(setup, case)[0]) for case in (FIRST, FIRST, OTHER))
    assert first.kind == "array"
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)


def test_a_whole_call_is_drawn_once_for_each_case(timed, monkeypatch):
    setup, drawn = timed("decode"), []
    whole = setup.draw
    monkeypatch.setattr(setup, "draw", lambda case: (drawn.append(case), whole(case))[1])
    for case in (FIRST, FIRST, OTHER, FIRST):
        time_unit(setup, case)
    assert drawn == [FIRST, OTHER]


def test_a_pipeline_that_was_built_again_is_captured_again(make_small):
    setup = make_small()
    setup = make_small(recipe=replace(setup.recipe, unit="decode"))
    time_unit(setup)
    before = setup._unit_timer
    setup.release()
    assert setup._unit_timer is None
    time_unit(setup)
    assert setup._unit_timer is not before


def test_nothing_is_left_on_the_pipeline(timed):
    setup = timed("denoising")
    pipeline = setup.pipeline
    before = [dict(vars(part)) for part in (pipeline.vae, pipeline.scheduler)]
    hooks = len(pipeline.unet._forward_hooks)
    for unit in ("denoising", "denoiser", "decode"):
        with torch.no_grad(), setup._hold():
            UnitTimer(pipeline, setup.draw, unit, "tested", "cpu").time(FIRST)
    # What a call leaves in the scheduler, its time steps, is its own.
    assert vars(pipeline.vae) == before[0]
    assert vars(pipeline.scheduler)["step"] is before[1]["step"]
    assert (len(pipeline.unet._forward_pre_hooks), len(pipeline.unet._forward_hooks)) == (0, hooks)


class Bare:
    """A pipeline without parts, which draws all the same."""

    def __init__(self):
        self.components, self.scheduler = {}, None


@pytest.mark.parametrize(
    ("unit", "why"),
    [("denoising", "called no denoiser"), ("denoiser", "called no denoiser"), ("decode", "called no decode of an autoencoder")],
)
def test_a_pipeline_without_the_unit_is_an_error_that_names_it(clock, unit, why):
    said = rf"setup 'mine': the recipe's unit '{unit}' cannot be timed: its pipeline {why} \(Bare\)"
    with pytest.raises(GenerationError, match=said):
        UnitTimer(Bare(), lambda _case: np.zeros((1, 8, 8, 3)), unit, "mine", "cpu").time(FIRST)


@pytest.mark.parametrize("mark", [{"is_cache_enabled": True}, {"interval": 2}])
def test_a_forward_that_depends_on_the_one_before_is_refused_by_itself(timed, mark):
    setup = timed("denoiser")
    for name, value in mark.items():
        setattr(setup.pipeline.unet, name, value)
    try:
        with pytest.raises(GenerationError, match="its unet keeps what it computed for its next calls"):
            time_unit(setup)
    finally:
        for name in mark:
            delattr(setup.pipeline.unet, name)


def test_a_forward_under_deepcache_is_refused_since_alone_it_is_always_computed_in_full(timed):
    setup = timed("denoiser")
    setup.pipeline.deep_cache_helper = object()
    with pytest.raises(GenerationError, match="its unet keeps what it computed for its next calls"):
        time_unit(setup)


def test_arguments_are_copies_that_nothing_changes_later():
    class Denoiser(torch.nn.Module):
        def forward(self, sample, nested=(), kept=None):
            sample.add_(1)
            nested[0]["a"].add_(1)
            return (sample.clone(),)

    class Pipeline:
        def __init__(self):
            self.transformer = Denoiser()
            self.components = {"transformer": self.transformer}

    pipeline = Pipeline()
    timer = UnitTimer(
        pipeline, lambda _case: pipeline.transformer(torch.zeros(2), nested=[{"a": torch.zeros(1)}], kept=None), "denoiser", "mine", "cpu"
    )
    # A whole call is captured before it changes what it was given.
    found, seconds = timer.time(FIRST)
    assert found.tolist() == [1.0, 1.0]
    assert seconds >= 0


def test_a_module_that_is_compiled_in_place_is_watched_outside_of_what_is_compiled():
    module, seen = torch.nn.Linear(1, 1), []
    module._compiled_call_impl = compiled = lambda value: (seen.append("compiled"), value)[1]
    with watch_calls(module, lambda args, kwargs: seen.append("before"), lambda: seen.append("after")):
        module(torch.ones(1))
        assert not module._forward_pre_hooks
    assert module._compiled_call_impl is compiled
    assert seen == ["before", "compiled", "after"]


@pytest.mark.parametrize(("stepped", "order", "iterations"), [(0, 1, 10), (10, 1, 10), (11, 1, 10), (19, 2, 10), (6, 1, 6), (5, 2, 3)])
def test_iterations_are_counted_as_a_progress_bar_counts_them(stepped, order, iterations):
    loop = Loop()
    loop.steps = stepped
    assert loop.count_iterations(10, order) == iterations


def test_decoded_values_become_pictures_and_frames_of_videos():
    assert show_decoded(torch.tensor([-1.0, 0.0, 3.0]).reshape(1, 3, 1, 1)).tolist() == [[[[0.0, 0.5, 1.0]]]]
    assert show_decoded(torch.zeros(2, 3, 5, 8, 4)).shape == (2, 5, 8, 4, 3)
    assert show_decoded(torch.zeros(2, 3, 1, 8, 4)).shape == (2, 8, 4, 3)
    assert np.isnan(show_decoded(torch.full((1, 3, 1, 1), torch.nan))).all()


def test_a_cpu_has_the_time_of_its_host():
    times = make_timestamps("cpu")
    first = times.now()
    assert times.seconds(first, times.now()) >= 0


class Stepper:
    """A scheduler that counts its steps."""

    def __init__(self):
        self.taken = 0

    def step(self, sample, *, generator=None):
        self.taken += 1
        return sample


def test_a_copy_that_is_made_meanwhile_steps_itself():
    """LTX-2 copies its scheduler in every call, to step its sound: the copy must not step the one that is watched."""
    stepper, seen = Stepper(), []

    def wrap(step):
        return lambda *args, **kwargs: seen.append(args) or step(*args, **kwargs)

    with replace_method(stepper, "step", wrap), replace_method(stepper, "step", wrap):
        twin = copy.deepcopy(stepper)
        assert "generator" in inspect.signature(stepper.step).parameters
        twin.step(1)
        stepper.step(2)
        # Its attributes alone are copied too, to be given back later.
        vars(stepper).update(copy.deepcopy(vars(stepper)))
        stepper.step(3)
    assert (twin.taken, stepper.taken) == (1, 2)
    assert seen == [(2,), (2,), (3,), (3,)]
    assert "step" not in vars(stepper)


def test_a_copy_has_what_its_owner_had_in_the_place_of_the_method():
    stepper = Stepper()
    stepper.step = stepper.step
    with replace_method(stepper, "step", lambda _step: lambda *_: None):
        twin = copy.deepcopy(stepper)
        twin.step(1)
    assert (twin.taken, stepper.taken) == (1, 0)
    assert stepper.step(1) == 1
