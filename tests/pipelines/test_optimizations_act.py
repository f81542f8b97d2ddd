"""Every optimization acts on a pipeline that takes it and says so; it draws the same again, and changes nothing that another setup uses."""

from __future__ import annotations

import pytest
import torch
from optimized import Arms

from pytest_sdspeed.device.flags import guard

CACHED = "skipped something in {} of {} calls of the denoiser"
ACTING = {
    "tiles": ("flux", "vae_tiling(tile_sample_min_height=8, tile_sample_min_width=8)", {}, "vae computed 9 tiles"),
    "slices": ("stable_diffusion", "vae_slicing", {"num_images_per_prompt": 2}, "vae computed 2 pictures in 2 slices"),
    "casting": ("flux", "layerwise_casting", {}, "weights are stored in float8_e4m3fn and computed with in float32"),
    "casting of a UNet": ("stable_diffusion", 'layerwise_casting(parts=["denoisers", "autoencoder"])', {}, "are stored in float8_e4m3fn"),
    "leaves": ("flux", "group_offload", {}, "groups of layers were loaded"),
    "blocks": ("stable_diffusion", 'group_offload(offload_type="block_level", parts=["unet"])', {}, "groups of layers were loaded"),
    "first block": ("flux", "first_block_cache(threshold=0.9)", {}, CACHED.format(3, 4)),
    "taylor": ("flux", "taylorseer(cache_interval=2, disable_cache_before_step=2)", {}, CACHED.format(1, 4)),
    "taylor lite": ("wan", "taylorseer(cache_interval=2, disable_cache_before_step=2, use_lite_mode=true)", {}, CACHED.format(2, 8)),
    "magnitudes": ("flux", "mag_cache(threshold=0.5)", {}, "calls of the denoiser"),
    "pyramid": ("flux", "pyramid_attention_broadcast", {}, "calls of the denoiser"),
    "faster": ("flux", "faster_cache(is_guidance_distilled=true)", {}, "calls of the denoiser"),
    "faster, guided": ("mochi", "faster_cache", {}, "calls of the denoiser"),
    "deepcache": ("stable_diffusion", "deepcache(interval=2)", {}, CACHED.format(2, 4)),
    "tokens": ("stable_diffusion", "tome", {}, "merged tokens in 12 of 16 calls, 64 to 32"),
    "int8": ("flux", "quantize", {}, "MB in the place of"),
    "int8dq": ("flux", 'quantize(method="int8dq")', {}, "without compile it is many times slower"),
    "gguf": ("stable_diffusion", 'quantize(method="gguf_q8_0", parts=["vae", "unet"])', {}, "GGUFParameter"),
    "gguf, 4 bits and a minimum": ("stable_diffusion", 'quantize(method="gguf_q4_1")', {}, "GGUFParameter"),
    "quanto": ("flux", 'quantize(method="quanto_int8")', {}, "WeightQBytesTensor"),
    "quanto, fp8": ("flux", 'quantize(method="quanto_fp8", parts=["denoisers", "text_encoders"])', {}, "WeightQBytesTensor"),
}
NEEDS = {
    "leaves": None,
    "deepcache": "DeepCache",
    "tokens": "tomesd",
    "int8": "torchao",
    "int8dq": "torchao",
    "gguf": "gguf",
    "gguf, 4 bits and a minimum": "gguf",
    "quanto": "optimum.quanto",
    "quanto, fp8": "optimum.quanto",
}


@pytest.mark.parametrize("name", ["model_offload", "group_offload"])
def test_offloading_is_seen_by_where_the_weights_rest_if_the_device_has_memory_of_its_own(name, monkeypatch):
    if name == "model_offload":
        pytest.importorskip("accelerate")
    arms = Arms("flux", name)
    (part,) = arms.stack
    with monkeypatch.context() as patched:
        patched.setattr(type(arms.pipeline), "_execution_device", torch.device("cuda"))
        with part.prove(arms.pipeline, **part.options) as answer:
            pass
        finding = answer()
    assert finding.acted
    assert "of weights rest outside of the device between the calls of" in finding.text
    arms.check_the_other()


@pytest.mark.parametrize("case", ACTING)
def test_it_acts_says_so_and_repeats_itself_beside_a_setup_without_it(case):
    if NEEDS.get(case):
        pytest.importorskip(NEEDS[case])
    name, label, call, said = ACTING[case]
    with guard("the optimization"):
        arms = Arms(name, label, call=call)
        first = arms.draw()
        finding = arms.find()
        again = arms.draw()
    assert finding.acted, finding.text
    assert said in finding.text
    assert torch.equal(first, again), "its pictures depend on what was drawn before"
    arms.check_the_other()
