"""Plant small faults in the rules, one at a time, and count those that the room's tests notice.

``python -m tox -e mutants`` does so for ``judge``, ``measure`` and ``tables``; ``-- tables`` for
one of them, ``-- judge --only stopping`` for mutants with that in their names. What was found is
kept in ``.mutants/``: an interrupted run goes on from there, and after a change those mutants are
run again whose function, or whose test, changed. ``--fresh`` forgets it all: do so after a change
of what a function calls.

Mutants that only change the words of a message are not run and are no part of the score; their
number is told beside it. The run fails for a room whose score is under its bound, for a mutant
without an outcome, and for a survivor without a reason in ``mutation/reasons.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_tables import MarkdownTable
from mutation.asking import MUTANT, ONLY, OUT_OF_TIME, OUTCOMES, ROOM, SURVIVED
from mutation.planting import ROOT, Mutant, plant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WORK = ROOT / ".mutants"
REASONS = Path(__file__).parent / "mutation" / "reasons.json"
BOUNDS = {"judge": 0.90, "measure": 0.85, "tables": 0.85}
"""Room -> share of its mutants that its tests must kill."""

ELSEWHERE = {"measure": ("tests/device/test_canary.py",)}
"""Room -> tests of it that stand in another room's folder."""


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant, and the test that killed it: "" if none did, None if it was not run."""

    mutant: Mutant
    by: str | None

    @property
    def room(self) -> str:
        """Return the room of its file."""
        return self.mutant.file.split("/")[1]


@dataclass(frozen=True, slots=True)
class Score:
    """Outcomes of some mutants.

    Attributes:
        killed: mutants that a test noticed; out_of_time: those of them that ran for too long.
        total: all but those that only change words, of which there are ``prose``.
        unknown: those that were not run.
    """

    killed: int
    out_of_time: int
    total: int
    prose: int
    unknown: int

    @property
    def share(self) -> float:
        """Return the share of the mutants that were killed, 1 without any."""
        return self.killed / self.total if self.total else 1.0


def count(results: Iterable[Result]) -> Score:
    """Count outcomes."""
    every = list(results)
    told = [result.by for result in every if not result.mutant.prose]
    return Score(
        killed=sum(bool(by) for by in told),
        out_of_time=told.count(OUT_OF_TIME),
        total=len(told),
        prose=len(every) - len(told),
        unknown=told.count(None),
    )


def run(room: str, folder: Path, only: str) -> None:
    """Show a room's mutants to its tests.

    Raises:
        subprocess.CalledProcessError: the tests fail without a mutant, or cannot be collected.
    """
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT / "benchmarks/studies")
        + os.pathsep
        + os.environ.get("PYTHONPATH", ""),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        ROOM: room,
        ONLY: only,
        MUTANT: "",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        f"tests/{room}",
        *ELSEWHERE.get(room, ()),
        "-q",
        "-s",
    ]
    command += ["-p", "mutation.asking", "-p", "no:cacheprovider", "--tb=native"]
    subprocess.run(command, cwd=folder, env=environment, check=True)


def read(mutants: Sequence[Mutant], folder: Path) -> list[Result]:
    """Return mutants with what runs found about them."""
    file = folder / OUTCOMES
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return [Result(mutant, _outcome(known.get(mutant.name), mutant)) for mutant in mutants]


def _outcome(known: Mapping[str, str] | None, mutant: Mutant) -> str | None:
    return known["by"] if known and known["digest"] == mutant.digest else None


def tabulate(results: Sequence[Result]) -> MarkdownTable:
    """Return the score of every file, and of each room below its files."""
    rows = []
    for room in sorted({result.room for result in results}):
        own = [result for result in results if result.room == room]
        for file in sorted({result.mutant.file for result in own}):
            score = count(result for result in own if result.mutant.file == file)
            rows.append(_row(f"`{file.partition('/')[2]}`", score))
        rows.append(_row(f"**{room}**", count(own)))
    header = ("file", "mutants", "killed", "of them by time", "share", "not run: words only")
    return MarkdownTable("Score", header, rows)


def _row(name: str, score: Score) -> tuple[str, ...]:
    numbers = (score.total, score.killed, score.out_of_time)
    share = f"{score.share:.1%}" if score.total else "-"
    return name, *map(str, numbers), share, str(score.prose)


def list_survivors(results: Sequence[Result], reasons: Mapping[str, str]) -> MarkdownTable:
    """Return every survivor, with the reason that is known for it."""
    rows = [
        (
            f"`{result.mutant.file.partition('/')[2]}:{result.mutant.line}`",
            f"`{_cell(result.mutant.before)}`",
            f"`{_cell(result.mutant.after)}`",
            reasons.get(result.mutant.key, "-"),
        )
        for result in results
        if result.by == SURVIVED and not result.mutant.prose
    ]
    return MarkdownTable("Survivors", ("place", "is", "mutant", "why no test fails"), rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


def find_problems(
    results: Sequence[Result], rooms: Iterable[str], reasons: Mapping[str, str]
) -> list[str]:
    """Return why the run fails, a line for each problem."""
    problems = []
    for room in rooms:
        own = [result for result in results if result.room == room]
        score = count(own)
        if score.unknown:
            problems.append(f"{room}: {score.unknown} mutants were not run; run it again")
        if score.share < BOUNDS[room]:
            problems.append(
                f"{room}: {score.killed} of {score.total} mutants were killed, {score.share:.1%};"
                f" at least {BOUNDS[room]:.0%} must be. Add tests for what the survivors break"
            )
        bare = [
            r
            for r in own
            if r.by == SURVIVED and not r.mutant.prose and r.mutant.key not in reasons
        ]
        if bare:
            first = bare[0].mutant
            problems.append(
                f"{room}: {len(bare)} survivors have no reason, such as {first.file}:{first.line},"
                f" {first.after!r}. Add a test that fails for it, or the reason to {REASONS.name}"
            )
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; return 1 if something is wrong with the tests of a room."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rooms", nargs="*", help=f"of {', '.join(BOUNDS)}; all if left out")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="run mutants with this in the name"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--no-run", action="store_true", help="tell what earlier runs found")
    parser.add_argument("--output", type=Path, help="write the tables, as Markdown")
    options = parser.parse_args(arguments)
    if wrong := [room for room in options.rooms if room not in BOUNDS]:
        parser.error(f"no room {wrong[0]!r}; valid: {', '.join(BOUNDS)}")
    rooms, results = options.rooms or list(BOUNDS), list[Result]()
    output = options.output and options.output.absolute()
    for room in rooms:
        folder = WORK / room
        if options.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        mutants = plant(room, folder)
        if not options.no_run:
            try:
                run(room, folder, options.only)
            except subprocess.CalledProcessError:
                parser.exit(
                    1, f"{room}: its tests fail, or cannot be collected, as they are; see above\n"
                )
        results += read(mutants, folder)
    reasons = json.loads(REASONS.read_text(encoding="utf-8"))
    report = "\n\n".join(
        table.titled(2) for table in (tabulate(results), list_survivors(results, reasons))
    )
    print(report)
    if output:
        output.write_text(f"{report}\n", encoding="utf-8")
    problems = find_problems(results, rooms, reasons)
    print("", *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
