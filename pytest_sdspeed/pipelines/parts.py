"""The parts of a pipeline by what they are, whatever its class is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DENOISERS = "denoisers"
TEXT_ENCODERS = "text_encoders"
AUTOENCODER = "autoencoder"
MODULES = "modules"

_NAMES = {
    DENOISERS: re.compile(r"(unet|transformer|denoiser|dit|prior|decoder)(_?\d+)?"),
    TEXT_ENCODERS: re.compile(r"text_encoder(_?\d+)?"),
    AUTOENCODER: re.compile(r"vae|vqvae|vqgan|movq"),
    MODULES: re.compile(r".+"),
}
"""Group -> the names that pipelines of diffusers give to its components; all that have weights."""
GROUPS = tuple(_NAMES)
"""Names of groups, which an optimization may name in the place of components."""


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
