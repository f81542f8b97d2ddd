"""Classes by the names that recipes, tables and saved models give them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import ModelUnavailableError, RegistrationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = 5


def find_pipeline_class(name: str, own: Mapping[str, type], where: str = "recipe") -> Any:
    """Return the class of a pipeline: one that users registered, or one of diffusers.

    Args:
        name: name of the class.
        own: registered classes by name.
        where: what names it, for messages.

    Raises:
        RegistrationError: there is no such class, or it is no pipeline.
    """
    import diffusers

    if name in own:
        return own[name]
    found = _get(diffusers, name)
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        known = {one for one in dir(diffusers) if "Pipeline" in one} | own.keys()
        near = difflib.get_close_matches(name, known, _SHOWN) or [*own]
        raise RegistrationError(
            f"{where}: pipeline {name!r} is no class of diffusers {diffusers.__version__}, nor"
            f" registered by registry.add_pipeline; near: {', '.join(near) or 'none'}"
        )
    return found


def find_part_class(config: Mapping[str, Any], like: type | None, model: str) -> Any:
    """Return the class of a single component, as its configuration names it.

    Args:
        config: what is in its ``config.json``.
        like: class to take if the configuration names none.
        model: where it is from, for messages.

    Raises:
        ModelUnavailableError: this installation has no such class; code of a model is never run.
    """
    import diffusers
    import transformers

    own = config.get("_class_name")
    listed = config.get("architectures")
    name = own or (listed[0] if isinstance(listed, list) and listed else None)
    if not isinstance(name, str):
        if like is None:
            raise ModelUnavailableError(
                f"{model}: config.json names no class: '_class_name' of diffusers or"
                " 'architectures' of transformers"
            )
        return like
    found = _get(diffusers if own else transformers, name)
    if found is None or not hasattr(found, "from_pretrained"):
        library = diffusers if own else transformers
        raise ModelUnavailableError(
            f"{model}: config.json names the class {name!r}, which {library.__name__}"
            f" {library.__version__} does not have; code of a model is not run"
        )
    return found


def _get(library: Any, name: str) -> Any:
    try:
        return getattr(library, name, None)
    except (ImportError, RuntimeError):  # what its class needs is missing
        return None
