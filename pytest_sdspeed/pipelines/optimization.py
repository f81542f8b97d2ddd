"""An optimization: a named change of a pipeline, and what it means for pictures and speed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pytest_sdspeed.errors import RegistrationError, UnknownNameError
from pytest_sdspeed.model import Relation, StackEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Finding, Machine, Recipe


def support_everywhere(_machine: Machine, **_options: Any) -> str | None:
    """Return no reason against any machine; the support check if every machine can run it."""
    return None


def _leave_unchanged(_pipeline: Any, _recipe: Recipe, **_options: Any) -> None:
    """Leave the pipeline as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """One named change.

    Attributes:
        name: as tables and messages call it.
        summary: what it does, one line.
        options: option -> its default, builtins only. A table and a setup may give others of the
            same type (any, if the default is None). ``apply``, ``prove`` and ``supported`` get
            every option as a keyword argument.
        given: the options that a stack gives it; ``with_options`` sets them.
        supported: returns None if a machine can run it, else the reason and what would help.
        dtype: type the weights are loaded in, or None to leave it.
        memory_format: name of a ``torch`` memory format the weights are stored in, or None to leave
            it.
        replaces: pipeline component -> role of the recipe (``Recipe.part``) that names the model it
            is taken from.
        needs: roles of the recipe without which it cannot be applied, beside those of ``replaces``.
        changes: components, or groups of them (``denoisers``, ``text_encoders``, ``autoencoder``),
            whose structure ``apply`` alters: they are copied first, with shared weights, so that no
            other setup sees it.
        rewrites: components, or groups, whose weights ``apply`` or a generation writes into (a
            fused LoRA, pruning, folding): they are copied first, with weights of their own, which
            takes their memory once more.
        apply: called once with the new pipeline and its recipe.
        prove: makes a context for one generation of the finished pipeline; what it yields is called
            after the generation and tells whether the optimization acted. Without one nothing is
            known.
        slot: context held around every generation of a setup that stacks this, and only there:
            process-global flags belong here.
        relation: what the pictures may be compared with.
        precision: type in which matrix products and convolutions run if it is not the weights'
            (``tf32`` acts on float32 weights only).
        partial: whether a call of a denoiser may skip some of its modules, as caches do; FLOPs are
            then counted by the calls of each module.
        depends_on_size: whether it may have no effect on few steps, small pictures, narrow layers
            or random weights, and yet one at full size. A rehearsal then does not hold that against
            a row.
    """

    name: str
    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    supported: Callable[..., str | None] = support_everywhere
    dtype: str | None = None
    memory_format: str | None = None
    replaces: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    rewrites: frozenset[str] = frozenset()
    apply: Callable[..., None] = _leave_unchanged
    prove: Callable[..., AbstractContextManager[Callable[[], Finding]]] | None = None
    slot: Callable[[], AbstractContextManager[Any]] = nullcontext
    relation: Relation = "same_weights"
    precision: str | None = None
    partial: bool = False
    depends_on_size: bool = False

    def with_options(self, given: Mapping[str, Any], where: str) -> Optimization:
        """Return it with other options; those that are not given keep their defaults.

        Args:
            given: option -> value.
            where: what gives them, for messages.

        Raises:
            UnknownNameError: it has no such option.
            RegistrationError: a value is not of the default's type.
        """
        merged = dict(self.options)
        for name, value in given.items():
            if name not in self.options:
                raise UnknownNameError(f"option of {self.name!r}", name, self.options, where)
            merged[name] = _check_option(self.name, name, value, self.options[name], where)
        return replace(self, options=merged, given=dict(given)) if given else self

    @property
    def label(self) -> str:
        """Return the name, with the options that the stack gives it."""
        return StackEntry(self.name, self.given).label


def _check_option(owner: str, name: str, value: Any, default: Any, where: str) -> Any:
    """Return an option's value; an integer may stand for a floating-point number."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if default is not None and type(value) is not type(default):
        raise RegistrationError(
            f"{where}: option {name!r} of {owner!r} is {value!r}; valid: of type"
            f" {type(default).__name__}, as its default {default!r}"
        )
    return value


def find_relation(stack: tuple[Optimization, ...]) -> Relation:
    """Return how a stack's pictures relate to the baseline's: the loosest of its parts."""
    order = get_args(Relation)
    return max((part.relation for part in stack), key=order.index, default="same_weights")


class Comparison(NamedTuple):
    """What a stack's pictures are compared with.

    Attributes:
        relation: what they share with that.
        reference: the stack that draws it in the baseline's place, or None for the baseline.
        said: what the reference has, for its name.
    """

    relation: Relation
    reference: tuple[Optimization, ...] | None = None
    said: str = ""


def compare_by_autoencoder(stack: tuple[Optimization, ...]) -> Comparison:
    """Compare a stack that replaces the autoencoder with itself and the model's own one."""
    rest = tuple(part for part in stack if part.relation != "other_autoencoder")
    relation = find_relation(stack)
    if len(rest) == len(stack):
        return Comparison(relation)
    return Comparison(relation, rest, "with the model's own autoencoder")


def compare_by_weights(stack: tuple[Optimization, ...]) -> Comparison:
    """Compare a stack that has other weights with these weights alone, without all the rest of it.

    Of a stack that does nothing else, nothing is left to compare.
    """
    others = ("other_autoencoder", "other_weights")
    weights = tuple(part for part in stack if part.relation in others)
    if len(weights) in (0, len(stack)):
        return Comparison(find_relation(stack))
    rest = tuple(part for part in stack if part.relation not in others)
    return Comparison(find_relation(rest), weights, "with its weights alone")


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


def refuse_to_build(reason: str) -> Optimization:
    """Make an optimization that no machine supports: the stack of a row that is only listed.

    Args:
        reason: why this project cannot build the row, from its table.
    """
    return Optimization(
        name="unsupported",
        summary="A row that this project lists and cannot build.",
        supported=lambda _machine, **_options: f"this project cannot build it: {reason}",
    )
