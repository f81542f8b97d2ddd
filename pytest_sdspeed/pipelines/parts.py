"""The parts of a pipeline by what they are, whatever its class is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DENOISERS = "denoisers"
TEXT_ENCODERS = "text_encoders"
AUTOENCODER = "autoencoder"
MODULES = "modules"

_NAMES = {
    DENOISERS: re.compile(f"{stages.DENOISER_NAMES}|{stages.PRIOR_NAMES}"),
    TEXT_ENCODERS: re.compile(stages.TEXT_ENCODER_NAMES),
    AUTOENCODER: re.compile(stages.AUTOENCODER_NAMES),
    MODULES: re.compile(r".+"),
}
"""Group -> the names that pipelines of diffusers give to its components; all that have weights."""
_PAIR = 2
"""Library and class, as which a pipeline's configuration names a component."""
GROUPS = tuple(_NAMES)
"""Names of groups, which an optimization may name in the place of components."""


def list_components(pipeline: Any) -> dict[str, Any]:
    """Return the components of a pipeline by name, None for those that it goes without.

    ``components`` of diffusers leaves out what a class has a default for and does not call
    optional; such a part is registered all the same, and draws.
    """
    registered = {
        name: getattr(pipeline, name)
        for name, value in getattr(pipeline, "config", {}).items()
        if isinstance(value, tuple | list) and len(value) == _PAIR and name in vars(pipeline)
    }
    return {**dict(pipeline.components), **registered}


def find_parts(group: str, components: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a group's components that have weights, in the pipeline's order.

    Args:
        group: one of ``GROUPS``.
        components: name of a component -> the component, None if the pipeline goes without it.
    """
    return tuple(
        name
        for name, part in components.items()
        if _NAMES[group].fullmatch(name) and hasattr(part, "parameters")
    )


def list_modules(pipeline: Any) -> dict[str, Any]:
    """Return the modules that a pipeline works with, by name, each once.

    Those of a pipeline inside of it, such as a refiner, have its name in front:
    ``refiner_unet``. A pipeline that is not of diffusers has those that are its attributes.

    Args:
        pipeline: the pipeline; what it holds now counts, compiled or wrapped as it is.
    """
    named = list_components(pipeline) if hasattr(pipeline, "components") else ()
    held = {name: getattr(pipeline, name, None) for name in named} if named else vars(pipeline)
    found: dict[str, Any] = {}
    for name, part in held.items():
        if hasattr(part, "register_forward_hook"):
            inner = {name: part}
        elif hasattr(part, "components"):
            inner = {f"{name}_{own}": module for own, module in list_modules(part).items()}
        else:
            continue
        known = {id(module) for module in found.values()}
        found |= {own: module for own, module in inner.items() if id(module) not in known}
    return found


def name_parts(names: Iterable[str], components: Mapping[str, Any]) -> frozenset[str]:
    """Return names of components, those of a group in the place of its name.

    Args:
        names: names of components or of groups.
        components: name of a component -> the component.

    Raises:
        RegistrationError: a name is neither a component's nor a group's.
    """
    found: set[str] = set()
    for name in names:
        if name in _NAMES:
            found.update(find_parts(name, components))
        elif name in components:
            found.add(name)
        else:
            raise RegistrationError(
                "changes and rewrites name components of the pipeline: it has no"
                f" {name!r}; valid: {', '.join((*sorted(components), *GROUPS))}"
            )
    return frozenset(found)
