"""The attention of a model: its modules, their processors and their projections."""

from __future__ import annotations

from collections import Counter
from typing import Any

_FUSED = ("to_qkv", "to_kv", "to_added_qkv")
"""Projections that fusing adds to a module of attention."""


def list_attention(part: Any) -> list[Any]:
    """Return the modules of a part that compute attention by a processor."""
    return [
        module
        for module in part.modules()
        if getattr(module, "processor", None) is not None and hasattr(module, "set_processor")
    ]


def count_processors(part: Any) -> Counter[str]:
    """Count the attention processors of a part by their classes; of a traced one, those it had."""
    own = Counter(type(module.processor).__name__ for module in list_attention(part))
    return own + sum(map(Counter, _list_traced(part)), Counter())


def list_fused(part: Any) -> dict[str, Any]:
    """Return the projections that fusing has added to the attention of a part, by their paths."""
    return {
        f"{path}.{name}": getattr(module, name)
        for path, module in part.named_modules()
        if getattr(module, "fused_projections", False)
        for name in _FUSED
        if getattr(module, name, None) is not None
    }


def _list_traced(part: Any) -> list[Counter[str]]:
    return [
        one.processors_when_traced
        for one in part.modules()
        if hasattr(one, "processors_when_traced")
    ]


def describe_counts(counts: Counter[str]) -> str:
    """Write ``30 AttnProcessor2_0 and 2 AttnProcessor``."""
    said = [f"{count} {name}" for name, count in counts.most_common()]
    return " and ".join(said) or "no processor"
