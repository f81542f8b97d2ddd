"""Pipelines and parts built from configurations alone, whatever their classes are.

What becomes of their networks, shapes or random weights, is the caller's choice. Code that a model
folder brings is never run: classes are those of diffusers and transformers.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.quiet import hide_progress_bars, quiet
from pytest_sdspeed.errors import (
    ModelUnavailableError,
    RegistrationError,
    SdSpeedError,
    read_first_line,
)
from pytest_sdspeed.pipelines.architectures import INDEX
from pytest_sdspeed.pipelines.classes import find_pipeline_class
from pytest_sdspeed.pipelines.model_folders import TOKENIZER_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.pipelines.architectures import Architecture, Config

    Make = Callable[[str, Callable[[], Any]], Any]
    """Makes a network: called with its component's name, and with what calls its constructor."""

LEFT_OUT = ("safety_checker", "feature_extractor")
"""They run inside a call and draw nothing; every source of this project leaves them out."""


def build_pipeline(
    model: str,
    architecture: Architecture,
    make: Make,
    *,
    classes: Mapping[str, type] = MappingProxyType({}),
    kind: str | None = None,
) -> Any:
    """Build a whole pipeline.

    Schedulers have their configurations. Tokenizers and processors are loaded from the
    architecture's folder if their files are there; tokenizers are made up if they are not.

    Args:
        model: name of the model, for messages.
        architecture: its configurations.
        make: makes its networks.
        classes: pipelines that users registered, by the names of their classes.
        kind: name of the pipeline's class, None for the one that it is saved as.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
        RegistrationError: there is no pipeline of that name.
    """
    index = architecture.index
    if not index and Path(model).is_dir():
        raise ModelUnavailableError(f"{model}: no saved pipeline: {INDEX} is missing")
    if not index:
        lacking = "text encoder" if architecture.find_config("text_encoder") is None else "pipeline"
        raise ModelUnavailableError(
            f"{model!r} has no {lacking} to give random weights to: without a {INDEX} it is a part"
        )
    with quiet():
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        chosen = (
            find_pipeline_class(kind, classes)
            if kind
            else _find_pipeline(model, index["_class_name"], classes)
        )
    taken = inspect.signature(chosen.__init__).parameters
    with quiet(), hide_progress_bars(diffusers_logging, transformers_logging):
        parts = {
            name: _make_component(model, architecture, name, value, make)
            for name, value in index.items()
            if name in taken
        }
        optional = {*LEFT_OUT, *getattr(chosen, "_optional_components", ())}
        parts |= {name: None for name in optional if name in taken and name not in parts}
        if "requires_safety_checker" in taken:
            parts["requires_safety_checker"] = False
        try:
            return chosen(**parts)
        except Exception as error:
            raise _refuse(model, "", error) from error


def build_part(model: str, component: str, architecture: Architecture, make: Make) -> Any:
    """Build one network: a component of the model, or the model if it is one part alone.

    Args:
        model: name of the model, for messages.
        component: name of the component that it replaces in another pipeline.
        architecture: its configurations.
        make: makes the network.

    Raises:
        ModelUnavailableError: the model has no such part, or its configuration is broken.
    """
    config = architecture.find_part(component)
    if config is None:
        raise ModelUnavailableError(
            f"{model!r} has no {component.replace('_', ' ')} to give random weights to"
        )
    value = architecture.index.get(component)
    if architecture.find_config(component) is None or value is None:
        named = config.get("_class_name"), *config.get("architectures", ())
        found = next((name for name in named if name), "")
        value = ["diffusers" if config.get("_class_name") else "transformers", found]
    return _make_network(model, component, _find_class(model, component, value), config, make)


def _find_pipeline(model: str, name: str, classes: Mapping[str, type]) -> Any:
    import diffusers

    try:
        return find_pipeline_class(name, classes)
    except RegistrationError:
        raise ModelUnavailableError(
            f"{model}: {INDEX} names the pipeline {name!r}, which diffusers"
            f" {diffusers.__version__} does not have"
        ) from None


def _make_component(
    model: str, architecture: Architecture, name: str, value: Any, make: Make
) -> Any:
    """Make a component of a pipeline, or return a setting as it is."""
    if not isinstance(value, list) or name in LEFT_OUT or value == [None, None]:
        return None if name in LEFT_OUT or isinstance(value, list) else value
    kind = _find_class(model, name, value)
    config = architecture.find_config(name)
    folder = architecture.folder / name if architecture.folder else None
    if name.startswith("tokenizer") and not _has_vocabulary(folder):
        return _make_up_tokenizer(architecture, name, value[1])
    if folder and not folder.is_dir():
        raise ModelUnavailableError(
            f"{model}: incomplete pipeline: {INDEX} names {name!r}, but that folder is missing"
        )
    if _is_network(kind):
        return _make_network(model, name, kind, _require(model, name, config), make)
    try:
        if hasattr(kind, "from_config"):
            return kind.from_config(dict(_require(model, name, config)))
        if folder:
            return kind.from_pretrained(str(folder))
        return kind() if config is None else kind(**_keep_public(config))
    except SdSpeedError:
        raise
    except Exception as error:
        raise _refuse(model, name, error) from error


def _require(model: str, name: str, config: Config | None) -> Config:
    if config is None:
        raise ModelUnavailableError(
            f"{model}: {name} cannot be built without weights: its configuration is missing"
        )
    return config


def _has_vocabulary(folder: Path | None) -> bool:
    if folder is None:
        return False
    return any((folder / name).is_file() for name in TOKENIZER_FILES) or any(folder.glob("*.model"))


def _make_up_tokenizer(architecture: Architecture, name: str, kind: str) -> Any:
    """Make a tokenizer that reads any text, for the text encoder of the same number."""
    from pytest_sdspeed.pipelines.tokenizer import make_tokenizer

    return make_tokenizer(
        kind, architecture.find_config(name.replace("tokenizer", "text_encoder")) or {}
    )


def _make_network(model: str, name: str, kind: Any, config: Config, make: Make) -> Any:
    if config.get("quantization_config"):
        raise ModelUnavailableError(
            f"{model}: {name} is saved quantized (quantization_config in its config.json), which"
            " cannot be built without weights: count the folder of the model it was made from"
        )
    try:
        return make(name, lambda: _construct(kind, config))
    except (SdSpeedError, MemoryError):
        raise
    except Exception as error:
        raise _refuse(model, name, error) from error


def _construct(kind: Any, config: Config) -> Any:
    """Call the constructor of a network with its configuration."""
    if hasattr(kind, "load_config"):
        return kind.from_config(dict(config))
    settings = kind.config_class
    whole = getattr(settings, "base_config_key", "")
    # The configuration of a part may be inside of that of the model which it was saved with.
    if whole in config and config.get("model_type") != settings.model_type:
        config = config[whole]
    return kind(settings.from_dict(_keep_public(config)))


def _keep_public(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _find_class(model: str, name: str, kind: list[Any]) -> Any:
    """Return the class of a component; code that a folder brings is never run."""
    import diffusers.pipelines

    library, kind_name = map(str, kind if len(kind) == 2 else ("", ""))  # noqa: PLR2004 - a pair
    try:
        if library and hasattr(diffusers.pipelines, library):
            return getattr(getattr(diffusers.pipelines, library), kind_name)
        if library in {"diffusers", "transformers"}:
            return getattr(importlib.import_module(library), kind_name)
    except (AttributeError, ImportError, TypeError) as error:
        raise ModelUnavailableError(
            f"{model}: {INDEX} gives {name!r} as {kind}, which this installation does not"
            f" have: {read_first_line(error, type(error).__name__)}"
        ) from None
    raise ModelUnavailableError(
        f"{model}: {INDEX} gives {name!r} as {kind}; valid: [library, class] of diffusers"
        " or transformers, since code of a model folder is not run"
    )


def _is_network(kind: Any) -> bool:
    import torch

    return isinstance(kind, type) and issubclass(kind, torch.nn.Module)


def _refuse(model: str, name: str, error: Exception) -> ModelUnavailableError:
    first = read_first_line(error, type(error).__name__)[:200].rstrip(". ")
    return ModelUnavailableError(
        f"{model}: {name or 'the pipeline'} cannot be built without weights: {first}"
    )
