"""What an optimization cannot do is told by name and reason when it is built, or before: nothing crashes in a generation, nothing is passed over."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest
from optimized import CPU, GPU, OLD_GPU, Arms

from pytest_sdspeed.errors import RegistrationError, SdSpeedError
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS, support

BY_NAME = {part.name: part for part in OPTIMIZATIONS}
REFUSED = {
    "a cache of transformers for a UNet": ("sdxl", "first_block_cache", "UNet2DConditionModel, which has no enable_cache"),
    "a cache that a transformer does not have": (
        "stable_diffusion_3",
        "taylorseer",
        "SD3Transformer2DModel, which has no enable_cache: diffusers ",
    ),
    "a pipeline that does not keep its calls apart": ("chroma", "taylorseer", "ChromaPipeline: its call enters no cache_context"),
    "one block alone": ("ltx", "first_block_cache", "it needs two blocks or more"),
    "layers of other names": ("wan", "taylorseer", "no layer of it has a name or a class that this cache is for"),
    "a model that nobody calibrated": ("wan", "mag_cache", "no mag_ratios of WanTransformer3DModel"),
    "two caches": ("flux", "first_block_cache;taylorseer", "Caching has already been enabled"),
    "timesteps that are none": ("flux", "pyramid_attention_broadcast(spatial_attention_timestep_skip_range=[1])", "valid: two timesteps"),
    "an interval of no step": ("flux", "taylorseer(cache_interval=0)", "valid: a whole number, 1 or more"),
    "DeepCache of a transformer": ("flux", "deepcache", "it takes a UNet2DConditionModel"),
    "token merging of a transformer": ("flux", "tome", "it takes a UNet2DConditionModel"),
    "all tokens": ("stable_diffusion", "tome(ratio=1.0)", "valid: from 0 to 0.75"),
    "a type that torch does not have": ("flux", 'layerwise_casting(storage_dtype="float4")', "valid: a floating-point type of torch"),
    "a part that is not there": (
        "flux",
        'layerwise_casting(parts=["unet"])',
        "FluxPipeline has no 'unet'; valid in parts: vae, transformer",
    ),
    "a group of nothing": ("flux", 'quantize(parts=["text_encoders"])', "FluxPipeline has no text_encoders; its parts:"),
    "tiles that are no squares": ("flux", "vae_tiling(tile_sample_min_height=8, tile_sample_min_width=16)", "are squares"),
    "an option that an autoencoder does not take": (
        "flux",
        "vae_tiling(tile_sample_min_num_frames=8)",
        "takes no tile_sample_min_num_frames",
    ),
    "tiles with gaps between them": (
        "wan",
        "vae_tiling(tile_sample_min_height=16, tile_sample_min_width=16)",
        "have 16 (tile_sample_min_height): set tile_sample_min_height to 192 or more or tile_sample_stride_height to 16 or less",
    ),
    "tiles with gaps of some frames": (
        "ltx",
        "vae_tiling(tile_sample_min_num_frames=4)",
        "have 4 (tile_sample_min_num_frames): set tile_sample_min_num_frames to 8 or more",
    ),
    "a tile of no size": ("wan", "vae_tiling(tile_sample_min_height=0)", "valid: a number of pixels"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_says_what_does_not_fit(what):
    name, labels, said = REFUSED[what]
    for label, package in (("deepcache", "DeepCache"), ("tome", "tomesd"), ("quantize", "torchao")):
        if label in labels and not what.endswith("of a transformer"):
            pytest.importorskip(package)
    with pytest.raises(RegistrationError, match=re.escape(said)):
        Arms(name, *labels.split(";"))


def test_tiles_that_a_model_has_by_itself_are_left_to_it():
    """EasyAnimate's autoencoder steps over eight frames with tiles of four."""

    def change(pipeline):
        pipeline.vae.tile_sample_min_num_frames, pipeline.vae.tile_sample_stride_num_frames = 4, 8

    Arms("ltx", "vae_tiling(tile_sample_min_height=512, tile_sample_stride_height=512)", change=change)


@pytest.mark.parametrize("name", ["flux", "wan"])
def test_a_denoiser_without_an_unconditional_half_is_told_in_its_first_call(name):
    arms = Arms(name, "faster_cache")
    with pytest.raises(RegistrationError, match="give it is_guidance_distilled=true"):
        arms.draw()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("group_offload", {}, "accelerate is not installed: pip install 'pytest-sdspeed[offload]'"),
        ("model_offload", {}, "accelerate is not installed: pip install 'pytest-sdspeed[offload]'"),
        ("sequential_offload", {}, "accelerate is not installed: pip install 'pytest-sdspeed[offload]'"),
        ("lora", {}, "peft is not installed: pip install 'pytest-sdspeed[lora]'"),
        ("deepcache", {}, "DeepCache is not installed: pip install 'pytest-sdspeed[deepcache]'"),
        ("tome", {}, "tomesd is not installed: pip install 'pytest-sdspeed[tome]'"),
        ("quantize", {}, "torchao is not installed: pip install 'pytest-sdspeed[quantize]'"),
        ("quantize", {"method": "gguf_q4_0"}, "gguf is not installed: pip install 'pytest-sdspeed[quantize]'"),
        ("quantize", {"method": "bnb_nf4"}, "bitsandbytes is not installed: pip install bitsandbytes"),
        ("quantize", {"method": "quanto_int8"}, "optimum-quanto is not installed: pip install optimum-quanto"),
    ],
)
def test_a_package_that_is_missing_is_asked_for_by_name(name, options, said, monkeypatch):
    monkeypatch.setattr(support, "find_spec", lambda _name: None)
    part = BY_NAME[name].with_options(options, "a test")
    assert part.supported(GPU, **part.options) == said


@pytest.mark.parametrize("name", ["deepcache", "tome", "quantize", "lora", "group_offload", "model_offload"])
def test_a_package_that_cannot_be_imported_is_told_with_its_own_words(name, monkeypatch):
    def fail(_name):
        raise ImportError("built for another torch")

    monkeypatch.setattr(support, "find_spec", lambda name: name)
    monkeypatch.setattr(support, "import_module", fail)
    assert "cannot be imported: built for another torch" in BY_NAME[name].supported(GPU, **BY_NAME[name].options)


@pytest.mark.parametrize(
    ("name", "options", "machine", "said"),
    [
        ("model_offload", {}, CPU, "model_offload needs a GPU, or another device with memory of its own: run with --sd-gpu"),
        ("sequential_offload", {}, CPU, "sequential_offload needs a GPU"),
        ("group_offload", {"use_stream": True}, CPU, "group_offload with use_stream needs a CUDA GPU: run with --sd-gpu"),
        ("quantize", {"method": "int4wo"}, CPU, 'quantize(method="int4wo") needs a CUDA GPU'),
        ("quantize", {"method": "fp8dq"}, OLD_GPU, 'quantize(method="fp8dq") needs an Ada or later CUDA GPU: NVIDIA Old is older'),
    ],
)
def test_a_machine_that_cannot_run_it_is_told_what_it_lacks(name, options, machine, said, monkeypatch):
    monkeypatch.setattr(support, "find_spec", lambda name: name)
    monkeypatch.setattr(support, "import_module", lambda name: name)
    part = BY_NAME[name].with_options(options, "a test")
    assert part.supported(machine, **part.options).startswith(said)


@pytest.mark.parametrize(
    ("name", "options"),
    [("quantize", {"method": "int3"}), ("group_offload", {"offload_type": "atoms"}), ("group_offload", {"record_stream": True})],
)
def test_an_option_of_no_meaning_is_told_with_those_that_have_one(name, options):
    part = BY_NAME[name].with_options(options, "a test")
    with pytest.raises(SdSpeedError, match=r"valid: |needs use_stream"):
        part.supported(GPU, **part.options)


def test_diffusers_that_is_too_old_for_a_cache_is_told_by_its_version(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", SimpleNamespace(__version__="0.35.2"))
    said = BY_NAME["mag_cache"].supported(CPU, **BY_NAME["mag_cache"].options)
    assert said == "mag_cache needs MagCacheConfig, which diffusers 0.35.2 does not have: pip install --upgrade diffusers"
