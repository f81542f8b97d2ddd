"""A UNet that computes its deep features at some steps only.

They hardly change from one step to the next. The idea is DeepCache's (Ma, Fang, Wang 2023, arXiv
2312.00858); the code is this project's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.schedulers import call_first
from pytest_sdspeed.pipelines.unet_wrapper import UNetWrapper

if TYPE_CHECKING:
    from collections.abc import Sequence

_FRESH = 2
"""Skip connections that a shallow pass computes: of the first convolution and the first layer.

Each has its layer at the other end of the UNet. The input of the first of those layers is the deep
feature that is cached.
"""

_CONDITIONS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)


class FeatureCachedUNet(UNetWrapper):
    """A UNet of Stable Diffusion 1's kind that caches its deep features.

    Every ``interval``-th call of a generation computes all of it, the others its outermost layers.

    Args:
        unet: a ``UNet2DConditionModel``, with or without a middle block.
        interval: number of calls from one full pass to the next; 1 always computes everything.
    """

    def __init__(self, unet: Any, interval: int) -> None:
        super().__init__(unet, *split_passes(unet))
        self.interval = interval
        self.restart()

    def count_calls(self) -> tuple[int, int]:
        """Return the calls since the generation began, and how many of them were in full."""
        return self._call, -(-self._call // self.interval)

    def restart(self) -> None:
        """Forget the features, since the next call is the first of a generation."""
        self._call = 0
        self._deep: torch.Tensor | None = None

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        **_ignored: Any,
    ) -> tuple[torch.Tensor]:
        """Predict the noise in ``sample`` (N, C, H, W)."""
        full, shallow = self.passes
        if self._call % self.interval:
            (noise,) = shallow(sample, timestep, encoder_hidden_states, self._deep)
        else:
            noise, self._deep = full(sample, timestep, encoder_hidden_states)
        self._call += 1
        return (noise,)


def split_passes(unet: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a UNet's two passes: all of it, and its outermost layers only."""
    return _Full(unet), _Shallow(unet)


class _Full(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """The whole UNet; it returns the deep feature too."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict the noise in ``sample`` (N, C, H, W), and return the deep feature with it."""
        unet = self.unet
        embedding = _embed(unet, sample, timestep)
        sample = unet.conv_in(sample)
        skips = [sample]
        for block in unet.down_blocks:
            sample, added = block(hidden_states=sample, temb=embedding, **_pass_text(block, text))
            skips.extend(added)
        if unet.mid_block is not None:
            sample = unet.mid_block(sample, embedding, **_pass_text(unet.mid_block, text))
        *inner, last = list(unet.up_blocks)
        for block in inner:
            count = len(block.resnets)
            taken, skips = tuple(skips[-count:]), skips[:-count]
            # The UNet halves sides, which need not be even.
            size = skips[-1].shape[2:]
            sample = block(
                hidden_states=sample,
                res_hidden_states_tuple=taken,
                temb=embedding,
                upsample_size=size,
                **_pass_text(block, text),
            )
        for index in range(len(last.resnets) - _FRESH):
            sample = _run_layer(
                last, index, torch.cat([sample, skips.pop()], dim=1), embedding, text
            )
        return _finish(unet, sample, skips, embedding, text), sample


class _Shallow(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """The outermost layers of the UNet, around a deep feature of an earlier step."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, deep: torch.Tensor
    ) -> tuple[torch.Tensor]:
        """Predict the noise in ``sample`` (N, C, H, W)."""
        unet = self.unet
        embedding = _embed(unet, sample, timestep)
        entered = unet.conv_in(sample)
        skips = [entered, _run_layer(unet.down_blocks[0], 0, entered, embedding, text)]
        return (_finish(unet, deep, skips, embedding, text),)


def _embed(unet: Any, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))


def _pass_text(block: Any, text: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}


def _run_layer(
    block: Any, index: int, sample: torch.Tensor, embedding: torch.Tensor, text: torch.Tensor
) -> torch.Tensor:
    """Run one layer of a block: convolutions, and attention if it has any."""
    sample = block.resnets[index](sample, embedding)
    if getattr(block, "has_cross_attention", False):
        sample = block.attentions[index](sample, encoder_hidden_states=text, return_dict=False)[0]
    return sample


def _finish(
    unet: Any,
    deep: torch.Tensor,
    skips: Sequence[torch.Tensor],
    embedding: torch.Tensor,
    text: torch.Tensor,
) -> torch.Tensor:
    """Run the last layers, one for each of the outermost skip connections, and the output."""
    last = unet.up_blocks[-1]
    first = len(last.resnets) - len(skips)
    for index, skip in enumerate(reversed(skips), first):
        deep = _run_layer(last, index, torch.cat([deep, skip], dim=1), embedding, text)
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(deep)))


def cache_features(pipeline: Any, interval: int) -> None:
    """Put a ``FeatureCachedUNet`` in the place of a pipeline's UNet.

    Each generation starts over, when the pipeline sets its scheduler's timesteps. Reading the
    timesteps themselves instead would make the host wait for the device at every step.

    Args:
        pipeline: a Stable Diffusion pipeline of diffusers, which is changed.
        interval: number of calls from one full pass to the next.

    Raises:
        RegistrationError: the UNet is not of Stable Diffusion 1's kind, or it is wrapped already.
    """
    from diffusers import UNet2DConditionModel

    unet = getattr(pipeline, "unet", None)
    if unet is None:
        raise RegistrationError(
            f"feature_cache_{interval} is for UNets of Stable Diffusion 1's kind, which"
            f" {type(pipeline).__name__} has none of: first_block_cache and others are for"
            " transformers"
        )
    if not isinstance(unet, UNet2DConditionModel):
        raise RegistrationError(
            f"feature_cache_{interval} takes the UNet apart: list it before compile, cuda_graphs"
            " and traced_unet"
        )
    conditions = [name for name in _CONDITIONS if getattr(unet.config, name, None) is not None]
    if conditions:
        raise RegistrationError(
            f"feature_cache_{interval} is for UNets of Stable Diffusion 1's kind: this one has"
            f" {', '.join(conditions)}"
        )
    pipeline.unet = FeatureCachedUNet(unet, interval)
    pipeline.scheduler.set_timesteps = call_first(
        pipeline.unet.restart, pipeline.scheduler.set_timesteps
    )
