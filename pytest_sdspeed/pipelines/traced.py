"""A UNet traced to TorchScript that a diffusers pipeline uses like its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.attention_modules import count_processors, list_fused

if TYPE_CHECKING:
    from pytest_sdspeed.model import Recipe


class TensorsOnly(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """The UNet as a function of the three tensors that Stable Diffusion passes, for tracing."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
    ) -> Any:
        """Predict the noise in ``sample`` (N, C, H, W)."""
        return self.unet(
            sample, timestep, encoder_hidden_states=encoder_hidden_states, return_dict=False
        )


class TracedUNet(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """A traced UNet with the attributes that the pipeline reads from the original.

    It also tells what its attention was by when it was traced.
    """

    def __init__(self, traced: Any, original: Any) -> None:
        super().__init__()
        self.traced = traced
        self.processors_when_traced = count_processors(original)
        self.fused_when_traced = len(list_fused(original))
        self.original_class = type(original)
        self.config = original.config
        self.dtype = original.dtype
        self.device = original.device

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        **_ignored: Any,
    ) -> Any:
        """Predict the noise in ``sample`` (N, C, H, W); a tuple, as with ``return_dict=False``."""
        return self.traced(sample, timestep, encoder_hidden_states)


def trace_unet(pipeline: Any, recipe: Recipe) -> TracedUNet:
    """Trace a pipeline's UNet at the shapes of its recipe.

    Classifier-free guidance doubles the batch.

    Raises:
        RegistrationError: the pipeline is not of Stable Diffusion 1's kind.
    """
    unet = getattr(pipeline, "unet", None)
    if unet is None or getattr(unet.config, "addition_embed_type", None) is not None:
        raise RegistrationError(
            "traced_unet is for UNets of Stable Diffusion 1's kind, which take a picture, a time"
            f" and a text: {type(pipeline).__name__} has another denoiser"
        )
    guided = recipe.guidance is None or recipe.guidance > 1
    batch = recipe.images * (2 if guided else 1)
    scale = pipeline.vae_scale_factor
    kind = {"dtype": unet.dtype, "device": unet.device}
    sample = torch.zeros(
        batch, unet.config.in_channels, recipe.height // scale, recipe.width // scale, **kind
    )
    hidden = torch.zeros(
        batch, pipeline.tokenizer.model_max_length, unet.config.cross_attention_dim, **kind
    )
    timestep = torch.ones((), dtype=torch.int64, device=unet.device)
    with torch.no_grad():
        traced = torch.jit.trace(
            TensorsOnly(unet).eval(), (sample, timestep, hidden), check_trace=False
        )
    return TracedUNet(traced, unet)
