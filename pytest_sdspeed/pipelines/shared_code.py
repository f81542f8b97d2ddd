"""Code that all pipelines of the process run: what their classes and torch's functions do."""

from __future__ import annotations

from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import ChangedPartError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODE = (FunctionType, staticmethod, classmethod, property)
_ABSENT = object()
_WATCHED = ("diffusers", "transformers")
"""Packages whose classes are looked at: others have state of their own in them."""


@contextmanager
def guard_code(owner: str, pipeline: Any) -> Iterator[None]:
    """Check that the block replaces no code that other pipelines run too.

    That is what the classes of the pipeline, of its components and of what else it holds (its
    scheduler, its image processor) define, and the functions of ``torch.nn.functional``.

    Args:
        owner: what the message begins with, such as "building setup 'fused'".
        pipeline: the pipeline that the block may change.

    Raises:
        ChangedPartError: something was replaced. It is put back first. An exception from inside of
            the block takes precedence.
    """
    before = {holder: dict(vars(holder)) for holder in _find_holders(pipeline)}
    try:
        yield
    except BaseException:
        _put_back(before)
        raise
    replaced = _put_back(before)
    if replaced:
        raise ChangedPartError(
            f"{owner} replaced code that every pipeline of this process runs, the baseline too:"
            f" {', '.join(replaced)}. It is put back. Replace it on the pipeline's own objects"
            " (pipeline.scheduler.step = ...), or only while its slots run, in Optimization.slot."
        )


def _find_holders(pipeline: Any) -> list[Any]:
    import torch

    held = [pipeline, *pipeline.components.values(), *vars(pipeline).values()]
    classes = {kind: None for one in held for kind in type(one).__mro__}
    return [
        torch.nn.functional,
        *(kind for kind in classes if kind.__module__.partition(".")[0] in _WATCHED),
    ]


def _put_back(before: dict[Any, dict[str, Any]]) -> list[str]:
    """Put replaced code back, and return its names."""
    replaced = []
    for holder, code in before.items():
        now = dict(vars(holder))
        for name in dict.fromkeys([*code, *now]):
            was, is_now = code.get(name, _ABSENT), now.get(name, _ABSENT)
            acts = isinstance(is_now if was is _ABSENT else was, _CODE) or callable(was)
            if was is is_now or not acts:
                continue
            replaced.append(f"{holder.__name__}.{name}")
            if was is _ABSENT:
                delattr(holder, name)
            else:
                setattr(holder, name, was)
    return replaced
