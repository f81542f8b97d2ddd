"""Stage times: what is watched, by which clock, and that everything is restored."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from test_flops import COMPILED

from pytest_sdspeed.pipelines.stages import EventTimestamps, HostTimestamps, StageTimer


class Ticks:
    """Every look at the clock is one second later."""

    def __init__(self):
        self.seen = 0

    def now(self):
        self.seen += 1
        return self.seen

    def seconds(self, start, end):
        return end - start


def hooks(pipeline):
    modules = [*pipeline.text_encoder.modules(), *pipeline.unet.modules(), *pipeline.vae.modules()]
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


def test_a_stage_lasts_from_its_first_call_to_the_end_of_its_last(make):
    setup = make()
    timer = StageTimer(Ticks())
    with timer.watch(setup.pipeline, inside=False):
        setup.generate(0)
    # Two calls of the text encoder (prompt and negative prompt) and two steps: only a first call's beginning is noted, and every end.
    assert timer.measure_stages_s() == {"text_encoder": 2, "denoising": 2, "decoding": 1}
    assert {part: calls.total() for part, calls in timer.calls.items()} == {"text_encoder": 2, "unet": 2, "vae": 1}


@pytest.mark.slow
@pytest.mark.parametrize("stack", [(), ("distilled_unet", "tiny_vae"), ("traced_unet",), ("bf16",)])
def test_stages_take_no_longer_than_the_whole(stack, make_one_block):
    setup, marks = make_one_block(*stack), HostTimestamps()
    timer = StageTimer(marks)
    with timer.watch(setup.pipeline, inside=False):
        start = marks.now()
        setup.generate(0)
        whole_s = marks.seconds(start, marks.now())
    stages_s = timer.measure_stages_s()
    assert list(stages_s) == ["text_encoder", "denoising", "decoding"]
    assert min(stages_s.values()) > 0
    assert sum(stages_s.values()) <= whole_s


@pytest.mark.slow
def test_a_compiled_pipeline_is_watched_at_its_wrappers(make_one_block):
    setup = make_one_block(extra=[COMPILED])
    expected = setup.generate(0)
    decode = vars(setup.pipeline.vae)["decode"]
    timer = StageTimer(Ticks())
    with timer.watch(setup.pipeline, inside=False):
        assert np.array_equal(setup.generate(0), expected)
    assert {part: calls.total() for part, calls in timer.calls.items()} == {"text_encoder": 2, "unet": 2, "vae": 1}
    assert vars(setup.pipeline.vae)["decode"] is decode


@pytest.mark.parametrize("inside", [False, True])
def test_a_pipeline_is_left_as_it_was(inside, make, drawn):
    setup = make()
    pipeline = setup.pipeline
    before = hooks(pipeline)
    with StageTimer(HostTimestamps()).watch(pipeline, inside=inside):
        assert hooks(pipeline) > before
        assert np.array_equal(setup.generate(0), drawn)
    with pytest.raises(ZeroDivisionError), StageTimer(HostTimestamps()).watch(pipeline, inside=inside):
        raise ZeroDivisionError
    assert hooks(pipeline) == before
    assert "decode" not in vars(pipeline.vae)


def test_a_part_that_is_never_called_is_named(make):
    setup = make()
    with (
        pytest.raises(LookupError, match="no call of unet, vae was seen"),
        StageTimer(HostTimestamps()).watch(setup.pipeline, inside=False),
    ):
        setup.pipeline.encode_prompt("a cat", "cpu", 1, do_classifier_free_guidance=False)


def test_inside_every_module_is_counted(make):
    setup = make()
    timer = StageTimer(HostTimestamps())
    with timer.watch(setup.pipeline, inside=True):
        setup.generate(0)
    assert timer.inner["unet"][""] == timer.inner["unet"]["conv_in"] == timer.inner["unet"]["mid_block"] == 2


# CUDA, faked


class Event:
    """An event of a device that is one second behind whatever it is asked for."""

    clock = 0

    def __init__(self, *, enable_timing):
        assert enable_timing
        self.waited = False

    def record(self):
        Event.clock += 1
        self.at = Event.clock

    def synchronize(self):
        self.waited = True

    def elapsed_time(self, end):
        assert end.waited
        return 1e3 * (end.at - self.at)


def test_cuda_events_tell_the_time_without_waiting_before_the_end(make):
    setup = make()
    timer = StageTimer(EventTimestamps(SimpleNamespace(Event=Event)))
    with timer.watch(setup.pipeline, inside=False):
        setup.generate(0)
    assert not any(event.waited for run in timer._runs for event in (run.start, run.end))
    assert timer.measure_stages_s() == {"text_encoder": 2.0, "denoising": 2.0, "decoding": 1.0}
