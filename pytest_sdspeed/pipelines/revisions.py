"""Which weights a model has: a commit of the hub, or a digest of what lies in a folder."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.pipelines.embedded import locate

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN = 12
"""Letters of a commit or a digest that are kept."""
_WHOLE = 2**20
"""Files up to so many bytes are read whole."""
_SAMPLES, _SAMPLE = 32, 4096
"""Of larger ones, so many places are read, so many bytes each: weights that were trained again
differ everywhere."""
_SUFFIXES = (".json", ".txt", ".model", ".safetensors")
_FIRST = ("model_index.json", "unet/config.json", "config.json")
"""A file that a pipeline, a student or an autoencoder has."""


def describe_revisions(models: Iterable[str]) -> str | None:
    """Return what tells the weights of models apart, as ``model@1a2b3c, other@4d5e6f``.

    None is returned if that is not known of one of them.

    Args:
        models: hub ids, local folders or embedded models, which have been loaded.
    """
    found = [(model, find_revision(model)) for model in dict.fromkeys(models)]
    if any(revision is None for _, revision in found):
        return None
    return ", ".join(f"{Path(model).name}@{revision}" for model, revision in found)


@cache
def find_revision(model: str) -> str | None:
    """Return what tells a model's weights from other ones under its name; None if it is unknown.

    Args:
        model: hub id, local folder or embedded model.
    """
    try:
        folder = Path(locate(model))
        return _digest_folder(folder) if folder.is_dir() else _find_commit(model)
    except Exception:  # noqa: BLE001 - a fact that is not known costs nobody a result
        return None


def _find_commit(model: str) -> str | None:
    """Return the commit that the hub's cache holds under the name, which is what was loaded."""
    from huggingface_hub import try_to_load_from_cache

    for name in _FIRST:
        path = try_to_load_from_cache(model, name)
        if isinstance(path, str):
            parts = Path(path).parts
            return parts[parts.index("snapshots") + 1][:_SHOWN]
    return None


def _digest_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}:{size};".encode())
        with path.open("rb") as file:
            if size <= _WHOLE:
                digest.update(file.read())
                continue
            for place in range(_SAMPLES):
                file.seek(place * (size - _SAMPLE) // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:_SHOWN]
