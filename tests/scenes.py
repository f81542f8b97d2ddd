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
