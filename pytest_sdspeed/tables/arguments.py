"""Checks of what a table hands on to pipelines: classes, arguments of the call, and options."""

from __future__ import annotations

from typing import Any

from pytest_sdspeed.model import OWN_ARGUMENTS, RECIPE_ARGUMENTS, SCHEDULERS, StackEntry
from pytest_sdspeed.tables import values
from pytest_sdspeed.tables.values import InvalidValueError

_SCHEDULER_CLASS = "the name of a scheduler class of diffusers, such as EulerDiscreteScheduler"
_OWN = "the gate sets it itself, the same for every arm: leave it out"
_OWNED = {**RECIPE_ARGUMENTS, **dict.fromkeys(OWN_ARGUMENTS), "generator": "seed"}
"""Argument of a pipeline's call that a recipe says otherwise -> the recipe's key, None if none."""


def check_class(value: object) -> str:
    """Check the name of a class; whether it exists is known when it is built."""
    name = values.check_any_text(value)
    if not name.isidentifier():
        raise InvalidValueError(
            f"{name!r} is not the name of a class; valid: a name such as StableDiffusionXLPipeline"
        )
    return name


def check_scheduler(value: object) -> str:
    """Check the name of a scheduler, a short one or that of a class."""
    name = values.check_any_text(value)
    if name not in SCHEDULERS and not (name.isidentifier() and name.endswith("Scheduler")):
        raise InvalidValueError(
            f"unknown scheduler {name!r}; valid: {', '.join(SCHEDULERS)}, {_SCHEDULER_CLASS}, or"
            " leave it out for the model's own"
        )
    return name


def check_short_scheduler(value: object) -> str:
    """Check the name of a scheduler of schema 1, which has the short ones only."""
    try:
        return str(values.expect_choice("scheduler", SCHEDULERS)(value))
    except InvalidValueError as problem:
        if isinstance(value, str):
            raise InvalidValueError(f"{problem}, and with schema = 2 {_SCHEDULER_CLASS}") from None
        raise


def check_call(value: object) -> dict[str, Any]:
    """Check further arguments of a pipeline's call."""
    found = {}
    for name, inner in values.check_table(value).items():
        _refuse_owned(_check_argument(name))
        found[name] = _check_inner(name, inner)
    return found


def check_input(value: object) -> str:
    """Check the name of an argument that gets a seeded picture."""
    name = _check_argument(values.check_any_text(value))
    _refuse_owned(name)
    return name


def check_parts(value: object) -> dict[str, str]:
    """Check roles, and the models that fill them."""
    found = {}
    for role, model in values.check_table(value).items():
        try:
            found[values.check_identifier(role)] = values.check_text(model)
        except InvalidValueError as problem:
            raise InvalidValueError(f"role {role!r}: {problem}") from None
    return found


def has_options(label: str) -> bool:
    """Tell whether an entry of a stack is written as a name with options, which schema 2 has."""
    return "(" in label and label.endswith(")")


def check_names(value: object) -> tuple[str, ...]:
    """Check a stack of schema 1: names without options, each once."""
    names: tuple[str, ...] = values.expect_array(_check_name, unique=True)(value)
    return names


def check_stack(value: object) -> tuple[str, ...]:
    """Check a stack of schema 2: names, or tables of a name and options; return its labels.

    An optimization may be there more than once with other options: each is applied. The same one
    with the same options is a mistake.
    """
    labels: tuple[str, ...] = values.expect_array(_check_entry)(value)
    seen: set[str] = set()
    for label in labels:
        if label in seen:
            raise InvalidValueError(f"lists {label!r} twice")
        seen.add(label)
    return labels


def _check_name(value: object) -> str:
    if isinstance(value, dict) or (isinstance(value, str) and has_options(value)):
        raise InvalidValueError(
            "is an optimization with options, which schema 1 does not have; valid: schema = 2 at"
            " the beginning of the file, or a name alone"
        )
    return values.check_text(value)


def _check_entry(value: object) -> str:
    if isinstance(value, dict):
        value = {name: _check_inner(name, inner) for name, inner in value.items()}
    elif isinstance(value, str):
        value = values.check_text(value)
    else:
        raise values.reject_type("a string or a table", value)
    try:
        return StackEntry.of(value).label
    except ValueError as problem:
        raise InvalidValueError(str(problem)) from None


def _check_inner(name: str, value: object) -> Any:
    try:
        return values.check_builtin(value)
    except InvalidValueError as problem:
        raise InvalidValueError(f"{name}: {problem}") from None


def _check_argument(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise InvalidValueError(f"{name!r} cannot be an argument; valid: a name as Python has them")
    return name


def _refuse_owned(name: str) -> None:
    if name in _OWNED:
        key = _OWNED[name]
        instead = f"valid: the recipe's key {key!r} instead" if key else f"valid: none, {_OWN}"
        raise InvalidValueError(f"{name!r} is not for here; {instead}")
