"""What was counted, written into a table as the bounds of its rows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.model import ACCOUNT_BOUNDS, PER_STEP, find_count
from pytest_sdspeed.run.recording import Recording, find_tables, replace_file
from pytest_sdspeed.run.replacing import find_obstacle, read_predecessor
from pytest_sdspeed.store.benchmark import DRY
from pytest_sdspeed.tables import dumps_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import Account, AccountResult, Row, Table

_FACTS = ("host", "system", "processor", "command", "commit")
"""The facts of a run that a recorded table takes over."""


def write_accounts(
    path: Path,
    results: Sequence[AccountResult],
    tables: Sequence[Table],
    facts: Mapping[str, str] | None = None,
) -> Recording:
    """Write a file for each table whose rows were counted, with the counts as their bounds.

    A file that holds a recorded table of that name keeps all that is in it, and gets the accounts.
    Else it is a copy of the table, whose figures are still the documented ones.

    Args:
        path: the file; if rows of several tables were counted, ``-<table>`` is added to its stem.
        results: what was counted.
        tables: tables that the rows may come from.
        facts: facts of the run, label -> text.
    """
    counted = {
        table.name: (table, [result for result in results if result.table == table.name])
        for table in find_tables([(one.table, one.setup, None) for one in results], tables)
    }
    lines: list[str] = []
    complete = bool(counted)
    for table, own in counted.values():
        target = path if len(counted) == 1 else path.with_stem(f"{path.stem}-{table.name}")
        there = read_predecessor(target)
        base = _choose_base(there, table, own, facts or {})
        kept, refused = _select_results(own, base)
        lines += [f"sd record: {table.name}: {name} left out: {why}" for name, why in refused]
        made = replace(base, rows=tuple(_record_row(row, kept) for row in base.rows), path="")
        problem = find_obstacle(there, made) if kept else "nothing to record"
        problem = problem or replace_file(target, dumps_table(made))
        complete = complete and problem is None
        if problem is None:
            lines += [f"sd record: {line}" for line in _describe_changes(base, kept)]
        lines.append(
            f"sd record: {target}: {problem or f'accounts of {len(kept)} rows of {table.name!r}'}"
        )
    if not counted:
        lines.append(f"sd record: nothing to record; {path} was not written")
    return Recording(complete, tuple(lines))


def _choose_base(
    there: Table | None, table: Table, results: Sequence[AccountResult], facts: Mapping[str, str]
) -> Table:
    """Return the table that gets the accounts: the recorded one that is there, or a copy."""
    if there is not None and there.recorded and there.name == table.name:
        return there
    versions = {name: text for one in results for name, text in one.versions.items()}
    known = {
        "kind": DRY,
        "date": facts.get("date", time.strftime("%Y-%m-%d")),
        "counted_as": results[0].counted_as,
        "speedups": f"those of {table.device}, not measured",
        **{name: facts[name] for name in _FACTS if name in facts},
        **{f"version_{name}": version for name, version in versions.items()},
    }
    return replace(table, device=DRY, recorded=known, claims=())


def _select_results(
    results: Sequence[AccountResult], base: Table
) -> tuple[dict[str, AccountResult], list[tuple[str, str]]]:
    """Return the results to record, by their rows, and why others are none."""
    kept: dict[str, AccountResult] = {}
    refused: dict[str, str] = {}
    for result in results:
        why = _find_refusal(result, base.row(result.setup))
        if why:
            refused[result.setup] = why
        else:
            kept[result.setup] = result
    return {name: one for name, one in kept.items() if name not in refused}, [*refused.items()]


def _find_refusal(result: AccountResult, row: Row | None) -> str | None:
    """Say why an account is no bound for the runs to come, or None if it is one."""
    if row is None:
        return "the table has no such row"
    if result.optimizations != row.optimizations or result.recipe is None:
        return "the table has another stack under this name"
    ours, theirs = (replace(one, repeats=1, seed=0) for one in (result.recipe, row.recipe))
    if ours != theirs:
        return "the table has another recipe under this name"
    if result.verdict in ("fail", "invalid"):
        return (
            f"its verdict is {result.verdict}: {'; '.join(result.reasons)}. To accept more, raise"
            " its bound, or take it out"
        )
    return None


def _record_row(row: Row, kept: Mapping[str, AccountResult]) -> Row:
    found = kept.get(row.setup)
    return row if found is None else replace(row, account=list_bounds(found.account))


def list_bounds(account: Account) -> dict[str, int]:
    """Return the bounds that an account just meets: of a step, and of a call."""
    known = {name: find_count(account, name) for name in ACCOUNT_BOUNDS}
    ordered = sorted(known, key=lambda name: not name.endswith(PER_STEP))
    return {name: count for name in ordered if (count := known[name]) is not None}


def _describe_changes(base: Table, kept: Mapping[str, AccountResult]) -> Iterator[str]:
    """Yield a line for each row, with what changes of its bounds."""
    for row in base.rows:
        if row.setup not in kept:
            continue
        new = list_bounds(kept[row.setup].account)
        changed = [
            f"{name} {_say(row.account.get(name))} -> {_say(new.get(name))}"
            for name in dict.fromkeys([*row.account, *new])
            if row.account.get(name) != new.get(name)
        ]
        said = "as it was" if not changed else ", ".join(changed)
        yield f"{base.name}: {row.setup}: {said if row.account else 'new'}"


def _say(bound: int | None) -> str:
    return "none" if bound is None else f"{bound:,}"
