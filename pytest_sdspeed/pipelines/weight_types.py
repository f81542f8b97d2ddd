"""Types of weights, of which the libraries keep some in float32 whatever they are asked for."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_KEPT = "_keep_in_fp32_modules"


def cast_weights(network: Any, dtype: Any) -> Any:
    """Cast weights to a type, except those that the libraries keep in float32 when they load.

    Of buffers those are cast that are saved with the weights; the others are computed. What is
    quantized, or no number, stays what it is.

    Args:
        network: a network of diffusers or transformers.
        dtype: torch's type.
    """
    import torch

    plain = (torch.float32, torch.float16, torch.bfloat16)
    kept = set(getattr(network, f"{_KEPT}_strict", None) or ())
    if dtype == torch.float16 or hasattr(network, "load_config"):
        kept |= set(getattr(network, _KEPT, None) or ())
    for name, parameter in network.named_parameters():
        wanted = torch.float32 if kept.intersection(name.split(".")) else dtype
        if parameter.dtype in plain and parameter.dtype != wanted:
            parameter.data = parameter.data.to(wanted)
    saved = network.state_dict().keys()
    for name, buffer in [*network.named_buffers()]:
        if name in saved and buffer.dtype in plain:
            wanted = torch.float32 if kept.intersection(name.split(".")) else dtype
            owner, _, last = name.rpartition(".")
            setattr(network.get_submodule(owner), last, buffer.to(wanted))
    return network


def find_component_classes(index: Mapping[str, Any]) -> dict[str, type]:
    """Return the classes that a ``model_index.json`` names for its components, by component."""
    import diffusers

    found = {}
    for name, pair in index.items():
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - library and class
            continue
        library = diffusers if pair[0] == "diffusers" else sys.modules.get(str(pair[0]))
        kind = getattr(library, str(pair[1]), None)
        if isinstance(kind, type):
            found[name] = kind
    return found


def need_accelerate(kinds: Mapping[str, type]) -> frozenset[str]:
    """Return the names of the classes that diffusers refuses to load without accelerate.

    They keep some weights in float32.
    """
    from diffusers import ModelMixin
    from diffusers.models import modeling_utils

    if modeling_utils.is_accelerate_available():
        return frozenset()
    return frozenset(
        name
        for name, kind in kinds.items()
        if issubclass(kind, ModelMixin) and getattr(kind, _KEPT, None) is not None
    )


@contextmanager
def hide_kept(kinds: Iterable[type]) -> Iterator[None]:
    """Have classes say that they keep no weights in float32, so that diffusers loads them.

    They are to be loaded in float32 and then cast by ``cast_weights``: that gives the types and
    numbers that accelerate gives, for more memory while loading.
    """
    before = {kind: vars(kind).get(_KEPT) for kind in kinds}
    for kind in before:
        setattr(kind, _KEPT, None)
    try:
        yield
    finally:
        for kind, kept in before.items():
            if kept is None:
                delattr(kind, _KEPT)
            else:
                setattr(kind, _KEPT, kept)
