"""Training of the teacher with its text encoder, and distillation of the student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import mse_loss

from miniature.models import from_teacher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miniature.data import Captions
    from miniature.loop import Run, Trained
    from miniature.models import Miniature

UNCONDITIONAL = 0.1
"""Share of training pictures without a caption, for classifier-free guidance (Ho and Salimans
2022)."""

MIN_SNR_GAMMA = 5.0
"""Greatest signal-to-noise ratio that has full weight (Hang et al. 2023)."""

FEATURE_WEIGHT = 0.1
"""Weight of the student's loss on the outputs of the teacher's levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """What the UNets are trained on.

    Attributes:
        scaled: latents (N, 4, 16, 16), as the UNet sees them.
        captions: captions of the same pictures.
        scheduler: scheduler that adds the noise.
    """

    scaled: torch.Tensor
    captions: Captions
    scheduler: Any

    def noisy(self, size: int, generator: torch.Generator, device: Any) -> Noisy:
        """Draw a batch of latents at random timesteps."""
        indices = torch.randint(len(self.scaled), (size,), generator=generator)
        timesteps = torch.randint(
            self.scheduler.config.num_train_timesteps, (size,), generator=generator
        )
        noise = torch.randn(self.scaled[indices].shape, generator=generator)
        ids = self.captions.draw(indices, generator, UNCONDITIONAL)
        noisy = self.scheduler.add_noise(self.scaled[indices], noise, timesteps)
        alphas = self.scheduler.alphas_cumprod[timesteps]
        snr = alphas / (1 - alphas)
        return Noisy(
            *(
                part.to(device)
                for part in (noisy, timesteps, noise, ids, snr.clamp(max=MIN_SNR_GAMMA) / snr)
            )
        )


@dataclass(frozen=True, slots=True)
class Noisy:
    """A batch.

    Attributes:
        latents: latents with noise.
        timesteps: timestep of each picture.
        noise: noise to be predicted.
        ids: tokens of the captions, (N, 77).
        weights: weight of each picture's squared error.
    """

    latents: torch.Tensor
    timesteps: torch.Tensor
    noise: torch.Tensor
    ids: torch.Tensor
    weights: torch.Tensor

    def error(self, prediction: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean squared error of predicted noise."""
        return ((prediction - noise).square().mean((1, 2, 3)) * self.weights).mean()


def train_teacher(run: Run, parts: Miniature, latents: Latents) -> Trained:
    """Train the UNet to predict the noise in captioned latents, and the text encoder with it."""
    unet, text_encoder = parts.unet, parts.text_encoder

    def losses(size: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        batch = latents.noisy(size, generator, unet.device)
        text = text_encoder(batch.ids).last_hidden_state
        return {
            "noise": batch.error(unet(batch.latents, batch.timesteps, text).sample, batch.noise)
        }

    return run.train("teacher", [unet, text_encoder], losses)


def distill(run: Run, parts: Miniature, latents: Latents) -> Trained:
    """Give the student the weights of the blocks that it has, and train it to imitate the teacher.

    The losses are BK-SDM's (Kim et al. 2023): the noise and the teacher's prediction, both with
    min-SNR weights, and the output features of each level, whose error is in units of their
    variance over the teacher's batch.
    """
    student, teacher = parts.student, parts.unet
    from_teacher(student, teacher.state_dict())
    ours, theirs = Features(student), Features(teacher)

    def losses(size: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        batch = latents.noisy(size, generator, student.device)
        with torch.no_grad():
            text = parts.text_encoder(batch.ids).last_hidden_state
            wanted = teacher(batch.latents, batch.timesteps, text).sample
        found = student(batch.latents, batch.timesteps, text).sample
        pairs = zip(ours.seen, theirs.seen, strict=True)
        features = [mse_loss(mine, other) / other.var() for mine, other in pairs]
        return {
            "noise": batch.error(found, batch.noise),
            "output": batch.error(found, wanted),
            "features": FEATURE_WEIGHT * torch.stack(features).mean(),
        }

    trained = run.train("student", [student], losses)
    ours.remove()
    theirs.remove()
    return trained


class Features:
    """The outputs of each level of a UNet at its last call, in order."""

    def __init__(self, unet: Any) -> None:
        self.seen: list[torch.Tensor] = []
        self._hooks = [unet.register_forward_pre_hook(lambda *_: self.seen.clear())]
        self._hooks += [
            block.register_forward_hook(self._see) for block in (*unet.down_blocks, *unet.up_blocks)
        ]

    def _see(self, _block: Any, _inputs: Any, output: Any) -> None:
        # A down block returns its output and its skip connections.
        self.seen.append(output[0] if isinstance(output, tuple) else output)

    def remove(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()
