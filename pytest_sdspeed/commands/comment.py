"""``python -m pytest_sdspeed comment``: a stored run as one comment on a pull request."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import StoredRunError, TokenError
from pytest_sdspeed.history.aliases import Renaming
from pytest_sdspeed.history.remote import open_storage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn, TextIO

    from pytest_sdspeed.model import History, Result


def add_comment(commands: Any, stored: str) -> argparse.ArgumentParser:
    """Add the command ``comment`` to the parsers of commands, and return its own.

    Args:
        commands: what ``argparse`` adds the parsers of commands to.
        stored: what a place of stored runs may be, in words.
    """
    comment: argparse.ArgumentParser = commands.add_parser(
        "comment",
        help="print a stored run as a comment, or put it on a pull request, where it is kept up to"
        " date",
    )
    comment.add_argument("stored", metavar="RUN.json", help="a stored run (--benchmark-json)")
    comment.add_argument(
        "--history",
        action="append",
        default=[],
        metavar="FOLDER",
        help=f"tell what changed since the runs before: {stored} (repeatable)",
    )
    comment.add_argument(
        "--exit-code",
        type=int,
        metavar="N",
        help="how pytest ended: the comment says so, even if there is no RUN.json",
    )
    comment.add_argument("--report-url", metavar="URL", help="address of the report")
    comment.add_argument("--log-url", metavar="URL", help="address of the run's log")
    comment.add_argument(
        "--key",
        default="run",
        help="tells the comments of several jobs apart (default: run)",
    )
    comment.add_argument(
        "--repository", metavar="OWNER/NAME", help="repository of the pull request on GitHub"
    )
    comment.add_argument(
        "--pull-request", type=int, metavar="N", help="its number; without it, the text is printed"
    )
    comment.add_argument(
        "--token-variable",
        default="GITHUB_TOKEN",
        metavar="NAME",
        help="environment variable with the token (default: GITHUB_TOKEN)",
    )
    comment.add_argument(
        "--author",
        metavar="LOGIN",
        help="account that the token writes as (default: asked of the server; a token that may not"
        " ask is that of github-actions[bot])",
    )
    comment.add_argument(
        "--api-url",
        default=os.environ.get("GITHUB_API_URL") or "https://api.github.com",
        metavar="URL",
        help="address of the API (default: $GITHUB_API_URL, or https://api.github.com)",
    )
    return comment


def check_arguments(parsed: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> None:
    """Refuse arguments that no comment can be made of, or put anywhere with.

    Args:
        parsed: the parsed command line.
        refuse: ends the process with a message.
    """
    from pytest_sdspeed.store.github import find_address_fault

    if parsed.exit_code is None and not Path(parsed.stored).is_file():
        refuse(f"{parsed.stored} is no file; with --exit-code a comment says that there is none")
    if not parsed.key.strip():
        refuse("--key is empty: valid: any text that tells the job from others")
    for option in ("report_url", "log_url"):
        address = getattr(parsed, option)
        if address and not re.fullmatch(r"https?://[!-;=?-~]+", address):
            refuse(f"--{option.replace('_', '-')} {address!r}: valid: an address without spaces")
    if (parsed.repository is None) != (parsed.pull_request is None):
        refuse("--repository and --pull-request are given together, or none of them")
    if parsed.pull_request is None:
        return
    if parsed.pull_request < 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", parsed.repository, re.ASCII):
        refuse("valid: --repository OWNER/NAME --pull-request 1, or a greater number")
    fault = find_address_fault(parsed.api_url)
    if fault:
        refuse(f"--api-url {parsed.api_url!r}: {fault}")
    if parsed.token_variable not in os.environ:
        refuse(f"the environment variable {parsed.token_variable} is not set: it has the token")


def write_comment(options: argparse.Namespace) -> None:
    """Print the comment on a stored run, or put it on its pull request.

    Args:
        options: the parsed command line, as ``check_arguments`` left it.

    Raises:
        SdSpeedError: it could not be done.
        OSError: the summary of the step could not be written.
    """
    from pytest_sdspeed.report.comment import make_marker
    from pytest_sdspeed.store.github import PullRequest, publish

    body = _make_comment(options)
    if options.pull_request is None:
        _print(body)
        return
    place = PullRequest(
        api=options.api_url.rstrip("/"),
        repository=options.repository,
        number=options.pull_request,
        token=os.environ[options.token_variable].strip(),
        author=options.author,
    )
    try:
        done = publish(place, make_marker(options.key), body)
    except TokenError as error:
        _print(f"warning: {error}; the comment's text is printed instead", sys.stderr)
        _print(body)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("ab") as file:
                file.write(f"{body}\n".encode())
        return
    _print(f"comment {'updated' if done.updated else 'posted'}: {done.address}")
    if done.stranger:
        _print(
            f"warning: it is by {done.author}, which the next run will not look for: give it"
            f" --author {done.author}",
            sys.stderr,
        )


def _make_comment(options: argparse.Namespace) -> str:
    """Return the comment on a stored run; one that cannot be read has a comment that says so."""
    from pytest_sdspeed.history.current import load_histories_up_to
    from pytest_sdspeed.history.stored_run import StoredRun, read_run, select_sound
    from pytest_sdspeed.report import comment

    file = Path(options.stored)
    histories: Sequence[History] = ()
    try:
        run = read_run(file)
    except StoredRunError as error:
        if options.exit_code is None:
            raise
        written = file.is_file() and file.stat().st_size > 0
        problem = (str(error) if written else "pytest wrote no run",)
        run = StoredRun(where=str(file), results=(), facts={}, passed_over=problem, damaged=problem)
    else:
        if options.history:
            storages = [open_storage(stored) for stored in options.history]
            histories, problems = load_histories_up_to(file, storages, Renaming(options.aliases))
            for line in problems:
                _print(line, sys.stderr)
    links = {"report": options.report_url, "log": options.log_url}

    def write(results: Sequence[Result], unread: Sequence[str] = ()) -> str:
        facts = comment.CommentFacts(
            key=options.key,
            exit_code=options.exit_code,
            links={label: address for label, address in links.items() if address},
            run=run.facts,
            unread=unread,
        )
        return comment.write_comment(results, histories, facts, accounts=run.accounts)

    sound, faults = select_sound(run, write)
    return write(
        sound,
        [*run.damaged, *(f"{name}: {type(error).__name__}: {error}" for name, error in faults)],
    )


def _print(words: str, stream: TextIO | None = None) -> None:
    """Print words whatever a stream can show: a letter that it cannot is an escape."""
    target = stream or sys.stdout
    encoding = target.encoding or "utf-8"
    print(words.encode(encoding, "backslashreplace").decode(encoding), file=target)
