"""Training of the autoencoder on pictures, and of the tiny one on what the autoencoder makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import l1_loss, mse_loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miniature.data import Drawn
    from miniature.loop import Run, Trained

KL_WEIGHT = 5e-4
"""Weight of the latents' Kullback-Leibler divergence from a standard normal, per number."""


def train_autoencoder(run: Run, vae: Any, drawn: Drawn) -> Trained:
    """Train the autoencoder to reproduce pictures, and scale its latents to unit variance.

    The losses are mean absolute error, mean squared error, and the divergence of the latents.
    """

    def losses(size: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        pictures = _batch(drawn, size, generator).to(vae.device)
        posterior = vae.encode(pictures).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(vae.device)
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        divergence = KL_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel()
        return {
            "absolute": l1_loss(decoded, pictures),
            "squared": mse_loss(decoded, pictures),
            "divergence": divergence,
        }

    trained = run.train("autoencoder", [vae], losses)
    sample = encoded(vae, drawn, torch.arange(min(512, len(drawn))))
    vae.register_to_config(scaling_factor=round(vae.config.scaling_factor / float(sample.std()), 5))
    return trained


def train_tiny(run: Run, tiny: Any, vae: Any, drawn: Drawn) -> Trained:
    """Train the tiny autoencoder to decode like the autoencoder, and to find its latents."""
    scale = vae.config.scaling_factor

    def losses(size: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        pictures = _batch(drawn, size, generator).to(vae.device)
        with torch.no_grad():
            latents = vae.encode(pictures).latent_dist.mean
            target = vae.decode(latents).sample
        decoded = tiny.decode(latents * scale).sample
        found = tiny.encode(pictures).latents
        return {
            "decoder": l1_loss(decoded, target) + mse_loss(decoded, target),
            "encoder": l1_loss(found, latents * scale),
        }

    return run.train("tiny-autoencoder", [tiny], losses)


def encoded(vae: Any, drawn: Drawn, indices: torch.Tensor) -> torch.Tensor:
    """Encode pictures to latents as the UNet sees them: (N, 4, 16, 16), float32, scaled."""
    with torch.no_grad():
        batches = [
            vae.encode(drawn.pictures(part).to(vae.device)).latent_dist.mean
            for part in indices.split(64)
        ]
    return torch.cat(batches) * vae.config.scaling_factor


def _batch(drawn: Drawn, size: int, generator: torch.Generator) -> torch.Tensor:
    return drawn.pictures(torch.randint(len(drawn), (size,), generator=generator))
