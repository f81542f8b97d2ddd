"""What a pipeline of a user's own class asks for is counted with every part that it holds."""

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DModel
from diffusers.utils.torch_utils import randn_tensor

from pytest_sdspeed.model import Recipe
from pytest_sdspeed.run.accounting import count_setup
from pytest_sdspeed.setups.catalog import ResolvedSetup
from pytest_sdspeed.setups.registry import Registry

UNET = {
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [8],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "norm_num_groups": 2,
    "layers_per_block": 1,
}


class OfUsers(DiffusionPipeline):
    """Its denoiser has a default and is in no list of optional parts: diffusers does not name it as a component."""

    def __init__(self, scheduler, unet=None):
        super().__init__()
        self.register_modules(scheduler=scheduler, unet=unet)

    @torch.no_grad()
    def __call__(self, prompt, height, width, num_inference_steps=2, generator=None):
        sample = randn_tensor((1, 3, height, width), generator=generator, device=self.unet.device, dtype=self.unet.dtype)
        self.scheduler.set_timesteps(num_inference_steps)
        for step in self.scheduler.timesteps:
            sample = self.scheduler.step(self.unet(sample, step).sample, step, sample).prev_sample
        return {"images": sample.clamp(0, 1).float()}


def test_parts_that_have_a_default_are_counted_too():
    registry = Registry()
    registry.add_pipeline(OfUsers)
    index = {"_class_name": "OfUsers", "scheduler": ["diffusers", "DDIMScheduler"], "unet": ["diffusers", "UNet2DModel"]}
    files = {"model_index.json": index, "scheduler/scheduler_config.json": dict(DDIMScheduler().config), "unet/config.json": UNET}
    registry.add_architecture("own", files)
    recipe = Recipe(model="own", prompt="a cat", height=8, width=8, steps=2, scheduler=None, guidance=None)
    resolved = ResolvedSetup(table=None, setup="tested", optimizations=(), recipe=recipe, row=None, baseline="tested")
    account = count_setup(resolved, (), registry)
    assert account.parameters == sum(weight.numel() for weight in UNet2DModel(**UNET).parameters()) > 0
    assert "denoising" in account.stages
