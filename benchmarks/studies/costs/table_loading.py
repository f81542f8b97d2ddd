"""Measure what loading all built-in tables takes, beside the first seven, and what they cost a run.

``python benchmarks/studies/costs/table_loading.py [--runs N]`` prints medians of processor time,
which load on the machine affects far less than wall time; both sides of a ratio take turns. An
unused plugin parses no table, and a test that names one parses that one: their start-up with all
table files beside it, and with seven, are two ratios; a process that loads all tables is another.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from overhead import collect_only

import pytest_sdspeed
from pytest_sdspeed.setups.names import BUILTIN_SETUPS
from pytest_sdspeed.tables import list_builtin_names, load_table, load_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PACKAGE = Path(pytest_sdspeed.__file__).parent
TABLES = PACKAGE / "tables"
MOST_S = 0.3
"""Seconds that loading all of them may take."""
_ONE = """
import pytest


@pytest.mark.sd_latency(table="inference")
def test_one(sd_latency, sd_fp16):
    sd_latency(sd_fp16)
"""
_COLD = "import pytest_sdspeed.tables as tables; tables.load_tables()"


def list_first() -> list[Path]:
    """List the files of the first tables: their rows have fixtures of their own."""
    return [
        TABLES / f"{table.name}.toml"
        for table in load_tables()
        if all(row.setup in BUILTIN_SETUPS for row in table.rows)
    ]


def take_turns(
    sides: dict[str, Callable[[], None]], runs: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Call every side in turn, and return the median of what each took, seconds."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(runs + 1):
        for name, call in sides.items() if number % 2 else reversed(sides.items()):
            before = clock()
            call()
            if number:
                taken[name].append(clock() - before)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def measure_loading(runs: int) -> dict[str, float]:
    """Measure loading in one process, without the collector: seconds by side."""
    first = list_first()
    gc.disable()
    try:
        return take_turns(
            {
                "first": lambda: _ignore([load_table(path) for path in first]),
                "all": lambda: _ignore(load_tables()),
            },
            runs,
            time.process_time,
        )
    finally:
        gc.enable()


def _ignore(_found: Sequence[object]) -> None:
    """Let go of what was loaded."""


def read_children_s() -> float:
    """Return the processor seconds of all processes that this one has started and waited for."""
    spent = os.times()
    return spent.children_user + spent.children_system


def copy_with_first(folder: Path) -> None:
    """Copy the package with the first table files only, and compile it."""
    shutil.copytree(PACKAGE, folder / "pytest_sdspeed", ignore=shutil.ignore_patterns("weights"))
    names = {path.name for path in list_first()}
    for path in (folder / "pytest_sdspeed" / "tables").glob("*.toml"):
        if path.name not in names:
            path.unlink()


def measure_processes(runs: int) -> dict[str, dict[str, float]]:
    """Measure a new process that loads all tables, and runs of pytest that need none and one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copies = {"first": folder / "first", "all": folder / "all"}
        copy_with_first(copies["first"])
        shutil.copytree(
            PACKAGE, copies["all"] / "pytest_sdspeed", ignore=shutil.ignore_patterns("weights")
        )
        texts = {"unused": "def test_nothing():\n    pass\n", "one": _ONE}
        for name, text in texts.items():
            (folder / name).mkdir()
            (folder / name / "test_it.py").write_text(text)

        def load(side: str) -> None:
            subprocess.run([sys.executable, "-c", _COLD], cwd=copies[side], check=True)

        def start(tests: str, side: str) -> None:
            os.environ["PYTHONPATH"] = str(copies[side])
            collect_only(folder / tests)

        before = os.environ.get("PYTHONPATH")
        try:
            calls: dict[str, Callable[[str], None]] = {
                "a new process that loads them": load,
                "collecting one test with the plugin unused": partial(start, "unused"),
                "collecting one test of one table": partial(start, "one"),
            }
            return {
                what: take_turns(
                    {side: partial(call, side) for side in copies}, runs, read_children_s
                )
                for what, call in calls.items()
            }
        finally:
            os.environ.pop("PYTHONPATH", None)
            os.environ |= {"PYTHONPATH": before} if before else {}


def main() -> int:
    """Measure, print, and fail if loading all tables takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="rounds (default: 15)")
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    first, tables = list_first(), load_tables()
    rows = sum(len(table.rows) for table in tables)
    rows_first = sum(len(table.rows) for table in tables if Path(table.path) in first)
    loaded = measure_loading(options.runs)
    measured = {"loading": loaded, **measure_processes(options.runs)}
    print(f"first tables: {len(first)} files, {rows_first} rows, {loaded['first'] * 1e3:.0f} ms")
    print(
        f"all tables: {len(list_builtin_names())} files, {rows} rows, {loaded['all'] * 1e3:.0f} ms"
    )
    for what, found in measured.items():
        print(
            f"{what}: all x{found['all'] / found['first']:.2f} of the first, {found['all']:.3f} s"
        )
    return 0 if loaded["all"] < MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())
