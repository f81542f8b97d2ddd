"""Stored runs, read back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.store import pictures
from pytest_sdspeed.store.accounts import account_from_json, is_account
from pytest_sdspeed.store.benchmark import EXTRA
from pytest_sdspeed.store.files import decode, read_commit, section
from pytest_sdspeed.store.records import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.history.merging import RunFile
    from pytest_sdspeed.history.storages import Storage
    from pytest_sdspeed.model import AccountResult, Result

_DATE = re.compile(rb'"datetime": "([^"]+)"')
_END = 4096
"""Bytes at the end of a file, where pytest-benchmark writes its date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as it was stored.

    Attributes:
        where: path or address of its file.
        results: results of this plugin, in order.
        accounts: what was counted, in order.
        facts: what is known of the run as a whole, label -> text.
        passed_over: benchmarks of the file that are not this plugin's, and why the others could not
            be read.
        damaged: those of them that are this plugin's.
    """

    where: str
    results: tuple[Result, ...]
    facts: Mapping[str, str]
    passed_over: tuple[str, ...]
    damaged: tuple[str, ...] = ()
    accounts: tuple[AccountResult, ...] = ()


def list_run_files(folder: Path) -> list[Path]:
    """Return the files of stored runs below a folder, the oldest first.

    The date in the file counts, since copies have other times. A link to one of them is left out,
    and linked folders are not looked into: nothing behind them is this folder's to delete.
    """
    found: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*.json"), key=lambda path: (path.is_symlink(), path)):
        if path.is_file():
            found.setdefault(path.resolve(), path)
    return sorted(
        found.values(),
        key=lambda path: (_read_date(path), path.name),
    )


def _read_date(path: Path) -> str:
    """Return when a run was stored, ISO 8601 in UTC, or if unknown, when its file was written."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END))
            dates = _DATE.findall(file.read())
    except OSError:
        dates = []
    return (
        dates[-1].decode()
        if dates
        else datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
    )


def read_run(path: Path) -> StoredRun:
    """Return one stored run of this machine.

    Raises:
        StoredRunError: the file cannot be read, is damaged, or holds no result of this plugin; the
            message names it.
    """
    return _read(Folder(path.parent), str(path), str(path))


def read_latest_run(files: Sequence[RunFile]) -> tuple[StoredRun, tuple[str, ...]]:
    """Return the newest run that can be read, with its pictures, and what is wrong with newer ones.

    Args:
        files: files of stored runs, the oldest first.

    Raises:
        StoredRunError: there is none.
        PlaceError: the storage of the newest cannot be reached any more.
    """
    problems: list[str] = []
    for kept in reversed(files):
        if not kept.file.results and kept.file.foreign:
            continue
        try:
            return _read(kept.storage, kept.where, kept.storage.describe(kept.file.path)), tuple(
                problems
            )
        except StoredRunError as error:
            problems.append(str(error))
    raise StoredRunError("\n".join(["no stored run of this plugin", *problems]))


def _read(storage: Storage, where: str, name: str) -> StoredRun:
    """Return a stored run.

    Args:
        storage: where it is kept.
        where: where its file is there.
        name: what messages call the file.
    """
    (content,) = storage.fetch([where])
    if isinstance(content, OSError):
        raise StoredRunError(f"{name}: {content}")
    try:
        stored, extras = decode(content)
    except StoredRunError as error:
        raise StoredRunError(f"{name}: {error}") from None
    results, accounts, passed_over, damaged = [], [], [], []
    with storage.fetch_pictures(where, pictures.find_picture_paths(stored)) as folder:
        for test, extra in extras:
            try:
                if extra is None:
                    passed_over.append(f"{test}: not a benchmark of this plugin")
                elif is_account(extra):
                    accounts.append(account_from_json(extra))
                else:
                    result = from_json(extra, folder)
                    results.append(replace(result, test=test))
            except StoredRunError as error:
                damaged.append(f"{test}: {error}")
                passed_over.append(damaged[-1])
    if not results and not accounts:
        raise StoredRunError(
            f"{name}: no result of this plugin: {'; '.join(passed_over) or 'it is empty'}"
        )
    return StoredRun(
        where=name,
        results=tuple(results),
        facts=describe_run(stored),
        passed_over=tuple(passed_over),
        damaged=tuple(damaged),
        accounts=tuple(accounts),
    )


def select_sound(
    run: StoredRun, write: Callable[[Sequence[Result]], object]
) -> tuple[Sequence[Result], list[tuple[str, Exception]]]:
    """Return the results that can be written, and the names of the others with what they raised.

    The file is somebody else's: any type may stand in it, which costs the one record that holds it.

    Args:
        run: a stored run.
        write: writes results, and raises if it cannot.
    """
    try:
        write(run.results)
    except Exception:  # noqa: BLE001 - any type may stand in a record
        sound, problems = [], []
        for result in run.results:
            try:
                write([result])
            except Exception as error:  # noqa: BLE001 - any type may stand in a record
                problems.append((ascii(result.setup), error))
            else:
                sound.append(result)
        return sound, problems
    return run.results, []


def clean(folder: Path, keep: int) -> tuple[int, int]:
    """Delete the pictures below a folder that only older runs name. The runs stay.

    A picture that no readable run names is deleted too; beside a file that cannot be read, the
    pictures stay.

    Args:
        folder: folder of stored runs.
        keep: how many of the latest runs that have pictures keep them.

    Returns:
        How many pictures were deleted, and their bytes.
    """
    kept, spared, runs = set(), set(), 0
    for path in reversed(list_run_files(folder)):
        try:
            named = set(pictures.find_picture_paths(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, RecursionError):
            spared.add(path.parent)
            continue
        runs += bool(named)
        kept |= {path.parent / name for name in named} if runs <= keep else set()
    gone = [
        path
        for path in sorted(folder.rglob(f"{pictures.FOLDER}/*.png"))
        if path not in kept and path.parent.parent not in spared
    ]
    freed = sum(path.stat().st_size for path in gone)
    for path in gone:
        path.unlink()
    return len(gone), freed


def describe_run(stored: Mapping[str, Any]) -> dict[str, str]:
    """Return what a stored run says about itself, label -> text; what it does not say is left out.

    Args:
        stored: ``machine_info``, ``commit_info`` and ``datetime``, as pytest-benchmark stores them.
    """
    machine, commit = section(stored, "machine_info"), section(stored, "commit_info")
    own = section(machine, EXTRA)
    changed = ", with uncommitted changes" if commit.get("dirty") else ""
    named, why = read_commit(stored)
    known = {
        "date": stored.get("datetime"),
        "command": own.get("command"),
        "commit": (f"{named}{changed}" if named is not None else why and f"unknown: {why}"),
        "branch": commit.get("branch"),
        "device": own.get("device"),
        "host": machine.get("node"),
        "system": " ".join(
            str(machine[name]) for name in ("system", "release", "machine") if machine.get(name)
        ),
        "Python": machine.get("python_version"),
        "processor": section(machine, "cpu").get("brand_raw"),
    }
    return {label: str(value) for label, value in known.items() if value}
