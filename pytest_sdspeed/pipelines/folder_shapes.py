"""Saved pipelines of any class, built from their configuration files alone: shapes, no weights."""

from __future__ import annotations

import importlib
import inspect
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.quiet import hide_progress_bars, quiet
from pytest_sdspeed.errors import ModelUnavailableError, SdSpeedError, read_first_line
from pytest_sdspeed.pipelines.classes import list_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LEFT_OUT = ("safety_checker", "feature_extractor")
"""They run inside a call and draw nothing; every source of this project leaves them out."""


def build_without_weights(
    folder: Path,
    dtype: str,
    device: str,
    kind: str | None = None,
    classes: Mapping[str, type] = MappingProxyType({}),
) -> Any:
    """Build a saved pipeline whose tensors have shapes, and no numbers.

    Schedulers, tokenizers and processors are loaded as they are; of networks only the configuration
    is read.

    Args:
        folder: the folder that holds ``model_index.json``; weights may be missing.
        dtype: type of the weights.
        device: torch device that they say they are on, in a dry run.
        kind: name of the pipeline's class, or None for the one that the folder names.
        classes: pipelines that users registered, by the names of their classes.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """
    index = _read_index(folder)
    with quiet():
        import diffusers
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

    own = kind or index["_class_name"]
    chosen: Any = classes.get(own) or getattr(diffusers, own, None)
    if chosen is None:
        raise ModelUnavailableError(
            f"{folder}: model_index.json names the pipeline {own!r}, which"
            f" diffusers {diffusers.__version__} does not have"
        )
    taken = inspect.signature(chosen.__init__).parameters
    with quiet(), hide_progress_bars(diffusers_logging, transformers_logging):
        parts = {
            name: _make_part(folder, name, value, dtype, device, libraries=list_libraries(classes))
            for name, value in index.items()
            if name in taken
        }
        if "requires_safety_checker" in parts:
            parts["requires_safety_checker"] = False
        try:
            return chosen(**parts)
        except Exception as error:
            raise _refuse(folder, "", error) from error


def _make_part(
    folder: Path, name: str, value: Any, dtype: str, device: str, *, libraries: frozenset[str]
) -> Any:
    """Make a component of a pipeline, or return a setting as it is."""
    if not isinstance(value, list) or name in _LEFT_OUT or value == [None, None]:
        return None if name in _LEFT_OUT or isinstance(value, list) else value
    kind = _find_class(folder, name, value, libraries)
    if not (folder / name).is_dir():
        raise ModelUnavailableError(
            f"{folder}: incomplete pipeline: model_index.json names {name!r}, but that folder is"
            " missing"
        )
    try:
        if _is_network(kind):
            _refuse_quantized(folder, name)
            return _build_network(folder, name, kind, dtype).to(device)
        return kind.from_pretrained(str(folder / name))
    except SdSpeedError:
        raise
    except Exception as error:
        raise _refuse(folder, name, error) from error


def _read_index(folder: Path) -> dict[str, Any]:
    file = folder / "model_index.json"
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnavailableError(
            f"{folder}: no saved pipeline: model_index.json is missing"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailableError(
            f"{folder}: model_index.json cannot be read: {read_first_line(error, 'no message')}"
        ) from None
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelUnavailableError(
            f"{folder}: model_index.json names no pipeline class of diffusers: '_class_name' must"
            " be a string"
        )
    return index


def _refuse_quantized(folder: Path, name: str) -> None:
    """Refuse what is saved quantized: what it asks for is not told by its shapes."""
    file = folder / name / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if isinstance(config, dict) and config.get("quantization_config"):
        raise ModelUnavailableError(
            f"{folder}: {name} is saved quantized (quantization_config in its config.json), which"
            " cannot be built without weights: count the folder of the model it was made from"
        )


def _find_class(folder: Path, name: str, kind: list[Any], libraries: frozenset[str]) -> Any:
    """Return the class of a component; code that a folder brings is never run."""
    import diffusers.pipelines

    library, kind_name = map(str, kind if len(kind) == 2 else ("", ""))  # noqa: PLR2004 - a pair
    try:
        if library and hasattr(diffusers.pipelines, library):
            return getattr(getattr(diffusers.pipelines, library), kind_name)
        if library in libraries:
            return getattr(importlib.import_module(library), kind_name)
    except (AttributeError, ImportError, TypeError) as error:
        raise ModelUnavailableError(
            f"{folder}: model_index.json gives {name!r} as {kind}, which this installation does not"
            f" have: {read_first_line(error, type(error).__name__)}"
        ) from None
    raise ModelUnavailableError(
        f"{folder}: model_index.json gives {name!r} as {kind}; valid: [library, class] of diffusers"
        " or transformers, since code of a model folder is not run"
    )


def _is_network(kind: Any) -> bool:
    import torch

    return isinstance(kind, type) and issubclass(kind, torch.nn.Module)


def _build_network(folder: Path, name: str, kind: Any, dtype: str) -> Any:
    """Build a network on torch's meta device, in the types that loading gives its weights."""
    import torch

    with torch.device("meta"):
        if hasattr(kind, "load_config"):
            made = kind.from_config(kind.load_config(str(folder), subfolder=name))
        else:
            made = kind(kind.config_class.from_pretrained(str(folder), subfolder=name))
    return _cast(made.eval(), getattr(torch, dtype))


def _cast(module: Any, dtype: Any) -> Any:
    """Cast weights to a type, except those that the libraries keep in float32 when they load."""
    import torch

    kept = set(getattr(module, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16 or hasattr(module, "load_config"):
        kept |= set(getattr(module, "_keep_in_fp32_modules", None) or ())
    # Not the module's own method: diffusers' warns about what is kept.
    torch.nn.Module.to(module, dtype)
    for name, parameter in module.named_parameters():
        if kept.intersection(name.split(".")):
            parameter.data = parameter.data.to(torch.float32)
    return module


def _refuse(folder: Path, name: str, error: Exception) -> ModelUnavailableError:
    first = read_first_line(error, type(error).__name__)[:200].rstrip(". ")
    return ModelUnavailableError(
        f"{folder}: {name or 'the pipeline'} cannot be built without weights: {first}"
    )
