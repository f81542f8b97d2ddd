"""What a recipe asks of a pipeline that cannot do it: each gets one message with what is valid, before anything is drawn."""

from __future__ import annotations

import json
import os
import shutil

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from small_pipelines import maker
from tiny_pipelines import RECIPES, save_pipeline

from pytest_sdspeed.errors import GenerationError, ModelUnavailableError, RegistrationError, UsageMistakeError
from pytest_sdspeed.model import Recipe
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("flux", "img2img", "inpaint", "sdxl", "wan"):
        save_pipeline(name, folder)
    return folder


@pytest.fixture(scope="module")
def any_pool():
    return Pool(PretrainedSource("cpu"))


@pytest.fixture(scope="module")
def tiny(root, any_pool, cpu):
    def make(name, *stack, **others):
        return maker(Recipe(model=str(root / name), **{**RECIPES[name], **others}), any_pool, cpu)(*stack)

    return make


@pytest.mark.parametrize(
    ("name", "others", "said"),
    [
        ("flux", {"call": {"strength": 0.5}}, "FluxPipeline takes no argument 'strength'; valid: prompt, prompt_2, "),
        ("sdxl", {"call": {"true_cfg_scale": 4}}, "StableDiffusionXLPipeline takes no argument 'true_cfg_scale'"),
        ("flux", {"frames": 9}, r"FluxPipeline takes no argument num_frames \(frames of the recipe\); valid: "),
        ("sdxl", {"inputs": ("image",)}, "StableDiffusionXLPipeline takes no argument 'image'; valid: "),
        ("img2img", {"inputs": ("image", "mask_image")}, "StableDiffusionImg2ImgPipeline takes no argument 'mask_image'"),
        (
            "flux",
            {"inputs": ("prompt_embeds",)},
            "name 'prompt_embeds' of FluxPipeline, which is no picture, mask or video; valid: .*ip_adapter_image",
        ),
        ("flux", {"call": {"height": 64}}, "gives 'height', and so does its 'height'"),
        ("flux", {"call": {"num_inference_steps": 9}}, "gives 'num_inference_steps', and so does its 'steps'"),
        ("flux", {"call": {"generator": None}}, "gives 'generator', which every generation of FluxPipeline gets anew"),
        ("img2img", {"call": {"image": None}}, "gives 'image', and inputs have it made up: name it once"),
    ],
)
def test_nothing_that_a_recipe_states_is_dropped(name, others, said, tiny):
    setup = tiny(name, **others)
    with pytest.raises(UsageMistakeError, match=said):
        setup.build()
    with pytest.raises(UsageMistakeError, match=said):
        setup.generate(0)


@pytest.mark.parametrize(
    ("name", "scheduler", "said"),
    [
        (
            "flux",
            "ddim",
            "scheduler 'ddim' does not fit the model: its own is FlowMatchEulerDiscreteScheduler, of flow matching; valid: .*UniPC",
        ),
        ("flux", "LCMScheduler", "'LCMScheduler' does not fit"),
        ("wan", "DDIMScheduler", "its own is UniPCMultistepScheduler, of flow matching"),
        ("sdxl", "FlowMatchEulerDiscreteScheduler", "its own is EulerDiscreteScheduler, of steps of diffusion; valid: .*DDIMScheduler"),
        ("sdxl", "AmusedScheduler", "'AmusedScheduler' does not fit"),
        ("sdxl", "CogVideoXDDIMScheduler", "'CogVideoXDDIMScheduler' does not fit"),
        ("sdxl", "EDMEulerScheduler", "'EDMEulerScheduler' does not fit"),
        ("sdxl", "DDIMInverseScheduler", "'DDIMInverseScheduler' does not fit"),
    ],
)
def test_a_scheduler_that_the_model_was_not_trained_for_is_refused(name, scheduler, said, tiny):
    """It would draw something: both arms the same wrong pictures, and nobody would know."""
    with pytest.raises(RegistrationError, match=said):
        tiny(name, scheduler=scheduler).build()


@pytest.mark.parametrize(
    ("name", "scheduler", "settings"),
    [
        ("sdxl", "DPMSolverMultistepScheduler", {"prediction_type": "epsilon", "use_flow_sigmas": False}),
        ("sdxl", "LCMScheduler", {"beta_schedule": "scaled_linear"}),
        ("flux", "FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}),
        ("wan", "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
        ("wan", "DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}),
    ],
)
def test_a_scheduler_that_fits_has_the_noise_schedule_of_the_models_own(name, scheduler, settings, tiny):
    setup = tiny(name, scheduler=scheduler)
    assert type(setup.pipeline.scheduler).__name__ == scheduler
    assert {key: setup.pipeline.scheduler.config[key] for key in settings} == settings
    assert np.isfinite(setup.generate(0)).all()


@pytest.mark.parametrize(
    ("name", "others", "said"),
    [
        ("wan", {"frames": 8}, "WanPipeline drew 9 frames, and the recipe states 8"),
        ("flux", {"height": 40, "width": 33}, "FluxPipeline drew 32x40 pixels, and the recipe states 33x40"),
    ],
)
def test_what_a_pipeline_rounds_is_said(name, others, said, tiny):
    with pytest.raises(GenerationError, match=said):
        tiny(name, **others).generate(0)


@pytest.fixture
def copied(root, tmp_path):
    """Return what copies a saved pipeline, to be spoiled."""
    return lambda name: shutil.copytree(root / name, tmp_path / name)


def edit(file, **entries):
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


CODE = "open({!r}, 'w').close()\nclass Planted: pass\n"
FAULTS = {
    "no transformer": (
        lambda folder: shutil.rmtree(folder / "transformer"),
        "model_index.json names 'transformer', but that folder is missing",
    ),
    "transformer without weights": (
        lambda folder: [file.unlink() for file in (folder / "transformer").glob("*.safetensors")],
        r"transformer has no \*.safetensors weights",
    ),
    "transformer without configuration": (
        lambda folder: (folder / "transformer/config.json").unlink(),
        "transformer/config.json is missing",
    ),
    "second tokenizer empty": (
        lambda folder: [file.unlink() for file in (folder / "tokenizer_2").iterdir()],
        "tokenizer_2 has neither tokenizer.json nor vocab.json",
    ),
    "pipeline of the folder": (
        lambda folder: edit(folder / "model_index.json", _class_name=["pipeline", "Planted"]),
        r"names the pipeline \['pipeline', 'Planted'\]: .*code of a model is not run",
    ),
    "component of the folder": (
        lambda folder: edit(folder / "model_index.json", transformer=["planted", "Planted"]),
        r"gives 'transformer' as \['planted', 'Planted'\].*code of a model is not run",
    ),
    "component of another library": (
        lambda folder: edit(folder / "model_index.json", transformer=["os", "path"]),
        r"gives 'transformer' as \['os', 'path'\]; valid: \[library, class\] of diffusers or transformers",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_or_foreign_component_is_named_and_its_code_never_run(fault, copied, tmp_path):
    folder = copied("flux")
    for place in (folder / "pipeline.py", folder / "transformer/planted.py", folder / "planted.py"):
        place.write_text(CODE.format(str(tmp_path / "executed")))
    plant, said = FAULTS[fault]
    plant(folder)
    with pytest.raises(ModelUnavailableError, match=said) as caught:
        PretrainedSource("cpu").load_pipeline(str(folder), "float32")
    assert str(caught.value).startswith(str(folder))
    assert not (tmp_path / "executed").exists()


def test_a_class_that_nobody_has_is_named_with_those_that_are_near(tiny):
    with pytest.raises(RegistrationError, match=r"pipeline 'FluxPipelin' is no class of diffusers .*add_pipeline; near: FluxPipeline"):
        tiny("flux", pipeline="FluxPipelin").build()
    with pytest.raises(RegistrationError, match="'AutoencoderKL' is no class of diffusers"):
        tiny("flux", pipeline="AutoencoderKL").build()


def test_a_class_that_needs_what_the_model_lacks_is_named(tiny):
    with pytest.raises(ModelUnavailableError, match="controlnet"):
        tiny("sdxl", pipeline="StableDiffusionXLControlNetPipeline").build()


def rename(folder, part, stem, variant):
    file = next((folder / part).glob("*.safetensors"))
    file.rename(file.with_name(f"{stem}.{variant}.safetensors"))


def test_weights_that_are_there_as_a_variant_alone_are_loaded(copied, root):
    folder, source = copied("flux"), PretrainedSource("cpu")
    expected = source.load_pipeline(str(root / "flux"), "float32")
    for part, stem in {
        "transformer": "diffusion_pytorch_model",
        "vae": "diffusion_pytorch_model",
        "text_encoder": "model",
        "text_encoder_2": "model",
    }.items():
        rename(folder, part, stem, "fp16")
    found = source.load_pipeline(str(folder), "float32")
    assert all(map(torch.equal, found.transformer.parameters(), expected.transformer.parameters()))
    assert all(map(torch.equal, found.text_encoder_2.parameters(), expected.text_encoder_2.parameters()))


def test_sharded_weights_are_loaded_and_a_missing_shard_is_refused(copied, root):
    folder, source = copied("flux"), PretrainedSource("cpu")
    expected = source.load_pipeline(str(root / "flux"), "float32").transformer
    shutil.rmtree(folder / "transformer")
    expected.save_pretrained(folder / "transformer", max_shard_size="100KB")
    shards = sorted((folder / "transformer").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    found = source.load_pipeline(str(folder), "float32").transformer
    assert all(map(torch.equal, found.parameters(), expected.parameters()))
    shards[-1].unlink()
    with pytest.raises(ModelUnavailableError, match=r"transformer|shard"):
        source.load_pipeline(str(folder), "float32")


def test_single_components_come_from_a_pipeline_or_from_the_root_of_a_model(root, tmp_path):
    source = PretrainedSource("cpu")
    inside = source.load_part("transformer", str(root / "flux"), "float32")
    assert type(inside) is diffusers.FluxTransformer2DModel
    inside.save_pretrained(tmp_path / "alone")
    alone = source.load_part("transformer", str(tmp_path / "alone"), "bfloat16")
    assert alone.dtype == torch.bfloat16
    text = source.load_part("text_encoder_2", str(root / "flux"), "float32")
    assert type(text).__name__ == "T5EncoderModel"
    with pytest.raises(ModelUnavailableError, match="folder 'unet' is missing"):
        source.load_part("unet", str(root / "flux"), "float32")
    edit(tmp_path / "alone/config.json", _class_name="Nope")
    with pytest.raises(
        ModelUnavailableError, match=r"names the class 'Nope', which diffusers .* does not have; code of a model is not run"
    ):
        source.load_part("transformer", str(tmp_path / "alone"), "float32")


class Deaf(diffusers.StableDiffusionPipeline):
    """Takes a generator, and draws from another source."""

    def __call__(self, prompt, *, height, width, num_inference_steps, guidance_scale, generator=None, output_type="pil"):
        del generator
        return super().__call__(
            prompt,
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=self.make_generator(),
            output_type=output_type,
        )

    def make_generator(self):
        return torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "little"))


class Careless(Deaf):
    """Takes a generator, and draws from the process's own."""

    def make_generator(self):
        return None


@pytest.fixture
def own(root, cpu):
    """Return what makes a setup of one of these classes, with the modules of a saved Stable Diffusion."""

    def make(kind, **others):
        pool = Pool(PretrainedSource("cpu", {kind.__name__: kind}))
        facts = {**RECIPES["inpaint"], "inputs": (), "pipeline": kind.__name__, **others}
        return maker(Recipe(model=str(root / "img2img"), **facts), pool, cpu)()

    return make


def test_a_pipeline_that_ignores_its_generator_draws_the_same_if_it_can_be_had(own):
    setup = own(Careless)
    first = setup.generate(0)
    torch.randn(3)
    assert np.array_equal(setup.generate(0), first)
    assert not np.array_equal(setup.generate(1), first), "the negative control would be the picture itself"


def test_a_pipeline_that_draws_from_elsewhere_differs_from_itself(own):
    setup = own(Deaf)
    assert not np.array_equal(setup.generate(0), setup.generate(0))


def test_a_pipeline_that_takes_anything_takes_nothing(own):
    class Anything(diffusers.StableDiffusionPipeline):
        def __call__(self, prompt, **kwargs):
            return super().__call__(prompt, **kwargs)

    with pytest.raises(
        UsageMistakeError, match=r"Anything takes no argument num_inference_steps \(steps of the recipe\), .*; valid: prompt"
    ):
        own(Anything).build()


def test_one_that_draws_a_size_of_its_own_is_said(own):
    class Fixed(diffusers.StableDiffusionPipeline):
        def __call__(self, prompt, num_inference_steps, guidance_scale, generator=None, output_type="pil"):
            return super().__call__(
                prompt,
                height=16,
                width=16,
                num_inference_steps=num_inference_steps,
                guidance_scale=guidance_scale,
                generator=generator,
                output_type=output_type,
            )

    assert own(Fixed, height=16, width=16).generate(0).shape == (1, 16, 16, 3)
    with pytest.raises(GenerationError, match="Fixed drew 16x16 pixels, and the recipe states 32x32"):
        own(Fixed).generate(0)


def test_what_is_returned_beside_pictures_is_said_once(own):
    class Sounding(diffusers.StableDiffusionPipeline):
        def __call__(self, prompt, *, height, width, num_inference_steps, guidance_scale, generator=None, output_type="pil"):
            images = (
                super()
                .__call__(
                    prompt,
                    height=height,
                    width=width,
                    num_inference_steps=num_inference_steps,
                    guidance_scale=guidance_scale,
                    generator=generator,
                    output_type=output_type,
                )
                .images
            )
            return {"frames": images[:, None], "audio": torch.zeros(3)}

    setup = own(Sounding)
    assert setup.notes == ()
    assert setup.generate(0).shape == (1, 1, 32, 32, 3)
    setup.generate(1)
    assert setup.notes == ("tested returns more than its pictures, which nobody judged: audio",)


def test_one_object_under_two_names_stays_one(cpu, root):
    """A copy for an optimization is one copy; the original stays what it was."""
    from pytest_sdspeed.pipelines.optimization import Optimization

    class Twice(diffusers.StableDiffusionPipeline):
        def __init__(
            self,
            vae,
            text_encoder,
            tokenizer,
            unet,
            scheduler,
            *,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
            unet_2=None,
        ):
            super().__init__(vae, text_encoder, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)
            self.register_modules(unet_2=unet_2 or unet)

    class Source:
        @staticmethod
        def load_pipeline(model, dtype, kind):
            del kind
            plain = PretrainedSource("cpu").load_pipeline(model, dtype, "StableDiffusionPipeline")
            return Twice(plain.vae, plain.text_encoder, plain.tokenizer, plain.unet, plain.scheduler)

    def mark(pipeline, _recipe):
        pipeline.unet.marked = True

    marking = Optimization(name="marking", summary="marks", changes=frozenset({"denoisers"}), apply=mark)
    recipe = Recipe(model=str(root / "img2img"), **{**RECIPES["inpaint"], "inputs": ()})
    make = maker(recipe, Pool(Source()), cpu)
    marked, plain = make(extra=[marking]), make()
    assert marked.pipeline.unet is marked.pipeline.unet_2
    assert plain.pipeline.unet is plain.pipeline.unet_2
    assert not hasattr(plain.pipeline.unet, "marked")
    assert isinstance(plain.pipeline, DiffusionPipeline)
    assert np.array_equal(marked.generate(0), plain.generate(0))
