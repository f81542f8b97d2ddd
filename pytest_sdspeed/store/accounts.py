"""The stored form of an account, and how pytest-benchmark keeps it: it has no time."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.model import (
    COUNTS,
    Account,
    AccountAgainst,
    AccountResult,
    Place,
    PlaceChange,
    Recipe,
    Work,
)
from pytest_sdspeed.store.benchmark import ACCOUNT_SUFFIX, EXTRA
from pytest_sdspeed.store.records import DAMAGE, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KIND = "account"
"""Value of the key ``kind`` of a record: latencies have no such key."""
_NUMBERS = (
    "min",
    "max",
    "mean",
    "stddev",
    "rounds",
    "median",
    "iqr",
    "q1",
    "q3",
    "iqr_outliers",
    "stddev_outliers",
    "ld15iqr",
    "hd15iqr",
    "ops",
    "total",
    "iterations",
)
"""What every reader of pytest-benchmark's files asks of a benchmark: zero, in zero rounds."""
_RESULT = (
    "table",
    "setup",
    "bounds",
    "verdict",
    "reasons",
    "weights",
    "optimizations",
    "versions",
    "counted_as",
    "test",
    "notes",
    "documented_on",
    "documented_share",
)
_ACCOUNT = (*COUNTS, "parameters", "steps", "uneven_steps", "notes")
"""Fields of an account that are stored under their own names as they are."""


class StoredAccount:
    """Stands among pytest-benchmark's benchmarks, and is none: it is stored, and not shown.

    Args:
        facts: what pytest-benchmark stores of a test: ``group``, ``name``, ``fullname``,
            ``params``, ``param``, ``extra_info``.
    """

    has_error = False

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self.name, self.fullname = facts["name"], facts["fullname"]
        self.extra_info = facts["extra_info"]

    def __bool__(self) -> bool:
        """Return False: pytest-benchmark then neither shows nor compares it."""
        return False

    def as_dict(self, *, include_data: bool = True, **_: Any) -> dict[str, Any]:
        """Return what is stored: no time was measured.

        Args:
            include_data: whether the samples are asked for, of which there are none.
        """
        stats: dict[str, Any] = dict.fromkeys(_NUMBERS, 0) | {"outliers": "0;0"}
        return {
            **self._facts,
            "options": {},
            "stats": stats | ({"data": []} if include_data else {}),
        }


def store_account(benchmark: Any, result: AccountResult) -> None:
    """Give an account to pytest-benchmark, unless that is switched off or stores nothing here.

    Args:
        benchmark: the test's ``benchmark`` fixture.
        result: what was counted.
    """
    if not benchmark.disabled:
        benchmark._add_stats(StoredAccount(describe_test(benchmark, result)))  # noqa: SLF001 - no option names it


def describe_test(benchmark: Any, result: AccountResult) -> dict[str, Any]:
    """Return what pytest-benchmark stores of a test that counted.

    Args:
        benchmark: the test's ``benchmark`` fixture.
        result: what was counted.
    """
    return {
        "group": benchmark.group or f"accounts of {result.table or 'callables'}",
        "name": benchmark.name + ACCOUNT_SUFFIX,
        "fullname": benchmark.fullname + ACCOUNT_SUFFIX,
        "params": benchmark.params,
        "param": benchmark.param,
        "extra_info": {**benchmark.extra_info, EXTRA: account_to_json(result)},
    }


def is_account(record: object) -> bool:
    """Tell whether a record under ``extra_info["sdspeed"]`` is one of an account."""
    return isinstance(record, dict) and record.get("kind") == KIND


def account_to_json(result: AccountResult, *, work: bool = False) -> dict[str, Any]:
    """Return the stored form of a result: builtins only, unknown is None.

    Args:
        result: what was counted.
        work: whether the operations by their sizes are told too, of which there are hundreds.
    """
    return {
        "schema": SCHEMA,
        "kind": KIND,
        **{name: _to_builtin(getattr(result, name)) for name in _RESULT},
        "recipe": None if result.recipe is None else write_recipe(result.recipe),
        "account": _store(result.account, work=work),
        "against": None if result.against is None else _store_against(result.against),
    }


def write_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the stored form of a recipe: builtins only."""
    return {name: _to_builtin(value) for name, value in asdict(recipe).items()}


def write_counts(account: Account) -> dict[str, Any]:
    """Return the stored form of an account without its stages and sizes of operations."""
    step = None if account.per_step is None else replace(account.per_step, stages={})
    return _store(replace(account, stages={}, per_step=step), work=False)


def _store_against(against: AccountAgainst) -> dict[str, Any]:
    facts = {field.name: getattr(against, field.name) for field in fields(against)}
    return {
        **{name: _to_builtin(value) for name, value in facts.items()},
        "account": _store(against.account, work=False),
        "places": [asdict(change) for change in against.places],
        "gone": [asdict(change) for change in against.gone],
    }


def _to_builtin(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_to_builtin(one) for one in value]
    return {**value} if isinstance(value, dict) else value


def _store(account: Account, *, work: bool) -> dict[str, Any]:
    return {
        **{name: _to_builtin(getattr(account, name)) for name in _ACCOUNT},
        "per_step": None if account.per_step is None else _store(account.per_step, work=work),
        "stages": {name: _store(part, work=work) for name, part in account.stages.items()},
        "places": [asdict(place) for place in account.places],
        "work": [asdict(one) for one in account.work] if work else None,
    }


def account_from_json(stored: Mapping[str, Any]) -> AccountResult:
    """Return the result that a stored form stands for.

    Args:
        stored: what ``account_to_json`` made; keys that came later may be missing, and unknown ones
            may be there.

    Raises:
        StoredRunError: it is of another schema, or not what ``account_to_json`` makes.
    """
    schema = stored.get("schema")
    if schema != SCHEMA:
        raise StoredRunError(f"schema {schema!r} is not {SCHEMA}")
    try:
        if stored["verdict"] not in ("pass", "fail", "invalid", None):
            raise ValueError(f"verdict {stored['verdict']!r}")
        recipe, known = stored["recipe"], _select(stored, AccountResult)
        made = {
            "recipe": None if recipe is None else Recipe(**_select(recipe, Recipe)),
            "account": read_account(stored["account"]),
            "against": _read_against(stored.get("against")),
        }
        return AccountResult(**{**known, **made})
    except DAMAGE as error:
        raise StoredRunError(
            f"not an account of this plugin: {type(error).__name__}: {error}"
        ) from None


def _select(stored: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """Return the fields of a class that a stored form has; lists are tuples."""
    return {
        field.name: tuple(stored[field.name])
        if isinstance(stored[field.name], list)
        else stored[field.name]
        for field in fields(kind)
        if field.name in stored
    }


def _read_against(stored: Mapping[str, Any] | None) -> AccountAgainst | None:
    if stored is None:
        return None
    changes = {name: _read_changes(stored.get(name) or ()) for name in ("places", "gone")}
    known = _select(stored, AccountAgainst) | changes
    return AccountAgainst(**{**known, "account": read_account(stored["account"])})


def _read_changes(stored: Iterable[Mapping[str, Any]]) -> tuple[PlaceChange, ...]:
    return tuple(
        PlaceChange(Place(**_select(one["place"], Place)), one["more"], one["per_step"])
        for one in stored
    )


def read_account(stored: Mapping[str, Any]) -> Account:
    """Return the account that a stored form stands for; what it lacks is empty."""
    per_step, stages = stored.get("per_step"), stored.get("stages") or {}
    return Account(
        **{
            **_select({name: stored[name] for name in _ACCOUNT if name in stored}, Account),
            "per_step": None if per_step is None else read_account(per_step),
            "stages": {name: read_account(part) for name, part in stages.items()},
            "places": tuple(Place(**_select(one, Place)) for one in stored.get("places") or ()),
            "work": tuple(Work(**_select(one, Work)) for one in stored.get("work") or ()),
        }
    )
