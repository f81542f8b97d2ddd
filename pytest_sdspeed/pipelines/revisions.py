"""Which weights a model has: a commit of the hub, or a digest of what lies in a folder."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.pipelines.embedded import locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHOWN = 12
"""Letters of a commit or a digest that are kept."""
_WHOLE = 2**20
"""Files up to so many bytes are read whole."""
_SAMPLES, _SAMPLE = 32, 4096
"""Of larger ones, so many places are read, so many bytes each: weights that were trained again
differ everywhere."""
_SUFFIXES = (".json", ".txt", ".model", ".safetensors")
_OF_MODEL = ("model_index.json", "config.json")
_OF_PART = "*config.json"
"""What the folder of each part has: ``config.json``, ``scheduler_config.json``, ..."""
_WRITTEN_BY = ("_diffusers_version", "_name_or_path", "transformers_version")
"""Keys of a configuration that say who saved it, and not what it is."""
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
    for path in sorted(_list_files(folder)):
        digest.update(f"{path.relative_to(folder).as_posix()}:".encode())
        for piece in _read_pieces(path):
            digest.update(piece)
    return digest.hexdigest()[:_SHOWN]


def _list_files(folder: Path) -> Iterator[Path]:
    """Yield the files that a model is loaded from.

    What else lies in its folder, such as the results of a run, is no part of it: each run would
    seem to have another model.
    """
    yield from (path for name in _OF_MODEL if (path := folder / name).is_file())
    yield from folder.glob("*.safetensors")
    for part in {path.parent for path in folder.glob(f"*/{_OF_PART}")}:
        yield from (path for path in part.iterdir() if path.suffix in _SUFFIXES)


def _read_pieces(path: Path) -> Iterator[bytes]:
    """Yield the size of a file and what is in it: of a large one samples, of JSON what it means."""
    size = path.stat().st_size
    if size <= _WHOLE:
        content = path.read_bytes()
        yield _clean_json(content) if path.suffix == ".json" else b"%d;%b" % (size, content)
        return
    yield b"%d;" % size
    with path.open("rb") as file:
        for place in range(_SAMPLES):
            file.seek(place * (size - _SAMPLE) // (_SAMPLES - 1))
            yield file.read(_SAMPLE)


def _clean_json(content: bytes) -> bytes:
    found = json.loads(content)
    if isinstance(found, dict):
        found = {name: value for name, value in found.items() if name not in _WRITTEN_BY}
    return json.dumps(found, sort_keys=True).encode()
