"""A LoRA, beside the weights or fused into them: it acts or it is found out, and the weights that setups share stay what they are."""

from __future__ import annotations

import pytest
import torch
from optimized import Arms
from toy_pipelines import PIPELINES

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import ModelUnavailableError, RegistrationError

peft = pytest.importorskip("peft")


@pytest.fixture(scope="module")
def loras(tmp_path_factory):
    """Save LoRAs of two toy models, and one whose weights are all zero."""
    folder = tmp_path_factory.mktemp("loras")
    for name in ("stable_diffusion", "flux"):
        save(folder / name, name)
    save(folder / "zero", "stable_diffusion", spread=0.0)
    return folder


def save(folder, name, spread=1.0):
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(1)
        pipeline, _ = PIPELINES[name]()
        part = "unet" if hasattr(pipeline, "unet") else "transformer"
        denoiser = getattr(pipeline, part)
        denoiser.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"))
        for path, weight in denoiser.named_parameters():
            if "lora_B" in path:
                torch.nn.init.normal_(weight, std=spread)
        layers = peft.get_peft_model_state_dict(denoiser)
        type(pipeline).save_lora_weights(folder, **{f"{part}_lora_layers": layers})


def make(loras, name, label, which=None):
    return Arms(name, label, parts={"lora": str(loras / (which or name))})


@pytest.mark.parametrize("name", ["stable_diffusion", "flux"])
def test_beside_the_weights_it_acts_and_fused_it_draws_the_same(loras, name):
    beside, fused = make(loras, name, "lora(scale=0.5)"), make(loras, name, "lora(scale=0.5, fused=true)")
    seen, of_fused = beside.find(), fused.find()
    assert seen.acted, seen.text
    assert "layers, scaled by" in seen.text
    assert of_fused.acted, of_fused.text
    assert of_fused.text.startswith("changed the weights of ")
    assert not torch.allclose(beside.draw(), beside.draw_base(), atol=1e-5)
    assert torch.allclose(beside.draw(), fused.draw(), atol=1e-4)
    for arms in (beside, fused):
        arms.check_the_other()


@pytest.mark.parametrize("fused", ["false", "true"])
@pytest.mark.parametrize(("which", "scale"), [("stable_diffusion", 0.0), ("zero", 1.0)], ids=["scale 0", "weights 0"])
def test_one_that_adds_nothing_is_found_out(loras, which, scale, fused):
    arms = make(loras, "stable_diffusion", f"lora(scale={scale}, fused={fused})", which)
    finding = arms.find()
    assert finding.acted is False
    assert "scale or its own weights are zero" in finding.text


def test_one_that_is_turned_off_again_is_found_out(loras):
    arms = make(loras, "stable_diffusion", "lora")
    arms.pipeline.disable_lora()
    finding = arms.find()
    assert finding.acted is False
    assert "its adapter is not active" in finding.text


def test_one_that_is_prepared_for_swapping_acts_with_the_rank_that_was_reserved(loras):
    arms = make(loras, "flux", "lora(hotswap=true, target_rank=8)")
    assert arms.find().acted
    ranks = {one.shape[0] for path, one in arms.pipeline.transformer.named_parameters() if "lora_A" in path}
    assert ranks == {8}
    assert torch.allclose(arms.draw(), make(loras, "flux", "lora").draw(), atol=1e-5)


def test_a_file_stands_for_its_folder(loras):
    assert make(loras, "flux", "lora", "flux/pytorch_lora_weights.safetensors").find().acted


@pytest.mark.parametrize(
    ("which", "said"),
    [("nowhere", "cannot be loaded into FluxPipeline"), ("stable_diffusion", "FluxPipeline")],
    ids=["missing", "of another model"],
)
def test_one_that_cannot_be_loaded_is_told_with_its_place(loras, which, said):
    with pytest.raises(ModelUnavailableError, match=said) as error:
        make(loras, "flux", "lora", which)
    assert str(loras / which) in str(error.value)


def test_what_is_fused_cannot_be_swapped_and_a_recipe_without_one_is_told(loras):
    with pytest.raises(RegistrationError, match="what is fused cannot be swapped"):
        make(loras, "flux", "lora(fused=true, hotswap=true)")
    with pytest.raises(RegistrationError, match="the recipe has no 'lora'"):
        Arms("flux", "lora")
