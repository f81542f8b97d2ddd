"""What a local model folder lacks, named before a library tries to load it.

The libraries' own messages name neither the part at fault nor what to do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
"""Either of them holds a tokenizer's vocabulary."""
_UNUSED = ("safety_checker", "feature_extractor")
_WEIGHTED = ("unet", "vae", "text_encoder")
"""Parts whose files are known by name; the others are left to the library that loads them."""


def check_pipeline(folder: Path) -> None:
    """Reject a saved pipeline that is incomplete or broken.

    diffusers loads even a pipeline without its tokenizer, with another vocabulary.

    Args:
        folder: the folder that holds ``model_index.json``.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """
    if not (folder / "model_index.json").exists():
        raise ModelUnavailableError(f"{folder}: no saved pipeline: model_index.json is missing")
    for part, kind in _read_index(folder).items():
        if (
            part.startswith("_")
            or part in _UNUSED
            or not isinstance(kind, list)
            or kind == [None, None]
        ):
            continue
        if len(kind) != 2:  # noqa: PLR2004 - library and class
            raise ModelUnavailableError(
                f"{folder}: model_index.json gives {part!r} as {kind}; valid: [library, class]"
            )
        if not (folder / part).is_dir():
            raise ModelUnavailableError(
                f"{folder}: incomplete pipeline: model_index.json names {part!r}, but that folder"
                " is missing"
            )
        check_part(folder, part)


def check_part(folder: Path, part: str = "", kind: str = "") -> None:
    """Reject one part of a model that is incomplete or broken.

    Args:
        folder: folder of the model.
        part: name of the part's folder inside, "" if the model consists of this part alone.
        kind: what the part is, if its folder's name does not tell.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """
    inside, kind = folder / part, kind or part
    if not inside.is_dir():
        raise ModelUnavailableError(f"{folder}: incomplete model: folder {part!r} is missing")
    for file in sorted(inside.glob("*.json")):
        _read_json(folder, file)
    if kind.startswith("tokenizer") and not any(
        (inside / name).is_file() for name in TOKENIZER_FILES
    ):
        raise ModelUnavailableError(
            f"{folder}: incomplete pipeline: {part} has neither {' nor '.join(TOKENIZER_FILES)}"
        )
    if kind.startswith(_WEIGHTED):
        config = inside / "config.json"
        if not config.is_file():
            raise ModelUnavailableError(
                f"{folder}: incomplete model: {_show_path(folder, config)} is missing"
            )
        _check_weights(folder, inside)


def _read_index(folder: Path) -> Mapping[str, Any]:
    index = _read_json(folder, folder / "model_index.json")
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelUnavailableError(
            f"{folder}: model_index.json names no pipeline class of diffusers: '_class_name' must"
            " be a string"
        )
    return index


def _read_json(folder: Path, file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelUnavailableError(
            f"{folder}: {_show_path(folder, file)} cannot be read: {error.strerror}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ModelUnavailableError(
            f"{folder}: {_show_path(folder, file)} is not JSON: {error}"
        ) from None


def _check_weights(folder: Path, inside: Path) -> None:
    from safetensors import SafetensorError, safe_open

    files = sorted(inside.glob("*.safetensors"))
    if not files:
        pickled = ", ".join(file.name for file in sorted(inside.glob("*.bin")))
        why = f" ({pickled} is not used: loading a pickle runs the code in it)" if pickled else ""
        raise ModelUnavailableError(
            f"{folder}: incomplete model: {_show_path(folder, inside)} has no *.safetensors"
            f" weights{why}"
        )
    for file in files:
        try:
            with safe_open(file, framework="np"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelUnavailableError(
                f"{folder}: {_show_path(folder, file)} is not a complete safetensors file: {error}"
            ) from None


def _show_path(folder: Path, file: Path) -> str:
    return "the folder" if file == folder else file.relative_to(folder).as_posix()
