"""How many numbers the weights of a pipeline are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
