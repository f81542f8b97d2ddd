"""Optimizations that put another model in the place of a part."""

from __future__ import annotations

from pytest_sdspeed.pipelines.optimization import Optimization

OPTIMIZATIONS = (
    Optimization(
        name="distilled_unet",
        summary="the UNet of a distilled student",
        replaces={"unet": "student"},
        relation="other_weights",
    ),
    Optimization(
        name="tiny_vae",
        summary="a tiny autoencoder in the autoencoder's place",
        replaces={"vae": "tiny_vae"},
        relation="other_autoencoder",
    ),
)
