"""The built-in optimizations, as the code tells of them: options, machines and proofs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import code_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

_RELATIONS = {
    "same_weights": "of the same weights",
    "approximation": "of the same weights, of which it computes less or otherwise",
    "other_weights": "of other weights",
    "other_autoencoder": "of another autoencoder",
}


def optimizations_in_detail() -> Iterator[str]:
    """Yield a section for each kind, and in it one for each optimization."""
    machines = code_facts.sample_machines()
    for title, parts in code_facts.optimization_kinds():
        yield from (f"## {title}", "")
        for one in parts:
            yield from (f"### `{one.name}` {{ #{one.name.replace('_', '-')} }}", "")
            yield from (f"{one.summary[0].upper()}{one.summary[1:]}.", "")
            yield from (f"- {line}" for line in _list_facts(one, machines))
            yield ""


def _list_facts(one: Any, machines: dict[str, Any]) -> Iterator[str]:
    if one.options:
        options = (f"`{name} = {value!r}`" for name, value in one.options.items())
        yield f"Options: {', '.join(options)}"
    roles = sorted({*one.needs, *one.replaces.values()})
    if roles:
        yield f"Needs of the recipe: {', '.join(f'`{role}`' for role in roles)}"
    yield f"Pictures: {_RELATIONS[one.relation]}"
    for name, machine in machines.items():
        yield f"{name}: {_check(one, machine)}"
    yield f"How it is seen to act: {_describe_proof(one.prove)}"


def _check(one: Any, machine: Any) -> str:
    """Say whether a machine runs it, or why not."""
    reason = one.supported(machine, **one.options)
    return "runs" if reason is None else reason.replace("|", " or ")


def _describe_proof(prove: Any) -> str:
    """Return the first line of a proof's docstring."""
    if prove is None:
        return "by its pictures, which are not the baseline's"
    text = inspect.getdoc(getattr(prove, "func", prove)) or "A generation is watched."
    first = text.splitlines()[0].rstrip(".")
    return f"{first[0].lower()}{first[1:]}"
