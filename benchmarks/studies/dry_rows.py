"""Count every row of the documented tables at full size, without weights, and set it beside limits.

``python benchmarks/studies/dry_rows.py --docs docs/figures`` writes ``accounts.md``, the tables of
the documentation. ``--table NAME`` counts some tables only, whose rows replace those of before in
the file that ``--accounts`` names; ``--prove TABLE/ROW`` counts a row with all its steps, and fails
if that is not what a few steps gave.

Of a row whose steps are all alike, two short generations are counted, one a step longer than the
other; the rest is multiplication, and exact: the step that one has more is in every count,
operation and place what a step in steady state has, or all steps are counted.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dry.steps import add_steps
from markdown_tables import MarkdownTable, add_docs_option, join_titled, write_snippets

from pytest_sdspeed.dry.limits import compute_limit
from pytest_sdspeed.errors import explain, read_first_line
from pytest_sdspeed.judge.documented import judge_documented
from pytest_sdspeed.model import MINIATURE
from pytest_sdspeed.model.accounts import Account, Place, Work
from pytest_sdspeed.report.account_text import format_amount
from pytest_sdspeed.report.text import format_latency
from pytest_sdspeed.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.model import Row, Table

SHORT = 3
"""Steps of the shorter of two generations."""
WHOLE = "all steps"
HEADER = (
    "row",
    "operations a step",
    "host syncs a step",
    "FLOPs",
    "weights",
    "peak memory",
    "limit",
    "documented",
    "explained",
    "speed-up of the limits",
    "documented speed-up",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One row: its account, or why there is none.

    Attributes:
        precision: type in which its matrix products run.
        how: ``all steps``, or ``4 and 5 steps``.
        seconds: what counting took.
    """

    table: str
    setup: str
    precision: str = ""
    account: Account | None = None
    reason: str = ""
    how: str = ""
    seconds: float = 0.0


def count_row(table: Table, row: Row, *, whole: bool = False) -> Counted:
    """Count a row.

    Args:
        table: its table.
        row: the row.
        whole: whether all its steps are counted, whatever they are.
    """
    from pytest_sdspeed.pipelines.optimization import find_precision
    from pytest_sdspeed.run.accounting import count_setup
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.setups.registry import Registry

    stack = Registry().stack(row.optimizations, table.name, row.recipe)
    precision = find_precision(stack, row.recipe.dtype)

    def count(steps: int) -> Account:
        resolved = ResolvedSetup(
            table=table,
            setup=row.setup,
            optimizations=row.optimizations,
            recipe=replace(row.recipe, steps=steps),
            row=row,
            baseline=row.baseline,
        )
        return count_setup(resolved, stack)

    began = time.perf_counter()
    account, how = None, f"{SHORT} and {SHORT + 1} steps"
    try:
        if not whole and "feature_cache" not in "".join(row.optimizations):
            # Some schedulers take one step more than they are asked for.
            shorter, longer = count(SHORT), count(SHORT + 1)
            extra = shorter.steps - SHORT
            account = add_steps(shorter, longer, row.recipe.steps + extra)
        if account is None:
            account, how = count(row.recipe.steps), WHOLE
    except Exception as error:  # noqa: BLE001 - the other rows are counted, and this one is named
        said = read_first_line(explain(row.setup, error), "no message")
        # Where it was raised is a path of this machine.
        reason = re.sub(r" \(\S+:\d+\)$", "", said).rstrip(".")
        return Counted(table=table.name, setup=row.setup, precision=precision, reason=reason)
    return Counted(
        table=table.name,
        setup=row.setup,
        precision=precision,
        account=account,
        how=how,
        seconds=time.perf_counter() - began,
    )


def tabulate(table: Table, counted: dict[str, Counted]) -> tuple[MarkdownTable, list[str]]:
    """Return the table of a documented table's rows, and what is to be said below it."""
    rows, remarks = [], []
    for row in table.rows:
        found = counted.get(row.setup)
        if found is None or found.account is None:
            remarks.append(f"`{row.setup}` is not counted: {found.reason if found else 'not run'}.")
            continue
        rows.append(list(_format(table, row, found, counted)))
        base = counted.get(row.baseline)
        judged = judge_documented(
            row,
            found.account,
            compute_limit(found.account, table.device, found.precision),
            base.account if base else None,
        )
        remarks += [f"`{row.setup}` **contradicted**: {error}." for error in judged.errors]
        if row.latency_s is not None:
            remarks += [f"`{row.setup}`: {note}." for note in judged.notes]
        if row.memory is not None and judged.memory_share is not None:
            remarks.append(
                f"`{row.setup}` needs {judged.memory_share:.1%} of its baseline's peak memory;"
                f" documented: at most {row.memory:.0%}."
            )
    return MarkdownTable(f"`{table.name}`, {table.device}", HEADER, rows), remarks


def _format(table: Table, row: Row, found: Counted, counted: dict[str, Counted]) -> Iterator[str]:
    account = found.account
    assert account is not None
    limit = compute_limit(account, table.device, found.precision)
    latency = None if row.latency_s is None else row.latency_s / row.recipe.repeats
    step = account.per_step
    base = counted.get(row.baseline)
    base_limit = (
        compute_limit(base.account, table.device, base.precision).limit_s
        if base and base.account
        else None
    )
    yield f"`{row.setup}`"
    yield "?" if step is None else f"{step.operations:,}"
    yield "?" if step is None else str(step.host_syncs)
    yield format_amount(account.flops)
    yield format_amount(account.weight_bytes or 0, "B")
    yield format_amount(account.peak_bytes, "B")
    yield "-" if limit.limit_s is None else format_latency(limit.limit_s)
    yield "-" if latency is None else format_latency(latency)
    yield "-" if latency is None or limit.limit_s is None else f"{limit.limit_s / latency:.0%}"
    yield (
        "-" if limit.limit_s is None or base_limit is None else f"x{base_limit / limit.limit_s:.2f}"
    )
    yield f"x{row.speedup:.2f}"


def write_page(tables: Sequence[Table], counted: Sequence[Counted]) -> str:
    """Return the Markdown of all tables, with what they cost and what counted them."""
    parts = []
    for table in tables:
        own = {one.setup: one for one in counted if one.table == table.name}
        found, remarks = tabulate(table, own)
        parts.append(join_titled([found], 3) if found.rows else f"### {found.title}")
        parts.append("\n".join(f"- {remark}" for remark in remarks))
    done = [one for one in counted if one.account]
    whole = sum(one.how == WHOLE for one in done)
    parts.append(
        f"{len(done)} of {len(counted)} rows counted in {sum(one.seconds for one in done):.0f} s on"
        f" {platform.machine()} ({whole} of them step by step, the others by two short"
        f" generations), with torch {version('torch')}, diffusers {version('diffusers')},"
        f" transformers {version('transformers')}, Python {platform.python_version()}."
    )
    return "\n\n".join(part for part in parts if part)


def prove(tables: Sequence[Table], name: str) -> bool:
    """Count a row with all its steps, and tell whether a few steps gave the same account."""
    table = next(one for one in tables if one.name == name.split("/", maxsplit=1)[0])
    row = table.row(name.split("/")[1])
    assert row is not None
    few, all_ = count_row(table, row), count_row(table, row, whole=True)
    same = few.account == all_.account
    print(
        f"{name}: {few.how} in {few.seconds:.0f} s, all {row.recipe.steps} in {all_.seconds:.0f} s:"
        f" {'equal in every count, operation and place' if same else 'NOT EQUAL'}"
    )
    return same and few.how != all_.how


def save(file: Path, counted: Sequence[Counted]) -> None:
    """Write accounts to a JSON file."""
    file.write_text(json.dumps([asdict(one) for one in counted]), encoding="utf-8")


def load(file: Path) -> list[Counted]:
    """Read accounts that ``save`` wrote."""
    return [
        Counted(**{**one, "account": _read_account(one["account"])})
        for one in json.loads(file.read_text(encoding="utf-8"))
    ]


def _read_account(stored: dict[str, Any] | None) -> Account | None:
    if stored is None:
        return None
    return Account(
        **{
            **stored,
            "per_step": _read_account(stored["per_step"]),
            "uneven_steps": tuple(stored["uneven_steps"]),
            "stages": {
                name: one
                for name, part in stored["stages"].items()
                if (one := _read_account(part)) is not None
            },
            "places": tuple(Place(**one) for one in stored["places"]),
            "work": tuple(Work(**one) for one in stored["work"]),
            "notes": tuple(stored["notes"]),
        }
    )


def main() -> int:
    """Count, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_docs_option(parser)
    parser.add_argument("--table", action="append", metavar="NAME", help="(repeatable)")
    parser.add_argument("--row", action="append", metavar="NAME", help="of those, (repeatable)")
    parser.add_argument("--prove", metavar="TABLE/ROW", help="count a row both ways, and compare")
    parser.add_argument(
        "--accounts", type=Path, metavar="FILE", help="keep the accounts in this JSON file"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    tables = [table for table in load_tables() if table.name != MINIATURE]
    if options.prove:
        return 0 if prove(tables, options.prove) else 1
    known = load(options.accounts) if options.accounts and options.accounts.is_file() else []
    chosen = [table for table in tables if not options.table or table.name in options.table]
    for table in chosen:
        rows = [row for row in table.rows if not options.row or row.setup in options.row]
        counting = {row.setup for row in rows}
        known = [one for one in known if one.table != table.name or one.setup not in counting]
        for row in rows:
            known.append(count_row(table, row))
            last = known[-1]
            print(f"{table.name}/{row.setup}: {last.how or last.reason} {last.seconds:.0f} s")
            if options.accounts:
                save(options.accounts, known)
    page = write_page(tables if options.docs else chosen, known)
    print(page)
    if options.docs:
        write_snippets(options.docs, {"accounts.md": page})
    return 0


if __name__ == "__main__":
    sys.exit(main())
