"""Count the rows of the built-in tables once, and store the counts that the lint and budgets use.

``python benchmarks/studies/stored_counts.py`` counts what ``pytest_sdspeed/lint/counts.json`` does
not have yet, writes that file after every row, and can be ended and started again at any time.
``--table NAME`` takes some tables only, ``--again`` counts what is stored too, ``--check
TABLE/SETUP`` counts one row anew, and fails if it is not what is stored.

Rows that are the same but for their table, device and figures are counted once. So are rows that
differ by optimizations which change when and where something is computed, and not what
(``TIMING_ONLY``): compiling, CUDA graphs, memory formats, offloading. Such a row has the work of a
row without them; its peak of memory is not known then, nor are its weights if it offloads.
Of a row whose steps are alike four are counted, and the others are as those in steady state; of one
with a cache all are. Rows without such optimizations come first, pictures before videos, baselines
before the others; then those that share. ``--memory GB`` ends the count of a row that would need
more of this machine, which is then not stored.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import (
    NO_ARCHITECTURE,
    OutOfMemoryError,
    UnknownNameError,
    explain,
    read_first_line,
)
from pytest_sdspeed.lint.counts import COUNTS, Counts, dump_counts, fingerprint, load_counts
from pytest_sdspeed.model import StackEntry, list_names
from pytest_sdspeed.model.accounts import Account, Work
from pytest_sdspeed.pipelines.optimization import find_precision
from pytest_sdspeed.run.accounting import count_setup
from pytest_sdspeed.setups.catalog import ResolvedSetup
from pytest_sdspeed.setups.names import BUILTIN_SETUPS
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_sdspeed.model import Row, Table

OFFLOADING = frozenset({"model_offload", "group_offload", "sequential_offload"})
TIMING_ONLY = OFFLOADING | {
    "compile",
    "compile_repeated_blocks",
    "cuda_graphs",
    "traced_unet",
    "channels_last",
    "cudnn_benchmark",
}
"""Optimizations that change no product, convolution or attention that is computed."""
CACHES = frozenset(
    {
        *("feature_cache_2", "feature_cache_3", "deepcache", "first_block_cache", "taylorseer"),
        *("mag_cache", "faster_cache", "pyramid_attention_broadcast"),
    }
)
"""Optimizations by which steps differ from each other: all of them are counted."""
FEW = 4
"""Steps that are counted if those in steady state are all alike; the others are as these."""
OTHER = "other"
"""What operations without a product, a convolution or attention are stored as, for each type."""


def list_rows(names: Iterable[str] = ()) -> list[tuple[Table, Row]]:
    """List the rows that can be counted: baselines, then what changes the work, then the others.

    Args:
        names: tables, all of them if there are none.
    """
    chosen = set(names)
    rows = [
        (table, row)
        for table in load_tables()
        if not table.on_cpu and (not chosen or table.name in chosen)
        for row in table.rows
        if not row.unsupported
    ]
    return sorted(
        rows,
        key=lambda one: (
            leave_out(one[1]) != one[1],
            one[1].recipe.frames is not None,
            bool(CACHES & name_stack(one[1])),
            not one[1].is_baseline,
            one[1].setup in BUILTIN_SETUPS,
        ),
    )


def leave_out(row: Row) -> Row:
    """Return a row without the optimizations that change nothing of its work."""
    kept = [one for one in row.optimizations if StackEntry.parse(one).name not in TIMING_ONLY]
    return replace(row, optimizations=tuple(kept))


def count(table: Table, row: Row) -> Counts | None:
    """Count a row, or say why it cannot be counted; None if this machine has not the memory."""
    stack = Registry().stack(row.optimizations, table.name, row.recipe)

    def run(steps: int) -> Account:
        recipe = replace(row.recipe, steps=steps)
        resolved = ResolvedSetup(
            table=table,
            setup=row.setup,
            optimizations=row.optimizations,
            recipe=recipe,
            row=row,
            baseline=row.baseline,
        )
        return count_setup(resolved, stack)

    asked, steps = row.recipe.steps, min(FEW, row.recipe.steps)
    try:
        account = run(asked if CACHES & name_stack(row) else steps)
        if (
            steps < asked
            and account.steps < asked
            and (account.uneven_steps or not account.per_step)
        ):
            account = run(asked)
    except Exception as error:  # noqa: BLE001 - the other rows are counted, and this one is named
        explained = explain(row.setup, error)
        if isinstance(explained, OutOfMemoryError):
            return None
        said = read_first_line(explained, "no message")
        if isinstance(explained, UnknownNameError) and explained.kind == NO_ARCHITECTURE:
            said = f"no configuration of {explained.name} is known here"
        return Counts(
            fingerprint=fingerprint(row),
            # Where it was raised is a path of this machine.
            reason=re.sub(r" \(\S+:\d+\)$", "", said).rstrip("."),
        )
    # Some schedulers take one step more than they are asked for.
    more = asked - steps if account.steps < asked else 0
    precision = find_precision(stack, row.recipe.dtype)
    return Counts.of(row, aggregate(account, more), "tf32" if precision == "tf32" else "")


def name_stack(row: Row) -> set[str]:
    """Return the names of a row's optimizations."""
    return set(list_names(row.optimizations))


def aggregate(account: Account, more: int = 0) -> Account:
    """Put the work of an account together by operation and type, at the mean size of each.

    Args:
        account: what was counted.
        more: steps that were not counted, each of which is the account's step in steady state.
    """
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    step = account.per_step.work if account.per_step else ()
    for times, work in ((1, account.work), (more, step)):
        for one in work:
            found = sums[one.operation if one.flops else OTHER, one.dtype]
            found[0] += times * one.flops * one.count
            found[1] += times * one.bytes_moved * one.count
            found[2] += times * one.count
    made = [
        Work(operation, dtype, flops // many, moved // many, many)
        for (operation, dtype), (flops, moved, many) in sorted(sums.items())
        if many
    ]
    return replace(account, work=tuple(made))


def share(row: Row, counts: Counts) -> Counts:
    """Return the counts of a row that has the work of another one."""
    offloads = bool(name_stack(row) & OFFLOADING)
    return replace(
        counts,
        fingerprint=fingerprint(row),
        peak_bytes=None,
        weight_bytes=None if offloads else counts.weight_bytes,
    )


def store(counts: dict[str, Counts]) -> None:
    """Write the counts, each fingerprint once, whole or not at all."""
    first: dict[str, str] = {}
    for name in sorted(counts):
        first.setdefault(counts[name].fingerprint, name)
    unfinished = COUNTS.with_suffix(".unfinished")
    unfinished.write_text(
        dump_counts({name: counts[name] for name in first.values()}), encoding="utf-8"
    )
    unfinished.replace(COUNTS)


def count_all(
    names: Iterable[str], *, again: bool
) -> Iterator[tuple[str, Counts | None, float, str]]:
    """Count what is not stored, and yield name, counts, seconds, and ``stored`` or ``shared``."""
    known: dict[str, Counts | None] = {} if again else dict(load_counts())
    for table, row in list_rows(names):
        mark, plain, began = fingerprint(row), leave_out(row), time.perf_counter()
        if mark in known:
            yield f"{table.name}/{row.setup}", known[mark], 0.0, "stored"
            continue
        base = fingerprint(plain)
        how = "" if plain == row else "shared"
        if base not in known:
            known[base] = count(table, plain)
        found = known[base]
        if found is not None and plain != row:
            found = share(row, found)
        known[mark] = found
        yield f"{table.name}/{row.setup}", found, time.perf_counter() - began, how


def check(name: str) -> bool:
    """Count a row anew, and tell whether that is what is stored."""
    table_name, _, setup = name.partition("/")
    table = next(one for one in load_tables() if one.name == table_name)
    row = table.row(setup)
    assert row is not None
    stored, counted = load_counts().get(fingerprint(row)), count(table, leave_out(row))
    if counted is not None and leave_out(row) != row:
        counted = share(row, counted)
    same = stored == counted
    print(f"{name}: {'as stored' if same else f'NOT as stored: {stored} is {counted} today'}")
    return same


def main() -> int:
    """Count, and store after every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="append", metavar="NAME", help="(repeatable)")
    parser.add_argument("--again", action="store_true", help="count what is stored, too")
    parser.add_argument("--check", metavar="TABLE/SETUP", help="count one row, and compare")
    parser.add_argument("--memory", type=int, metavar="GB", help="most that a count may need")
    options = parser.parse_args()
    if options.memory:
        resource.setrlimit(resource.RLIMIT_AS, (options.memory * 2**30, resource.RLIM_INFINITY))
    warnings.filterwarnings("ignore")
    if options.check:
        return 0 if check(options.check) else 1
    rows = {fingerprint(row): f"{table.name}/{row.setup}" for table, row in list_rows()}
    done = {rows[mark]: one for mark, one in load_counts().items() if mark in rows}
    for name, found, seconds, how in count_all(options.table or (), again=options.again):
        if found is None:
            print(f"{name}: out of memory, {seconds:.0f} s", flush=True)
        if how == "stored" or found is None:
            continue
        done[name] = found
        store(done)
        print(f"{name}: {found.reason or how or 'counted'}, {seconds:.0f} s", flush=True)
    failed = sum(bool(one.reason) for one in done.values())
    print(f"{len(done) - failed} counted, {failed} not, {Path(COUNTS).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
