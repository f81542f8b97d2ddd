"""What an optimization is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Machine, Recipe, Relation


def anywhere(_machine: Machine) -> str | None:
    """Support check of an optimization that every machine can run."""
    return None


def _unchanged(_pipeline: Any, _recipe: Recipe) -> None:
    """Build step of an optimization that leaves the pipeline as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """One named change.

    Attributes:
        name: as tables and messages call it.
        summary: what it does, one line.
        supported: returns None where the machine can run it, else the reason and what would help.
        dtype: type the weights are loaded in, or None to leave it.
        memory_format: name of a ``torch`` memory format the weights are stored in, or None to leave it.
        replaces: pipeline component -> recipe field that names the model it is taken from.
        changes: components whose structure ``apply`` alters: they are copied first, with shared weights, so that no other setup sees it.
        apply: called once with the new pipeline and its recipe.
        slot: context held around every generation of a setup that stacks this, and only there: process-global flags belong here.
        relation: what the pictures may be compared with.
        precision: type in which matrix products and convolutions run where it is not the weights' (``tf32`` acts on float32 weights only).
        partial: whether a call of the UNet may leave out some of its modules: FLOPs are then counted by the calls of each of them.
    """

    name: str
    summary: str
    supported: Callable[[Machine], str | None] = anywhere
    dtype: str | None = None
    memory_format: str | None = None
    replaces: Mapping[str, str] = field(default_factory=dict)
    changes: frozenset[str] = frozenset()
    apply: Callable[[Any, Recipe], None] = _unchanged
    slot: Callable[[], AbstractContextManager[Any]] = nullcontext
    relation: Relation = "same_weights"
    precision: str | None = None
    partial: bool = False


def relation_of(stack: tuple[Optimization, ...]) -> Relation:
    """The relation of a whole stack's pictures to the baseline's: the loosest of its parts."""
    order: tuple[Relation, ...] = ("same_weights", "other_autoencoder", "other_weights")
    return max((part.relation for part in stack), key=order.index, default="same_weights")


def precision_of(stack: tuple[Optimization, ...], dtype: str) -> str:
    """The type in which a stack's matrix products and convolutions run.

    Args:
        stack: optimizations in order.
        dtype: of the weights before any of them.
    """
    weights = next((part.dtype for part in reversed(stack) if part.dtype), dtype)
    named = (part.precision for part in reversed(stack) if part.precision and (part.precision != "tf32" or weights == "float32"))
    return next(named, weights)
