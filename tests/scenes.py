"""Shared by the tests of the picture rules: seeded pictures, and the same ones disturbed."""

from __future__ import annotations

import numpy as np


def scene(seed, *, batch=1, side=32):
    """Smooth seeded pictures, float32 (batch, side, side, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((batch, side // 8, side // 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype(np.float32)


def disturbed(pictures, amount, seed=99):
    noise = np.random.default_rng(seed).uniform(-amount, amount, pictures.shape)
    return np.clip(pictures + noise, 0, 1).astype(np.float32)


def planted(kind):
    """The picture of seed 0 with a defect."""
    picture = scene(0)
    if kind == "nan":
        picture[0, :2, :2] = np.nan
    elif kind == "inf":
        picture[0, 0, 0, 0] = np.inf
    elif kind == "black":
        picture[:] = 0
    elif kind == "one level above black":
        picture[:, ::2] = 0
        picture[:, 1::2] = 1 / 255
    elif kind == "grey":
        picture[:] = 0.5
    elif kind == "red":
        picture[:] = [0.9, 0.1, 0.2]
    elif kind == "white":
        picture[:] = 1
    elif kind == "rounded":
        picture[:] = 0.5
        picture[:, ::2] += 1 / 255
    return picture
