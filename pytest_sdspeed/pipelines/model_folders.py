"""What a local model folder lacks, named before a library tries to load it.

The libraries' own messages name neither the part at fault nor what to do.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
"""Either of them holds a tokenizer's vocabulary."""
_LIBRARIES = ("diffusers", "transformers")
_UNUSED = ("safety_checker", "feature_extractor")
_FILES_ONLY = re.compile(r"Scheduler|Tokenizer|Processor|Extractor")
"""Classes of parts that have no weights; these are left to the library that loads them."""
_VOCABULARIES = (*TOKENIZER_FILES, "vocab.txt", "spiece.model", "tokenizer.model", "*.bpe.model")
"""Any of them holds a tokenizer's vocabulary."""
VARIANTS = ("fp16", "bf16")
"""Variants of weights that a model may have alone."""
_VARIANT = re.compile(r"\.(?P<variant>[A-Za-z0-9_]+)(-\d{5}-of-\d{5})?\.safetensors")


def check_pipeline(folder: Path, classes: Mapping[str, type] = MappingProxyType({})) -> None:
    """Reject a saved pipeline that is incomplete or broken.

    diffusers loads even a pipeline without its tokenizer, with another vocabulary.

    Args:
        folder: the folder that holds ``model_index.json``.
        classes: pipelines that users registered, by the names of their classes.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """
    if not (folder / "model_index.json").exists():
        raise ModelUnavailableError(f"{folder}: no saved pipeline: model_index.json is missing")
    index = _read_index(folder)
    refuse_code(str(folder), index, classes)
    for part, kind in index.items():
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
        check_part(folder, part, weights=not _FILES_ONLY.search(str(kind[1])))


def refuse_code(model: str, index: Mapping[str, Any], classes: Mapping[str, type]) -> None:
    """Refuse a pipeline whose code, or that of a component, would come from the model itself.

    Args:
        model: folder or hub id, for the message.
        index: what its ``model_index.json`` says.
        classes: pipelines that users registered; what their modules hold is the user's own code.

    Raises:
        ModelUnavailableError: it names code that is neither an installed library's nor registered.
    """
    import diffusers.pipelines

    named = index.get("_class_name")
    if isinstance(named, list):
        raise ModelUnavailableError(
            f"{model}: model_index.json names the pipeline {named}: '_class_name' must be a string,"
            " since code of a model is not run. If the class is yours, register it:"
            " registry.add_pipeline"
        )
    own = {one.__module__.split(".")[0] for one in classes.values()}
    for part, kind in index.items():
        if part.startswith("_") or part in _UNUSED or not _is_pair(kind):
            continue
        library = str(kind[0])
        known = library in {*_LIBRARIES, *own} or hasattr(diffusers.pipelines, library)
        if not known:
            raise ModelUnavailableError(
                f"{model}: model_index.json gives {part!r} as {kind}; valid: [library, class] of"
                " diffusers or transformers, or of the module of a registered pipeline, since code"
                " of a model is not run"
            )


def _is_pair(kind: Any) -> bool:
    return isinstance(kind, list) and len(kind) == 2 and kind != [None, None]  # noqa: PLR2004


def find_variant(folder: Path) -> str | None:
    """Return the variant of the weights in a folder if some part has no other, else None.

    Args:
        folder: folder of a pipeline or of a single part.
    """
    for inside in (folder, *sorted(one for one in folder.iterdir() if one.is_dir())):
        names = [file.name for file in inside.glob("*.safetensors")]
        found = [_VARIANT.search(name) for name in names]
        if names and all(found):
            return next(one["variant"] for one in found if one)
    return None


def check_part(folder: Path, part: str = "", kind: str = "", *, weights: bool = True) -> None:
    """Reject one part of a model that is incomplete or broken.

    Args:
        folder: folder of the model.
        part: name of the part's folder inside, "" if the model consists of this part alone.
        kind: what the part is, if its folder's name does not tell.
        weights: whether it has weights; a tokenizer has none.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """
    inside, kind = folder / part, kind or part
    if not inside.is_dir():
        raise ModelUnavailableError(f"{folder}: incomplete model: folder {part!r} is missing")
    for file in sorted(inside.glob("*.json")):
        _read_json(folder, file)
    if kind.startswith("tokenizer") and not any(any(inside.glob(name)) for name in _VOCABULARIES):
        raise ModelUnavailableError(
            f"{folder}: incomplete pipeline: {part} has neither {' nor '.join(TOKENIZER_FILES)}"
        )
    if weights and not kind.startswith("tokenizer"):
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
