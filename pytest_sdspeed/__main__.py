"""Stored runs from the command line.

``python -m pytest_sdspeed history .benchmarks``, ``... report .benchmarks out.html``, ``... clean .benchmarks``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import SdSpeedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import History


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed command line; what is wrong with it ends the process with status 2 and a message."""
    parser = argparse.ArgumentParser(prog="python -m pytest_sdspeed", description="What stored runs say, without measuring.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    history = commands.add_parser("history", help="say what became slower or faster, since when, and by the code or the machine")
    history.add_argument("stored", type=Path, help="a folder of stored runs (.benchmarks)")
    history.add_argument("--json", action="store_true", help="print a list with one object for each setup and device")
    report = commands.add_parser("report", help="write the HTML report of a stored run")
    report.add_argument("stored", type=Path, help="a stored run, or a folder of them (.benchmarks): its latest")
    report.add_argument("page", type=Path, help="the HTML file to write")
    clean = commands.add_parser("clean", help="delete the pictures of all but the latest runs; the runs stay")
    clean.add_argument("stored", type=Path, help="a folder of stored runs (.benchmarks)")
    clean.add_argument("--keep", type=int, default=20, metavar="N", help="how many of the latest runs keep their pictures (default: 20)")
    parsed = parser.parse_args(given)
    if not parsed.stored.exists():
        parser.error(f"{parsed.stored} does not exist")
    if parsed.command != "report" and not parsed.stored.is_dir():
        parser.error(f"{parsed.stored} is no folder")
    if parsed.command == "clean" and parsed.keep < 0:
        parser.error(f"--keep {parsed.keep}: valid: 0 or more")
    return parsed


def main(given: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0, or 1 where it could not be done; the message is on standard error.
    """
    options = arguments(given)
    try:
        if options.command == "history":
            _history(options.stored, as_json=options.json)
        elif options.command == "report":
            _report(options.stored, options.page)
        else:
            _clean(options.stored, options.keep)
    except (SdSpeedError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's message
        return 1
    return 0


def _history(folder: Path, *, as_json: bool) -> None:
    from pytest_sdspeed.commits import between
    from pytest_sdspeed.report import history

    found = _judged(folder)
    if as_json:
        print(json.dumps(history.as_json(found), indent=2, allow_nan=False))  # noqa: T201 - a command's answer
        return
    lines = history.table(found) or [f"{folder}: no stored run of this plugin"]
    for changed in history.unsteady(found):
        lines += ["", history.message(changed)]
        commits = history.commits(changed, changed.changes[-1])
        lines += [f"    {commit}" for commit in between(*commits, Path.cwd())] if commits else []
    print("\n".join(lines))  # noqa: T201 - a command's answer


def _judged(folder: Path) -> Sequence[History]:
    """The histories below a folder, with their changes; what was passed over is said on standard error."""
    from pytest_sdspeed.history.series import histories
    from pytest_sdspeed.judge.changes import judged

    found, problems = histories(folder)
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201 - a command's message
    return judged(found)


def _report(stored: Path, target: Path) -> None:
    from pytest_sdspeed.history.reading import latest_run, read_run
    from pytest_sdspeed.pictures import with_error_maps
    from pytest_sdspeed.report.html import page

    run, problems = latest_run(stored) if stored.is_dir() else (read_run(stored), ())
    for problem in (*problems, *run.passed_over):
        print(f"passed over: {problem}", file=sys.stderr)  # noqa: T201 - a command's message
    results = [with_error_maps(result) for result in run.results]
    histories = _judged(stored) if stored.is_dir() else ()
    target.write_text(page(results, {"stored run": str(run.path), **run.facts}, histories), encoding="utf-8")
    print(f"{target}: {len(results)} results of {run.path}")  # noqa: T201 - a command's answer


def _clean(folder: Path, keep: int) -> None:
    from pytest_sdspeed.history.reading import clean

    deleted, freed = clean(folder, keep)
    print(f"{folder}: {deleted} pictures deleted, {freed / 1e6:.1f} MB")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    sys.exit(main())
