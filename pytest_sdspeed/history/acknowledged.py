"""The file of changes that were accepted: TOML beside the stored runs, reviewed like code."""

from __future__ import annotations

import math
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import AcknowledgementError
from pytest_sdspeed.history.storages import ACKNOWLEDGED
from pytest_sdspeed.model import Acknowledgement, HistoryKey, toml_text
from pytest_sdspeed.store.atomic import write_file
from pytest_sdspeed.store.git import run_git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_sdspeed.model import AccountChange, AccountHistory, Change, History

_HEAD = """\
# Changes that are accepted as the new level of their rows, one table for each.
# python -m pytest_sdspeed history ... --acknowledge ID --reason TEXT adds one, and sorts them.
# Without its table here, a change is told again.
"""


def parse_acknowledged(content: bytes | OSError, path: str) -> list[Acknowledgement]:
    """Return the changes that a file holds.

    Args:
        content: its bytes, or why it cannot be read.
        path: what messages call it.

    Raises:
        AcknowledgementError: it is not such a file.
    """
    if isinstance(content, OSError):
        raise AcknowledgementError(path, "", f"cannot be read: {content.strerror or content}")
    try:
        found = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise AcknowledgementError(path, "", f"is not valid TOML: {error}") from None
    return [_read_entry(path, name, entry) for name, entry in found.items()]


def _read_entry(path: str, name: str, entry: object) -> Acknowledgement:
    key = toml_text.write_key(name)
    if not isinstance(entry, dict):
        raise AcknowledgementError(path, key, "must be a table, [ID], with the facts of a change")
    for fact in entry:
        if fact not in _CHECKS:
            raise AcknowledgementError(
                path, f"{key}.{toml_text.write_key(fact)}", f"unknown key; valid: {_VALID}"
            )
    known: dict[str, Any] = {}
    needless = (*_OPTIONAL, *(("change", "baseline") if "counts" in entry else ("counts",)))
    for fact, check in _CHECKS.items():
        if fact in entry:
            try:
                known[fact] = check(entry[fact])
            except ValueError as error:
                raise AcknowledgementError(path, f"{key}.{fact}", str(error)) from None
        elif fact not in needless:
            raise AcknowledgementError(path, f"{key}.{fact}", f"missing; valid keys: {_VALID}")
    if "counts" in known:
        known = {"baseline": "", "change": math.nan, **known}
    series = HistoryKey(**{fact: known.pop(fact, None) for fact in _SERIES})
    return Acknowledgement(id=name, key=series, **known)


def _check_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"is {value!r:.60}; valid: a text that is not empty")
    return value


def _check_any_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"is {value!r:.60}; valid: a text")


def _check_date(value: object) -> str:
    try:
        found = value if isinstance(value, date) else datetime.fromisoformat(_check_text(value))
    except ValueError:
        raise ValueError(f"is {value!r:.60}; valid: a date, ISO 8601") from None
    return value if isinstance(value, str) else found.isoformat()


def _check_change(value: object) -> float:
    # True is an int; a latency cannot fall by all of it.
    if type(value) not in (int, float) or not -1 < value < float("inf") or value == 0:  # type: ignore[operator]
        raise ValueError(
            f"is {value!r:.60}; valid: a fraction of the latency, above -1: 0.06 is 6% slower"
        )
    return float(value)  # type: ignore[arg-type]


def _check_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"is {value!r:.60}; valid: true or false")


_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "reason": _check_text,
    "acknowledged": _check_date,
    "by": _check_text,
    "change": _check_change,
    "counts": _check_text,
    "ratio": _check_flag,
    "since": _check_date,
    "commit": _check_text,
    "host": _check_text,
    "table": _check_text,
    "setup": _check_text,
    "baseline": _check_text,
    "device": _check_text,
    "cpu": _check_text,
    "recipe": _check_any_text,
}
"""Every fact of a change, in the order in which they are written."""
_OPTIONAL = ("by", "ratio", "commit", "host", "table", "cpu")
_SERIES = ("table", "setup", "baseline", "device", "cpu", "recipe")
_VALID = ", ".join(_CHECKS)


def make_acknowledgement(
    history: History, change: Change, reason: str, today: date, by: str | None
) -> Acknowledgement:
    """Make what accepts a change as large as it is now.

    Args:
        history: history of the change.
        change: the change.
        reason: why it is accepted.
        today: day on which it is.
        by: who accepts it, or None.
    """
    first, key = history.runs[change.since], history.key
    return Acknowledgement(
        id=history.name_change(change),
        key=HistoryKey(**{fact: getattr(key, fact) for fact in _SERIES}),
        since=first.date,
        change=round(change.change, 4),
        reason=reason,
        acknowledged=today.isoformat(),
        by=by,
        ratio=change.ratio,
        commit=first.commit,
        host=first.host,
    )


def write_acknowledged(given: Iterable[Acknowledgement]) -> str:
    """Write changes as the text of their file, sorted by table, setup and date."""
    ordered = sorted(given, key=lambda one: (one.key.table or "", one.key.setup, one.since, one.id))
    return "\n".join([_HEAD.rstrip("\n"), *(line for one in ordered for line in _write(one)), ""])


def _write(one: Acknowledgement) -> Iterator[str]:
    yield from ("", f"[{toml_text.write_key(one.id)}]")
    for fact in _CHECKS:
        value = getattr(one.key if fact in _SERIES else one, fact)
        if one.counts and fact in ("change", "baseline", "ratio"):
            continue
        if isinstance(value, str):
            yield f"{fact} = {toml_text.quote(value)}"
        elif value is not None:
            yield f"{fact} = {repr(value).lower()}"


def _make_acknowledgement_of_counts(
    history: AccountHistory, change: AccountChange, reason: str, today: date, by: str | None
) -> Acknowledgement:
    first, key = history.runs[change.since], history.key
    return Acknowledgement(
        id=history.name_change(change),
        key=HistoryKey(**{fact: getattr(key, fact) for fact in _SERIES}),
        since=first.date,
        change=math.nan,
        counts=", ".join(one.pair for one in change.counts),
        reason=reason,
        acknowledged=today.isoformat(),
        by=by,
        commit=first.commit,
        host=first.host,
    )


def acknowledge(
    folder: Path,
    histories: Iterable[History],
    change: str,
    reason: str,
    accounts: Iterable[AccountHistory] = (),
) -> Path:
    """Note in a folder that a change is accepted, as large as it is now, and return the file.

    A change that was accepted before is noted anew. Nothing else in the file changes, but for
    comments, which are not kept.

    Args:
        folder: folder of stored runs.
        histories: histories, with their changes.
        change: id of one of these.
        reason: why it is accepted.
        accounts: histories of accounts, with their changes.

    Raises:
        AcknowledgementError: the file that is there is not such a file.
    """
    path = folder / ACKNOWLEDGED
    there = parse_acknowledged(path.read_bytes(), str(path)) if path.is_file() else []
    today, by = datetime.now(UTC).date(), find_author(Path.cwd())
    new = [
        make_acknowledgement(history, one, reason, today, by)
        for history in histories
        for one in history.changes
        if history.name_change(one) == change
    ]
    new += [
        _make_acknowledgement_of_counts(counted, step, reason, today, by)
        for counted in accounts
        for step in counted.changes
        if counted.name_change(step) == change
    ]
    kept = [one for one in there if one.id != change]
    write_file(path, write_acknowledged([*kept, *new]).encode())
    return path


def list_unknown(
    given: Iterable[Acknowledgement],
    histories: Iterable[History],
    accounts: Iterable[AccountHistory] = (),
) -> Iterator[str]:
    """Yield a line for each accepted change that no history shows."""
    shown = {
        one.id
        for history in histories
        for change in history.changes
        for one in (change.acknowledged, change.outgrown)
        if one is not None
    }
    shown |= {step.acknowledged.id for one in accounts for step in one.changes if step.acknowledged}
    for one in given:
        if one.id not in shown:
            yield (
                f"sd history: {ACKNOWLEDGED}: [{one.id}]: no change of these runs is that of"
                f" {one.key.name} since {one.since[:10]}: it did not last, or is of other runs"
            )


def find_author(folder: Path) -> str | None:
    """Return who works in a folder, if git tells: ``Ada <ada@example.org>``."""
    try:
        name, mail = (
            run_git(folder, "config", f"user.{fact}").stdout.strip() for fact in ("name", "email")
        )
    except OSError:
        return None
    return " ".join(filter(None, (name, f"<{mail}>" if mail else ""))) or None
