"""A UNet that computes its deep features only now and then: from one step to the next they hardly change.

The idea is DeepCache's (Ma, Fang, Wang 2023, arXiv 2312.00858); the code is this project's own.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.unet_wrapper import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FRESH = 2
"""Skip connections that a shallow pass computes: that of the first convolution and that of the first layer. Each has its layer at the
other end of the UNet. What enters the first of those layers is the deep feature that is kept."""

_CONDITIONS = ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim")


class FeatureCachedUNet(StandIn):
    """A UNet of Stable Diffusion 1's kind, in full at every ``interval``-th call of a generation and at its outermost layers at the others.

    Args:
        unet: a ``UNet2DConditionModel``, with or without a middle block.
        interval: 1 computes everything always.
    """

    def __init__(self, unet: Any, interval: int) -> None:
        super().__init__(unet, *both_passes(unet))
        self.interval = interval
        self.restart()

    def restart(self) -> None:
        """Forget the features: the next call is the first of a generation."""
        self._call = 0
        self._deep: torch.Tensor | None = None

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor, **_ignored: Any
    ) -> tuple[torch.Tensor]:
        """Predict the noise in ``sample`` (N, C, H, W)."""
        full, shallow = self.passes
        if self._call % self.interval:
            (noise,) = shallow(sample, timestep, encoder_hidden_states, self._deep)
        else:
            noise, self._deep = full(sample, timestep, encoder_hidden_states)
        self._call += 1
        return (noise,)


def both_passes(unet: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The pass that computes everything, and the one that computes the outermost layers only."""
    return _Full(unet), _Shallow(unet)


class _Full(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """The whole UNet; gives the deep feature away too."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise and deep feature of ``sample`` (N, C, H, W)."""
        unet = self.unet
        embedding = _embedding(unet, sample, timestep)
        sample = unet.conv_in(sample)
        skips = [sample]
        for block in unet.down_blocks:
            sample, added = block(hidden_states=sample, temb=embedding, **_text_for(block, text))
            skips.extend(added)
        if unet.mid_block is not None:
            sample = unet.mid_block(sample, embedding, **_text_for(unet.mid_block, text))
        *inner, last = list(unet.up_blocks)
        for block in inner:
            count = len(block.resnets)
            taken, skips = tuple(skips[-count:]), skips[:-count]
            # The side of a picture need not be a multiple of what the UNet halves.
            size = skips[-1].shape[2:]
            sample = block(
                hidden_states=sample, res_hidden_states_tuple=taken, temb=embedding, upsample_size=size, **_text_for(block, text)
            )
        for index in range(len(last.resnets) - _FRESH):
            sample = _layer(last, index, torch.cat([sample, skips.pop()], dim=1), embedding, text)
        return _finished(unet, sample, skips, embedding, text), sample


class _Shallow(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """The outermost layers of the UNet, around a deep feature of an earlier step."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, deep: torch.Tensor) -> tuple[torch.Tensor]:
        """Noise of ``sample`` (N, C, H, W)."""
        unet = self.unet
        embedding = _embedding(unet, sample, timestep)
        entered = unet.conv_in(sample)
        skips = [entered, _layer(unet.down_blocks[0], 0, entered, embedding, text)]
        return (_finished(unet, deep, skips, embedding, text),)


def _embedding(unet: Any, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))


def _text_for(block: Any, text: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}


def _layer(block: Any, index: int, sample: torch.Tensor, embedding: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """One layer of a block: convolutions, and attention where it has any."""
    sample = block.resnets[index](sample, embedding)
    if getattr(block, "has_cross_attention", False):
        sample = block.attentions[index](sample, encoder_hidden_states=text, return_dict=False)[0]
    return sample


def _finished(unet: Any, deep: torch.Tensor, skips: Sequence[torch.Tensor], embedding: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """The last layers, one for each of the outermost skip connections, and the output."""
    last = unet.up_blocks[-1]
    first = len(last.resnets) - len(skips)
    for index, skip in enumerate(reversed(skips), first):
        deep = _layer(last, index, torch.cat([deep, skip], dim=1), embedding, text)
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(deep)))


def cache_features(pipeline: Any, interval: int) -> None:
    """Put a ``FeatureCachedUNet`` in the place of a pipeline's UNet.

    It starts anew with each generation, when the pipeline sets its scheduler's timesteps; a host that asked the timesteps themselves would
    wait for the device at every step.

    Raises:
        RegistrationError: the UNet is not of Stable Diffusion 1's kind, or something stands in its place already.
    """
    from diffusers import UNet2DConditionModel

    unet = pipeline.unet
    if not isinstance(unet, UNet2DConditionModel):
        raise RegistrationError(f"feature_cache_{interval} takes the UNet apart: list it before compile, cuda_graphs and traced_unet")
    conditions = [name for name in _CONDITIONS if getattr(unet.config, name, None) is not None]
    if conditions:
        raise RegistrationError(f"feature_cache_{interval} is for UNets of Stable Diffusion 1's kind: this one has {', '.join(conditions)}")
    pipeline.unet = FeatureCachedUNet(unet, interval)
    pipeline.scheduler.set_timesteps = _after(pipeline.unet.restart, pipeline.scheduler.set_timesteps)


def _after(first: Callable[[], None], then: Callable[..., None]) -> Callable[..., None]:
    @wraps(then)
    def both(*args: Any, **kwargs: Any) -> None:
        first()
        then(*args, **kwargs)

    return both
