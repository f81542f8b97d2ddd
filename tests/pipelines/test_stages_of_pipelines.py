"""Stages of pipelines of any kind, whose parts have names alone: which there are, how long each takes, and that nothing is left behind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pytest_sdspeed.model.stages import STAGES, find_stage, group_runs, order_stages
from pytest_sdspeed.pipelines.parts import list_modules
from pytest_sdspeed.pipelines.stages import StageTimer


class Clock:
    """Seconds that pass when parts work."""

    def __init__(self):
        self.at = 0.0

    def now(self):
        return self.at

    def seconds(self, start, end):
        return end - start


class Worker(torch.nn.Module):
    """A part that takes its time, whatever it is asked for."""

    def __init__(self, clock, seconds=1.0):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, *_args, **_kwargs):
        self.clock.at += self.seconds
        return 0


class Autoencoder(Worker):
    def encode(self, _image):
        return self.forward()

    def decode(self, _latents, *, tiled=True):
        return self.forward() if not tiled else self.decode(0, tiled=False)

    def forward(self, *_args):
        self.clock.at += self.seconds
        return 0


class Pipeline(SimpleNamespace):
    """A pipeline of no library."""


def pipeline_of(clock, *names, **slow):
    parts = {name: (Autoencoder if "vae" in name else Worker)(clock, slow.get(name, 1.0)) for name in names}
    return Pipeline(**parts, scheduler=None, tokenizer=object())


def watch(pipeline, draw, *, clock, inside=False):
    timer = StageTimer(clock)
    with timer.watch(pipeline, inside=inside):
        draw(pipeline)
    return timer


def draw_wan(pipeline):
    """Text, an image, two denoisers, one after the other, and the decoder, with a second of the host between any two."""
    clock = pipeline.vae.clock
    for call in (
        pipeline.text_encoder,
        pipeline.text_encoder_2,
        pipeline.vae.encode,
        *[pipeline.transformer] * 3,
        *[pipeline.transformer_2] * 2,
        pipeline.vae.decode,
    ):
        call(0)
        clock.at += 1


WAN = ("text_encoder", "text_encoder_2", "vae", "transformer", "transformer_2")
EVEN = {"text_encoder": 3, "image_encoding": 1, "denoising": 9, "decoding": 1}


def test_every_text_encoder_and_every_denoiser_counts_for_its_stage():
    clock = Clock()
    timer = watch(pipeline_of(clock, *WAN), draw_wan, clock=clock)
    assert timer.measure_stages_s() == EVEN
    assert {key: calls.total() for key, calls in timer.calls.items()} == {
        "text_encoder": 1,
        "text_encoder_2": 1,
        "vae.encode": 1,
        "transformer": 3,
        "transformer_2": 2,
        "vae": 1,
    }


@pytest.mark.parametrize(
    ("part", "stage", "more"),
    [("text_encoder_2", "text_encoder", 2), ("transformer_2", "denoising", 4), ("transformer", "denoising", 6)],
)
def test_a_part_that_is_slowed_is_named_by_its_stage(part, stage, more):
    clock = Clock()
    found = watch(pipeline_of(clock, *WAN, **{part: 3.0}), draw_wan, clock=clock).measure_stages_s()
    assert {name for name in found if found[name] != EVEN[name]} == {stage}
    assert found[stage] == EVEN[stage] + more


def test_a_slow_decoder_is_not_taken_for_the_encoder_of_images():
    clock = Clock()
    pipeline = pipeline_of(clock, *WAN)
    pipeline.vae.decode = lambda _latents: setattr(clock, "at", clock.at + 7)
    assert watch(pipeline, draw_wan, clock=clock).measure_stages_s() == EVEN | {"decoding": 7}
    assert "decode" in vars(pipeline.vae)


def test_a_pipeline_without_text_encoder_or_decoder_has_fewer_stages():
    clock = Clock()
    found = watch(pipeline_of(clock, "transformer", "vae"), lambda pipeline: pipeline.transformer(0), clock=clock)
    assert found.measure_stages_s() == {"denoising": 1}


@pytest.mark.parametrize("names", [("text_encoder", "vae", "transformer"), ("backbone",), ()])
def test_a_generation_without_a_denoiser_is_an_error_that_names_what_was_not_called(names):
    clock = Clock()
    with pytest.raises(LookupError, match=r"no call of (transformer, vae|a denoiser) was seen"):
        watch(pipeline_of(clock, *names), lambda pipeline: names[:1] and getattr(pipeline, names[0])(0), clock=clock)


def test_two_loops_with_an_upsampler_between_them_are_one_stage_each():
    def draw(pipeline):
        pipeline.transformer(0)
        pipeline.latent_upsampler(0)
        pipeline.transformer(0)
        pipeline.refiner_unet(0)
        pipeline.vae.decode(0)

    clock = Clock()
    found = watch(pipeline_of(clock, "transformer", "latent_upsampler", "refiner_unet", "vae"), draw, clock=clock).measure_stages_s()
    assert found == {"denoising": 2, "upsampling": 1, "refining": 1, "decoding": 1}
    assert list(found) == [stage for stage in STAGES if stage in found]


def test_a_prior_is_a_stage_beside_its_decoder_and_the_denoiser_where_it_is_alone():
    clock = Clock()
    both = pipeline_of(clock, "prior_prior", "decoder", "vqgan", "prior_text_encoder", "text_encoder")

    def draw(pipeline):
        for call in (pipeline.prior_text_encoder, pipeline.prior_prior, pipeline.text_encoder, pipeline.decoder):
            call(0)

    assert watch(both, draw, clock=clock).measure_stages_s() == {"text_encoder": 2, "prior": 1, "denoising": 1}
    alone = watch(pipeline_of(clock, "prior"), lambda pipeline: pipeline.prior(0), clock=clock)
    assert alone.measure_stages_s() == {"denoising": 1}


def test_a_pipeline_inside_of_a_pipeline_is_watched_under_its_name():
    clock = Clock()
    refiner = SimpleNamespace(components={"unet": 0, "vae": 0}, **vars(pipeline_of(clock, "unet", "vae")))
    pipeline = pipeline_of(clock, "unet")
    pipeline.refiner = refiner
    assert list(list_modules(pipeline)) == ["unet", "refiner_unet", "refiner_vae"]

    def draw(made):
        made.unet(0)
        made.refiner.unet(0)
        made.refiner.vae.decode(0)

    assert watch(pipeline, draw, clock=clock).measure_stages_s() == {"denoising": 1, "refining": 2}


def test_what_decodes_inside_of_the_loop_and_encodes_after_it_is_in_no_stage():
    def draw(pipeline):
        pipeline.unet(0)
        pipeline.vae.decode(0)
        pipeline.unet(0)
        pipeline.vae.decode(0)
        pipeline.image_encoder(0)

    clock = Clock()
    found = watch(pipeline_of(clock, "unet", "vae", "image_encoder"), draw, clock=clock)
    assert found.measure_stages_s() == {"denoising": 2, "decoding": 1}


def test_a_part_that_another_one_calls_belongs_to_the_caller():
    clock = Clock()
    pipeline = pipeline_of(clock, "transformer", "text_encoder")
    inner = pipeline.text_encoder
    pipeline.transformer.forward = lambda *_: inner(0)
    timer = watch(pipeline, lambda made: made.transformer(0), clock=clock)
    assert timer.measure_stages_s() == {"denoising": 1}
    assert set(timer.calls) == {"transformer"}


# Nothing is left behind


def state_of(pipeline):
    return {
        name: (len(part._forward_hooks), len(part._forward_pre_hooks), sorted(vars(part)), dict(vars(part).get("_hook", {})))
        for name, part in list_modules(pipeline).items()
    }


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_is_left_behind_by_a_generation_that_raises(inside):
    clock = Clock()
    pipeline = pipeline_of(clock, *WAN)
    before = state_of(pipeline)

    def fail(*_args):
        raise ZeroDivisionError

    def draw(made):
        made.text_encoder(0)
        made.transformer.forward = fail
        made.transformer(0)

    with pytest.raises(ZeroDivisionError):
        watch(pipeline, draw, clock=clock, inside=inside)
    del pipeline.transformer.forward
    assert state_of(pipeline) == before
    assert watch(pipeline, draw_wan, clock=clock).measure_stages_s() == EVEN


def test_a_call_that_raises_and_is_tried_again_spoils_no_stage():
    clock = Clock()
    pipeline = pipeline_of(clock, *WAN)

    def draw(made):
        encode, made.text_encoder.forward = made.text_encoder.forward, None
        with pytest.raises(TypeError):
            made.text_encoder(0)
        made.text_encoder.forward = encode
        draw_wan(made)

    assert watch(pipeline, draw, clock=clock).measure_stages_s() == EVEN


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(4, 4)

    def forward(self, values):
        return self.inner(values) + 1


class Blocks(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([Block(), Block()])

    def forward(self, values):
        for block in self.blocks:
            values = block(values)
        return values


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_modules_compiled_in_place_are_watched_outside_of_their_graphs():
    denoiser = Blocks().eval()
    for block in denoiser.blocks:
        block.compile(backend="eager", fullgraph=True)
    denoiser.compile(backend="eager", fullgraph=True)
    pipeline, clock = Pipeline(transformer=denoiser), Clock()
    with torch.no_grad():
        denoiser(torch.ones(1, 4))
        graphs, calls = (
            torch._dynamo.utils.counters["stats"]["unique_graphs"],
            [vars(one)["_compiled_call_impl"] for one in (denoiser, *denoiser.blocks)],
        )
        for inside in (False, True):
            timer = watch(pipeline, lambda made: made.transformer(torch.ones(1, 4)), clock=clock, inside=inside)
            assert timer.measure_stages_s() == {"denoising": 0}
            assert timer.calls["transformer"].total() == 1
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs > 0
    assert [vars(one)["_compiled_call_impl"] for one in (denoiser, *denoiser.blocks)] == calls
    assert timer.inner == {"transformer": {}}


# The words


@pytest.mark.parametrize(
    ("component", "method", "stage"),
    [
        ("text_encoder_3", "forward", "text_encoder"),
        ("connectors", "forward", "text_encoder"),
        ("image_encoder", "forward", "image_encoding"),
        ("vae", "encode", "image_encoding"),
        ("vqvae", "decode", "decoding"),
        ("audio_vae", "decode", "decoding"),
        ("vocoder", "forward", "decoding"),
        ("controlnet", "forward", "denoising"),
        ("super_res_first", "forward", "upsampling"),
        ("refiner_text_encoder", "forward", "refining"),
        ("safety_checker", "forward", None),
        ("unethical", "forward", None),
    ],
)
def test_a_component_works_in_the_stage_that_its_name_says(component, method, stage):
    assert find_stage(component, method) == stage


def test_stages_are_ordered_by_time_and_unknown_ones_follow_as_they_came():
    assert order_stages(["safety", "decoding", "b", "text_encoder", "decoding"]) == ["text_encoder", "decoding", "safety", "b"]
    assert group_runs([]) == {}
