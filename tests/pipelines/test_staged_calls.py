"""Calls that stop at the borders of their stages draw what plain calls draw, bit by bit, whatever comes between their steps."""

from __future__ import annotations

import copy
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from staged import MAIN, ToyStages, draw, expected, finish, is_equal, optimize, run_alone, stages_of, take_turns
from tiny_pipelines import mark_kinds, tiny_recipe

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.device.switches import count_autocasts
from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.judge.speed.put_together import choose_sampling
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.stages import DENOISING, TEXT_ENCODING
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource

KINDS = ("sdxl", "flux", "wan", "ltx", "sd3", "img2img", "sdxl_img2img")
OTHER = Case(1)


@pytest.fixture(scope="module")
def tiny(make, once, tmp_path_factory):
    """Return ``tiny(kind, *stack, **facts)``: a setup of a tiny pipeline of four steps; its folder is saved once."""

    def setup(kind, *stack, extra=(), **facts):
        recipe = once(kind, lambda: tiny_recipe(kind, tmp_path_factory.mktemp("tiny")))
        pool = once(f"pool of {kind}", lambda: Pool(PretrainedSource("cpu")))
        return make(*stack, recipe=replace(recipe, **{"steps": 4, **facts}), pool=pool, extra=extra)

    return setup


def check_turns(setup, steps, *others):
    """Check that calls alone and in turns, of two seeds, draw what plain calls do; ``others`` are setups with their numbers of steps."""
    stages = setup.open_stages()
    alone = stages.call(MAIN, None, 0)
    assert stages_of(finish(setup, alone)) == expected(steps)
    calls = [(setup, stages.call(MAIN, None, 0)), (setup, stages.call(OTHER, None, 1))]
    calls += [(other, other.open_stages().call(MAIN, None, 0)) for other, _ in others]
    found = [stages_of(parts) for parts in take_turns(*calls)]
    assert found == [expected(steps)] * 2 + [expected(own) for _, own in others]
    # Plain calls come last: what a call by stages leaves behind would be seen in them.
    assert is_equal(draw(setup), alone.pictures, calls[0][1].pictures)
    assert is_equal(draw(setup, OTHER), calls[1][1].pictures)
    assert not is_equal(calls[0][1].pictures, calls[1][1].pictures)
    for other, call in calls[2:]:
        assert is_equal(draw(other), call.pictures)
        other.check()
    setup.check()


@pytest.mark.parametrize("kind", mark_kinds(("sdxl", "wan"), KINDS))
def test_whole_calls_by_stages_draw_what_plain_calls_draw(tiny, kind):
    # From a picture half of the four steps are taken, and one of PNDM's twice.
    check_turns(tiny(kind), {"img2img": 3, "sdxl_img2img": 2}.get(kind, 4))


@pytest.mark.parametrize(
    "scheduler",
    ["EulerAncestralDiscreteScheduler", pytest.param("DDPMScheduler", marks=pytest.mark.slow), "LCMScheduler", "DPMSolverSDEScheduler"],
)
def test_noise_of_a_scheduler_is_that_of_its_own_call(tiny, scheduler):
    """The last one draws from nothing that it is given: from torch's own generator, which every slot seeds anew."""
    if scheduler == "DPMSolverSDEScheduler":
        pytest.importorskip("torchsde")
    check_turns(tiny("sdxl", scheduler=scheduler), 7 if "SDE" in scheduler else 4)


def draw_between_steps(pipeline, _recipe):
    """Have every step of a scheduler draw from the process's own generator, as custom ones do, with a closure on the scheduler."""
    step = pipeline.scheduler.step

    def noisy(model_output, timestep, sample, **others):
        return step(model_output, timestep, sample + torch.randn(sample.shape) / 100, **others)

    pipeline.scheduler.step = noisy


def test_what_draws_from_the_process_draws_the_same_in_its_turns(tiny):
    check_turns(tiny("sdxl", extra=[optimize(draw_between_steps)]), 4)


@pytest.mark.parametrize("scheduler", ["HeunDiscreteScheduler", pytest.param("KDPM2DiscreteScheduler", marks=pytest.mark.slow)])
def test_schedulers_of_order_2_take_each_of_their_steps_in_a_part(tiny, scheduler):
    check_turns(tiny("sdxl", scheduler=scheduler), 7)


def test_several_pictures_a_call_are_decoded_in_one_part(tiny):
    check_turns(tiny("sdxl", images=2), 4)


@contextmanager
def two_threads():
    """A flag of the process for its own arm alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_flags_are_held_only_while_their_own_arm_moves(tiny):
    """Autocast, the number of threads and channels last take turns with plain float32, on modules that they share."""
    seen = {}

    def tell(name):
        def note(pipeline, _recipe):
            pipeline.unet.register_forward_pre_hook(
                lambda *_: seen.setdefault(name, set()).add((torch.is_autocast_enabled("cpu"), torch.get_num_threads()))
            )

        return optimize(note, f"told_{name}", changes={"denoisers"})

    def autocast():
        return torch.autocast("cpu", dtype=torch.bfloat16)

    plain = tiny("sdxl", extra=[tell("plain")])
    cast = tiny("sdxl", extra=[tell("cast"), optimize(None, "cast", slot=autocast)])
    threads = tiny("sdxl", extra=[tell("threads"), optimize(None, "threads", slot=two_threads)])
    others = [cast, threads, tiny("sdxl", "channels_last")]
    check_turns(plain, 4, *((other, 4) for other in others))
    usual = torch.get_num_threads()
    assert seen == {"plain": {(False, usual)}, "cast": {(True, usual)}, "threads": {(False, usual + 1)}}


def test_weights_are_cast_once_a_call_under_autocast(tiny):
    """Torch forgets its casts when the last autocast ends: between two parts none may end."""
    cast = tiny("sdxl", extra=[optimize(None, "cast", slot=lambda: torch.autocast("cpu", dtype=torch.bfloat16))])
    stages, plain, before = cast.open_stages(), tiny("sdxl"), count_autocasts()
    whole = count_casts(lambda: draw(cast))
    call, other = stages.call(MAIN, None, 0), plain.open_stages().call(MAIN, None, 0)
    turns = count_casts(lambda: take_turns((cast, call), (plain, other)))
    assert 0 < turns <= whole + count_casts(lambda: draw(plain))
    assert stages.casts
    assert "autocast" in stages.alone
    # Afterwards nothing is kept.
    assert count_autocasts() == before


def test_a_call_of_one_turn_shows_that_it_casts(tiny):
    """As the first one is, by which a campaign knows what cannot take turns."""
    cast = tiny("sdxl", extra=[optimize(None, "cast", slot=lambda: torch.autocast("cpu", dtype=torch.bfloat16))])
    stages = cast.open_stages()
    with quiet(), cast.slot():
        stages.call(MAIN, None, 0).take_turn(sys.maxsize)
    assert stages.casts
    with pytest.raises(UnstageableError, match="autocast"):
        stages.call(MAIN, None, 1)


def test_turns_of_any_length_have_the_parts_and_the_pictures_of_a_call(tiny):
    setup = tiny("sdxl")
    stages, drawn, found = setup.open_stages(), draw(setup), {}
    for length in (1, 2, 3, sys.maxsize):
        call, parts = stages.call(MAIN, None, 0), []
        while not call.done:
            with quiet(), setup.slot():
                turn = call.take_turn(length)
            assert len(turn) <= length
            parts += turn
        found[length] = [(part.stage, part.work) for part in parts]
        assert all(part.seconds > 0 for part in parts)
        assert is_equal(call.pictures, drawn)
    assert all(one == found[1] for one in found.values())
    assert [stage for stage, _ in found[1]] == expected(sum(stage == DENOISING for stage, _ in found[1]))


def count_casts(work):
    with torch.profiler.profile() as profiler:
        work()
    return sum(event.count for event in profiler.key_averages() if event.key == "aten::_to_copy")


def test_casts_to_one_type_are_not_taken_for_another(tiny):
    """Two calls under autocast, of the same weights: torch keeps its casts by the weight alone, whatever they were cast to."""
    setups = [
        tiny("sdxl", extra=[optimize(None, "cast", slot=lambda dtype=dtype: torch.autocast("cpu", dtype=dtype))])
        for dtype in (torch.bfloat16, torch.float16)
    ]
    calls = [(setup, setup.open_stages().call(MAIN, None, 0)) for setup in setups]
    take_turns(*calls)
    assert [is_equal(draw(setup), call.pictures) for setup, call in calls] == [True, True]


def compile_whole(pipeline, _recipe):
    pipeline.unet = torch.compile(pipeline.unet, backend="eager")


def compile_in_place(pipeline, _recipe):
    pipeline.unet.compile(backend="eager")


def compile_blocks(pipeline, _recipe):
    for block in pipeline.unet.down_blocks:
        block.compile(backend="eager")


@pytest.mark.slow
@pytest.mark.parametrize("compiles", [compile_whole, compile_in_place, compile_blocks])
def test_compiled_arms_take_turns_and_compile_nothing_more(tiny, compiles):
    from torch._dynamo.utils import counters

    compiled, plain = tiny("sdxl", extra=[optimize(compiles, changes={"unet"})]), tiny("sdxl")
    draw(compiled)
    before = counters["stats"]["unique_graphs"]
    check_turns(compiled, 4, (plain, 4))
    assert counters["stats"]["unique_graphs"] == before


def test_a_step_that_is_slow_between_denoiser_and_scheduler_or_after_them_is_a_slow_step(tiny):
    def slow(pipeline, _recipe):
        step = pipeline.scheduler.step

        def late(*args, **kwargs):
            time.sleep(0.2)
            return step(*args, **kwargs)

        pipeline.scheduler.step = late

    setup = tiny("sdxl", extra=[optimize(slow)])
    call = setup.open_stages().call(MAIN, None, 0)
    seconds = {part.stage: part.seconds for part in finish(setup, call)}
    assert seconds[DENOISING] > 0.2 > seconds[TEXT_ENCODING]


@pytest.mark.parametrize("name", ["cogvideox", pytest.param("ltx2", marks=pytest.mark.slow), "chroma"])
def test_truncated_calls_have_their_first_steps_and_decode_all_the_same(name):
    """LTX-2 steps a copy of its scheduler too, made in every call, whose steps are no steps of the pipeline."""
    stages = ToyStages(name, steps=6)
    plain = stages.draw(MAIN)
    whole = stages.call(MAIN, None, 0)
    parts = run_alone(whole)
    decoded = [] if stages.arguments["output_type"] == "latent" else ["decoding"]
    assert stages_of(parts) == [TEXT_ENCODING, *[DENOISING] * 6, *decoded]
    assert is_equal(plain, whole.pictures)
    short = stages.call(MAIN, 3, 1)
    assert stages_of(run_alone(short)) == [TEXT_ENCODING, *[DENOISING] * 3, *decoded]
    assert short.pictures.shape == plain.shape
    assert is_equal(plain, stages.draw(MAIN))
    # The same work is asked for in every step, but for one more of a sampler that looks back.
    assert {part.work for part in parts if part.is_step} == {parts[1].work}


def give_two_transformers(pipeline):
    pipeline.register_modules(transformer_2=copy.deepcopy(pipeline.transformer))
    pipeline.register_to_config(boundary_ratio=0.9)


def test_two_transformers_are_two_kinds_of_work_and_draw_what_they_draw():
    stages = ToyStages("wan", 9, give_two_transformers)
    calls = [stages.call(MAIN, None, 0), stages.call(OTHER, None, 1)]
    parts = [run_alone(call) for call in calls]
    assert is_equal(calls[0].pictures, stages.draw(MAIN))
    assert is_equal(calls[1].pictures, stages.draw(OTHER))
    assert len({part.work for part in parts[0] if part.is_step}) == 2
    sampling = choose_sampling(parts[0])
    assert sampling == (9, 9, "its denoisers are asked for 2 kinds of work")


def test_a_row_that_keeps_features_takes_turns_with_its_baseline(make, recipe):
    short = replace(recipe, steps=4, height=16, width=16)
    plain, cached = make(recipe=short), make("feature_cache_2", recipe=short)
    check_turns(plain, 4, (cached, 4))
    assert "keeps what it computed" in cached.open_stages().alone
    assert not plain.open_stages().alone


@pytest.mark.parametrize("kind", mark_kinds(("flux",), ("flux", "wan")))
def test_work_is_told_by_the_shapes_of_calls(tiny, kind):
    """Guidance that ends after half of the steps, and Wan's second transformer, are other work."""

    def end_guidance(pipeline, _recipe):
        original = pipeline.scheduler.step

        def step(*args, **kwargs):
            if len(taken) % 4 == 1:
                pipeline._guidance_scale = 1.0  # what a callback at the end of a step does
            taken.append(1)
            return original(*args, **kwargs)

        pipeline.scheduler.step = step

    taken = []
    extra = [optimize(end_guidance)] if kind == "wan" else []
    setup = tiny(kind, extra=extra)
    parts = [part for part in finish(setup, setup.open_stages().call(MAIN, None, 0)) if part.is_step]
    assert len({part.work for part in parts}) == (2 if kind == "wan" else 1)
