"""An optimization: a named change of a pipeline, and what it means for pictures and speed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from pytest_sdspeed.model import Relation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Machine, Recipe


def support_everywhere(_machine: Machine) -> str | None:
    """Return no reason against any machine; the support check if every machine can run it."""
    return None


def _leave_unchanged(_pipeline: Any, _recipe: Recipe) -> None:
    """Leave the pipeline as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """One named change.

    Attributes:
        name: as tables and messages call it.
        summary: what it does, one line.
        supported: returns None if a machine can run it, else the reason and what would help.
        dtype: type the weights are loaded in, or None to leave it.
        memory_format: name of a ``torch`` memory format the weights are stored in, or None to leave
            it.
        replaces: pipeline component -> recipe field that names the model it is taken from.
        changes: components whose structure ``apply`` alters: they are copied first, with shared
            weights, so that no other setup sees it.
        rewrites: components whose weights ``apply`` or a generation writes into (a fused LoRA,
            pruning, folding): they are copied first, with weights of their own, which takes their
            memory once more.
        apply: called once with the new pipeline and its recipe.
        slot: context held around every generation of a setup that stacks this, and only there:
            process-global flags belong here.
        relation: what the pictures may be compared with.
        precision: type in which matrix products and convolutions run if it is not the weights'
            (``tf32`` acts on float32 weights only).
        partial: whether a call of the UNet may skip some of its modules; FLOPs are then counted
            by the calls of each module.
    """

    name: str
    summary: str
    supported: Callable[[Machine], str | None] = support_everywhere
    dtype: str | None = None
    memory_format: str | None = None
    replaces: Mapping[str, str] = field(default_factory=dict)
    changes: frozenset[str] = frozenset()
    rewrites: frozenset[str] = frozenset()
    apply: Callable[[Any, Recipe], None] = _leave_unchanged
    slot: Callable[[], AbstractContextManager[Any]] = nullcontext
    relation: Relation = "same_weights"
    precision: str | None = None
    partial: bool = False


def find_relation(stack: tuple[Optimization, ...]) -> Relation:
    """Return how a stack's pictures relate to the baseline's: the loosest of its parts."""
    order = get_args(Relation)
    return max((part.relation for part in stack), key=order.index, default="same_weights")


def find_precision(stack: tuple[Optimization, ...], dtype: str) -> str:
    """Return the type in which a stack's matrix products and convolutions run.

    Args:
        stack: optimizations in order.
        dtype: type of the weights before any optimization.
    """
    weights = next((part.dtype for part in reversed(stack) if part.dtype), dtype)
    named = (
        part.precision
        for part in reversed(stack)
        if part.precision and (part.precision != "tf32" or weights == "float32")
    )
    return next(named, weights)
