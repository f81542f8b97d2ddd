"""How many numbers the weights of a pipeline are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.parts import (
    AUTOENCODER,
    DENOISERS,
    MODULES,
    TEXT_ENCODERS,
    find_parts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def count_parameters(parts: Mapping[str, Any]) -> int:
    """Count the numbers in the weights of a pipeline's parts; what parts share counts once.

    Args:
        parts: name of a component -> the component.
    """
    modules = [part for part in parts.values() if hasattr(part, "parameters")]
    weights = {id(weight): weight for module in modules for weight in module.parameters()}
    return sum(weight.numel() for weight in weights.values())


_ROLES = {"denoiser": DENOISERS, "text_encoder": TEXT_ENCODERS, "autoencoder": AUTOENCODER}
"""Role of a part -> the group of components that have it."""


def count_parts(parts: Mapping[str, Any]) -> dict[str, int]:
    """Count the numbers in the weights of each part, and of all together.

    Args:
        parts: name of a component -> the component.

    Returns:
        Name of a component, or a role (``denoiser``, ``text_encoder``, ``autoencoder``) that the
        pipeline has, -> numbers; "" for all together.
    """
    groups = {role: find_parts(group, parts) for role, group in _ROLES.items()}
    single = {name: (name,) for name in find_parts(MODULES, parts)}
    chosen = {
        "": tuple(parts),
        **{role: names for role, names in groups.items() if names},
        **single,
    }
    return {
        name: count_parameters({one: parts[one] for one in names}) for name, names in chosen.items()
    }
