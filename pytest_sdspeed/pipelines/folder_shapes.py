"""Saved pipelines of any class, built from their configuration files alone: shapes, no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.architectures import read_architecture
from pytest_sdspeed.pipelines.building import build_pipeline
from pytest_sdspeed.pipelines.random_weights import lay_out_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def build_without_weights(folder: Path, dtype: str, device: str) -> Any:
    """Build a saved pipeline whose tensors have shapes, and no numbers.

    Schedulers, tokenizers and processors are loaded as they are; of networks only the configuration
    is read.

    Args:
        folder: the folder that holds ``model_index.json``; weights may be missing.
        dtype: type of the weights.
        device: torch device that they say they are on, in a dry run.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """

    def make(_name: str, build: Callable[[], Any]) -> Any:
        return lay_out_network(build, dtype, device)

    return build_pipeline(str(folder), read_architecture(folder), make)
