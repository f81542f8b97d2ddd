"""Stored runs, dry runs and tables from the command line.

``python -m pytest_sdspeed history .benchmarks``, ``... report .benchmarks out.html``, ``... comment
out.json``, ``... clean .benchmarks``, ``... dry inference/fp16``, ``... lint my.sdspeed.toml``. The
first two take several folders and addresses of fsspec's, and make one history of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytest_sdspeed.commands.atlas import add_atlas, check_atlas, write_atlas
from pytest_sdspeed.commands.comment import add_comment, check_arguments, write_comment
from pytest_sdspeed.commands.dry import add_dry, count_target
from pytest_sdspeed.commands.lint import add_lint, lint_files
from pytest_sdspeed.errors import (
    PlaceError,
    SdSpeedError,
    StoredRunError,
    UnknownNameError,
    UsageMistakeError,
)
from pytest_sdspeed.history.aliases import Renaming, parse_aliases
from pytest_sdspeed.history.remote import is_address, local_path, open_storage
from pytest_sdspeed.history.storages import ACKNOWLEDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_sdspeed.history.aliases import Alias
    from pytest_sdspeed.history.merging import RunFile
    from pytest_sdspeed.history.stored_run import StoredRun
    from pytest_sdspeed.model import AccountHistory, History, Result

_STORED = "a folder of stored runs (.benchmarks), or an address of one (s3://bucket/runs)"
_PAGE = "report.html"


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line; an error in it ends the process with status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_sdspeed",
        description=(
            "What stored runs say, what dry runs count, and whether tables agree: nothing is"
            " measured."
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    history = commands.add_parser(
        "history",
        help="say what became slower or faster, since when, and by the code or the machine",
    )
    history.add_argument(
        "stored", nargs="+", metavar="FOLDER", help=f"{_STORED}; several are one history"
    )
    history.add_argument(
        "--json", action="store_true", help="print a list with one object for each setup and device"
    )
    history.add_argument(
        "--acknowledge",
        metavar="ID",
        help=(
            "accept a change, by the id that is printed with it, as the new level of its row; it is"
            f" noted in {ACKNOWLEDGED} beside the runs"
        ),
    )
    history.add_argument("--reason", metavar="TEXT", help="why --acknowledge accepts it")
    report = commands.add_parser("report", help="write the HTML report of a stored run")
    report.add_argument(
        "stored",
        nargs="+",
        metavar="FOLDER",
        help=f"a stored run, or its latest: {_STORED}; several are one history",
    )
    # The first positional takes them all; this one is for the usage text.
    report.add_argument("page", nargs="?", help=f"the HTML file to write (default: {_PAGE})")
    comment = add_comment(commands, _STORED)
    for command in (history, report, comment):
        command.add_argument(
            "--sd-history-alias",
            action="append",
            default=[],
            dest="aliases",
            metavar="OLD=NEW",
            help=(
                "what was called OLD in stored runs is NEW today: a test, a file or folder, a"
                " table, a setup (TABLE::SETUP) or a callable (repeatable)"
            ),
        )
    clean = commands.add_parser(
        "clean", help="delete the pictures of all but the latest runs; the runs stay"
    )
    clean.add_argument(
        "stored", nargs=1, metavar="FOLDER", help="a folder of stored runs (.benchmarks)"
    )
    clean.add_argument(
        "--keep",
        type=int,
        default=20,
        metavar="N",
        help="how many of the latest runs keep their pictures (default: 20)",
    )
    add_dry(commands)
    add_lint(commands)
    atlas = add_atlas(commands)
    parsed = parser.parse_args(given)
    if parsed.command == "atlas":
        check_atlas(parsed, atlas.error)
    if parsed.command in {"atlas", "dry", "lint"}:
        parsed.missing = []
        return parsed
    if parsed.command == "comment":
        _parse_aliases(parsed, comment.error)
        check_arguments(parsed, comment.error)
        parsed.missing = []
        return parsed
    if parsed.command == "report":
        parsed.stored, parsed.page = _split_page(parsed.stored)
    parsed.missing = [
        problem for problem in map(partial(_find_problem, parsed), parsed.stored) if problem
    ]
    parsed.stored = [
        stored for stored in dict.fromkeys(parsed.stored) if not _find_problem(parsed, stored)
    ]
    if not parsed.stored:
        parser.error("; ".join(parsed.missing))
    if parsed.command != "clean":
        _parse_aliases(parsed, parser.error)
    if parsed.command == "history":
        _check_acknowledging(parser, parsed)
    if parsed.command == "clean" and parsed.keep < 0:
        parser.error(f"--keep {parsed.keep}: valid: 0 or more")
    return parsed


def _check_acknowledging(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """See that a change is accepted with a reason, in a folder of this machine."""
    if (parsed.acknowledge is None) != (parsed.reason is None):
        parser.error("--acknowledge ID and --reason TEXT belong together")
    if parsed.acknowledge is None:
        return
    if not parsed.reason.strip():
        parser.error("--reason is empty; valid: a text that says why the change is accepted")
    if all(is_address(stored) for stored in parsed.stored):
        parser.error(
            f"--acknowledge writes {ACKNOWLEDGED} into a folder of this machine; valid: one beside"
            " the addresses, or a copy of the runs"
        )


def _parse_aliases(parsed: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> None:
    try:
        parsed.aliases = parse_aliases(parsed.aliases)
    except UsageMistakeError as error:
        refuse(str(error))


def _split_page(given: list[str]) -> tuple[list[str], Path]:
    """Return the stored runs and the page of ``report``.

    The page is the last argument, by its suffix, or if it is the second and no stored run.
    """
    last = given[-1]
    stored = is_address(last) or Path(last).is_dir() or last.endswith(".json")
    if len(given) > 1 and (last.endswith((".html", ".htm")) or (len(given) == 2 and not stored)):  # noqa: PLR2004 - a run and its page
        return given[:-1], Path(last)
    return given, Path(_PAGE)


def _find_problem(parsed: argparse.Namespace, stored: str) -> str | None:
    """Return what is wrong with a storage that a command is given, or None.

    For an address, that is seen when it is read.
    """
    path = local_path(stored)
    if path is None:
        return (
            f"{open_storage(stored).describe('')}: pictures are deleted in folders of this machine"
            " alone"
            if parsed.command == "clean"
            else None
        )
    if not path.exists():
        return f"{path} does not exist"
    if not path.is_dir() and not (parsed.command == "report" and len(parsed.stored) == 1):
        return f"{path} is no folder"
    return None


def main(given: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 1 if it could not be done; 2 if no storage could be read, or nothing has the name or id
        that was given. Messages are on standard error.
    """
    options = parse_arguments(given)
    _say(options.missing)
    try:
        if options.command == "history" and options.acknowledge is not None:
            _acknowledge(options.stored, options.aliases, options.acknowledge, options.reason)
        elif options.command == "history":
            _history(options.stored, options.aliases, as_json=options.json)
        elif options.command == "comment":
            write_comment(options)
        elif options.command == "dry":
            return count_target(options)
        elif options.command == "lint":
            return lint_files(options)
        elif options.command == "atlas":
            write_atlas(options)
        elif options.command == "report":
            _report(options.stored, options.page, options.aliases)
        else:
            _clean(options.stored[0], options.keep)
    except (PlaceError, UnknownNameError, UsageMistakeError) as error:
        _say([error])
        return 2
    except (SdSpeedError, OSError) as error:
        _say([error])
        return 1
    return 0


def _say(lines: Iterable[object]) -> None:
    """Print lines beside the answer, on standard error."""
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - a command's message


def _history(stored: Sequence[str], aliases: Sequence[Alias], *, as_json: bool) -> None:
    from pytest_sdspeed.history.commits import explain_unlisted, list_commits
    from pytest_sdspeed.report import account_history, history
    from pytest_sdspeed.report.devices import describe_splits
    from pytest_sdspeed.report.history_json import to_json

    found, _, counted = _load_and_judge(stored, aliases)
    if as_json:
        told = [*to_json(found), *account_history.accounts_to_json(counted)]
        print(json.dumps(told, indent=2, allow_nan=False))  # noqa: T201 - a command's answer
        return
    lines = history.format_table(found)
    lines += account_history.format_histories(counted)
    lines = lines or [f"{', '.join(_names(stored))}: no stored run of this plugin"]
    lines += [f"split: {line}" for line in describe_splits(found)]
    lines += [f"series: {line}" for line in history.describe_successions(found)]
    lines += [f"acknowledged: {line}" for line in history.describe_acknowledged(found)]
    for changed in history.select_unsteady(found):
        change = changed.latest
        assert change is not None  # noqa: S101 - it is unsteady by that
        lines += ["", history.describe_change(changed, change)]
        commits = history.find_commits(changed, change)
        listed = list_commits(*commits, Path.cwd()) if commits else []
        why = None if listed or not commits else explain_unlisted(*commits, Path.cwd())
        lines += [f"    {commit}" for commit in listed]
        lines += [f"    the commits between are not listed: {why}"] if why else []
    print("\n".join(lines))  # noqa: T201 - a command's answer


def _names(stored: Sequence[str]) -> list[str]:
    """Return what messages call storages."""
    return [open_storage(one).describe("") for one in stored]


def _acknowledge(stored: Sequence[str], aliases: Sequence[Alias], change: str, reason: str) -> None:
    """Note in the first folder that a change is accepted.

    Raises:
        UnknownNameError: no history has such a change.
    """
    from pytest_sdspeed.history.acknowledged import acknowledge
    from pytest_sdspeed.report.account_history import list_account_changes
    from pytest_sdspeed.report.history import list_changes

    folder = next(path for one in stored if (path := local_path(one)) is not None)
    found, _, counted = _load_and_judge(stored, aliases)
    known = list_changes(found) | list_account_changes(counted)
    if change not in known:
        raise UnknownNameError("change", change, known.values(), "--acknowledge")
    file, line = acknowledge(folder, found, change, reason, counted), known[change]
    print(f"{file}: acknowledged {line}: {reason}")  # noqa: T201 - a command's answer


def _load_and_judge(
    stored: Sequence[str], aliases: Sequence[Alias]
) -> tuple[Sequence[History], Sequence[RunFile], Sequence[AccountHistory]]:
    """Return the histories of storages, with their changes, their files, and those of accounts.

    What was passed over is printed on standard error.

    Raises:
        PlaceError: none of them can be read.
        AcknowledgementError: a file of changes that were accepted is not such a file.
    """
    from pytest_sdspeed.history.acknowledged import list_unknown
    from pytest_sdspeed.history.loading import load_from
    from pytest_sdspeed.judge.changes.causes import judge_histories
    from pytest_sdspeed.judge.changes.counts import judge_account_histories
    from pytest_sdspeed.judge.changes.succession import add_predecessors

    found = load_from([open_storage(one) for one in stored], Renaming(aliases))
    if not found.read:
        raise PlaceError("\n".join(found.problems))
    for error in found.unread:
        raise error
    histories = add_predecessors(judge_histories(found.histories, found.acknowledged))
    counted = judge_account_histories(found.accounts, found.acknowledged)
    _say((*found.problems, *list_unknown(found.acknowledged, histories, counted)))
    return histories, found.files, counted


def _report(stored: Sequence[str], target: Path, aliases: Sequence[Alias]) -> None:
    from pytest_sdspeed.history.stored_run import read_latest_run, read_run
    from pytest_sdspeed.store.atomic import write_file

    file = local_path(stored[0])
    histories: Sequence[History] = ()
    problems: tuple[str, ...] = ()
    if file is not None and file.is_file():
        run = read_run(file)
    else:
        histories, files, _ = _load_and_judge(stored, aliases)
        try:
            run, problems = read_latest_run(files)
        except StoredRunError as error:
            raise StoredRunError(f"{', '.join(_names(stored))}: {error}") from None
    _say(f"passed over: {problem}" for problem in (*problems, *run.passed_over))
    content, shown = _render(run, histories)
    write_file(target, content, lasting=False)
    print(f"{target}: {shown} results of {run.where}")  # noqa: T201 - a command's answer


def _render(run: StoredRun, histories: Sequence[History]) -> tuple[bytes, int]:
    """Return the page of a stored run, and how many results it shows.

    Raises:
        StoredRunError: no record is left that a page can be made of.
    """
    from pytest_sdspeed.history.stored_run import select_sound
    from pytest_sdspeed.judge.pictures.exhibits import add_error_maps
    from pytest_sdspeed.report.page.html import render_page

    def render(results: Iterable[Result]) -> bytes:
        shown = [add_error_maps(result) for result in results]
        facts = {"stored run": run.where, **run.facts}
        return render_page(shown, facts, histories, run.accounts).encode()

    sound, problems = select_sound(run, render)
    _say(f"passed over: {name}: {type(error).__name__}: {error}" for name, error in problems)
    if not sound and problems:
        problem = problems[0][1]
        raise StoredRunError(f"{run.where}: no page can be made of it: {problem}") from problem
    return render(sound), len(sound) + len(run.accounts)


def _clean(stored: str, keep: int) -> None:
    from pytest_sdspeed.history.stored_run import clean

    folder = Path(stored.removeprefix("file://"))
    deleted, freed = clean(folder, keep)
    print(f"{folder}: {deleted} pictures deleted, {freed / 1e6:.1f} MB")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    sys.exit(main())
