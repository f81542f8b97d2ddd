"""A profile: what it has on a CPU, what a GPU's profiler adds, and what remains if something breaks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.model import Case, Machine
from pytest_sdspeed.pipelines import profiling
from pytest_sdspeed.pipelines.busy import measure_busy_ns, measure_union_ns
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.stages import EventTimestamps, HostTimestamps

CASE = Case(0)
CPU, CUDA = torch.autograd.DeviceType.CPU, torch.autograd.DeviceType.CUDA


def test_a_profile_on_the_cpu(make, drawn):
    setup = make()
    profile = setup.profile(CASE)
    assert list(profile.stages_s) == ["text_encoder", "denoising", "decoding"]
    assert {type(seconds) for seconds in profile.stages_s.values()} == {float}
    assert type(profile.flops) is int
    assert profile.flops > 1e6
    assert (profile.busy_s, profile.notes) == (None, ())
    assert np.array_equal(setup.generate(0), drawn)


def test_flags_are_held_while_it_draws_and_not_while_it_counts(make, monkeypatch):
    seen = []
    flag = Optimization(name="flag", summary="watched", slot=lambda: hold({"torch.backends.cudnn.benchmark": True}))
    setup = make(extra=[flag])
    hook = setup.pipeline.unet.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.benchmark))
    monkeypatch.setattr(profiling, "count_generation_flops", lambda *_: seen.append(torch.backends.cudnn.benchmark))
    setup.profile(CASE)
    hook.remove()
    assert seen == [True, True, False]


def broken(*_arguments):
    raise RuntimeError("no counter\nand a page of C++")


def test_what_cannot_be_counted_is_unknown_with_a_note_and_leaves_the_rest(make, monkeypatch):
    monkeypatch.setattr(profiling, "count_generation_flops", broken)
    profile = make().profile(CASE)
    assert profile.flops is None
    assert profile.stages_s["denoising"] > 0
    assert profile.notes == ("how many FLOPs a generation has is unknown: RuntimeError: no counter",)


def test_a_generation_that_raises_is_one_note(make):
    profile = profiling.profile_generation(make().pipeline, broken, kind="cpu", partial=False)
    assert (profile.stages_s, profile.busy_s, profile.flops) == (None, None, None)
    assert profile.notes == ("where a generation's time goes is unknown: RuntimeError: no counter",)


def test_a_pipeline_of_another_kind_is_one_note():
    profile = profiling.profile_generation(SimpleNamespace(transformer=None), lambda: None, kind="cpu", partial=False)
    assert profile.stages_s is None
    assert len(profile.notes) == 1


# Busy


@pytest.mark.parametrize(
    ("intervals", "length"),
    [
        ([], 0),
        ([(5, 9)], 4),
        ([(5, 9), (0, 2)], 6),
        ([(0, 4), (2, 6)], 6),
        ([(0, 10), (2, 6), (7, 9)], 10),
        ([(0, 4), (4, 6)], 6),
        ([(3, 3), (1, 2)], 1),
        ([(-4, -2), (-3, 1)], 5),
    ],
)
def test_what_overlaps_counts_once(intervals, length):
    assert measure_union_ns(intervals) == length


@given(st.lists(st.tuples(st.integers(-30, 30), st.integers(0, 20)).map(lambda pair: (pair[0], sum(pair)))))
def test_a_union_is_as_long_as_its_points(intervals):
    assert measure_union_ns(intervals) == len({point for start, end in intervals for point in range(start, end)})


class Kineto:
    """An event as the profiler records it."""

    def __init__(self, start, end, device=CUDA, *, annotation=False):
        self.start_ns, self.end_ns = (lambda: start), (lambda: end)
        self.device_type, self.is_user_annotation = (lambda: device), (lambda: annotation)


@pytest.fixture
def recorded(monkeypatch):
    """Return ``recorded(events)``, which sets what the profiler recorded."""

    def record(*events):
        class Profiler:
            def __init__(self, activities):
                self.activities = activities
                self.profiler = SimpleNamespace(kineto_results=SimpleNamespace(events=lambda: list(events)))

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

        monkeypatch.setattr("torch.profiler.profile", Profiler)

    return record


def test_kernels_of_two_streams_count_once_and_the_host_not_at_all(recorded):
    recorded(Kineto(0, 100), Kineto(50, 150), Kineto(400, 500), Kineto(0, 9000, CPU), Kineto(0, 9000, annotation=True))
    assert measure_busy_ns(lambda: None, "cuda", CUDA) == 250


def test_a_profiler_that_sees_no_kernels_says_so(recorded):
    recorded(Kineto(0, 100, CPU))
    with pytest.raises(LookupError, match="saw no work on the device"):
        measure_busy_ns(lambda: None, "cuda", CUDA)


def test_the_real_profiler_is_read_as_it_is():
    matrix = torch.ones(300, 300)
    assert measure_busy_ns(lambda: matrix @ matrix, torch.profiler.ProfilerActivity.CPU, CPU) > 0


# A GPU, faked

GPU = Machine(kind="cuda", device="NVIDIA H200", versions={})


def test_on_a_gpu_a_second_generation_tells_how_long_it_worked(make, recorded, monkeypatch):
    recorded(Kineto(0, 540_000_000))
    monkeypatch.setattr(profiling, "_make_gpu_timestamps", lambda _kind: HostTimestamps())
    setup, calls = make(machine=GPU), []
    hook = setup.pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    profile = setup.profile(CASE)
    hook.remove()
    assert len(calls) == 4
    assert profile.busy_s == pytest.approx(0.54)
    assert profile.flops == make().profile(CASE).flops
    assert profile.notes == ()


def test_a_profiler_that_may_not_look_costs_its_figure_alone(make, recorded, monkeypatch):
    recorded()
    monkeypatch.setattr(profiling, "_make_gpu_timestamps", lambda _kind: HostTimestamps())
    profile = make(machine=GPU).profile(CASE)
    assert profile.busy_s is None
    assert profile.flops > 0
    assert profile.notes == ("how busy the GPU was is unknown: LookupError: the profiler saw no work on the device",)


# Other accelerators


def test_an_accelerator_without_events_is_waited_for_at_every_point_and_its_profiler_is_asked_only_if_there_is_one(make, monkeypatch):
    waited = []
    monkeypatch.setattr(profiling, "synchronize", lambda: waited.append(1))
    monkeypatch.setattr(profiling, "find_module", lambda _kind: SimpleNamespace())
    profile = make(machine=replace(GPU, kind="mps")).profile(CASE)
    # The first and the last call of text encoder, UNet and autoencoder, at least.
    assert len(waited) >= 6
    assert profile.stages_s.keys() == {"text_encoder", "denoising", "decoding"}
    assert profile.busy_s is None
    assert profile.notes == ("how busy the GPU was is unknown: LookupError: torch's profiler does not see MPS",)


@pytest.mark.slow
def test_an_xpu_has_events_and_a_profiler_of_its_own(make, monkeypatch):
    asked = []

    def measure(_draw, activity, device):
        asked.append((activity, device))
        return 540_000_000

    monkeypatch.setattr(profiling, "measure_busy_ns", measure)
    monkeypatch.setattr(profiling, "_make_gpu_timestamps", lambda _kind: HostTimestamps())
    profile = make(machine=replace(GPU, kind="xpu")).profile(CASE)
    assert asked == [(torch.profiler.ProfilerActivity.XPU, torch.autograd.DeviceType.XPU)]
    assert (profile.busy_s, profile.notes) == (0.54, ())
    monkeypatch.undo()
    monkeypatch.setattr(profiling, "find_module", lambda kind: SimpleNamespace(Event=kind))
    assert type(profiling._make_gpu_timestamps("xpu")) is EventTimestamps
