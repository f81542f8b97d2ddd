"""From the file of a stored run to what a history keeps, and what is wrong with the file."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, get_args

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.history.accounts import make_account_key
from pytest_sdspeed.history.contents import (
    Fault,
    FileContents,
    StoredCounts,
    StoredResult,
    StoredRunFacts,
)
from pytest_sdspeed.history.storages import make_printable
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.model import COUNTS, HistoryKey, HistoryRun, ImageVerdict, Verdict
from pytest_sdspeed.store.accounts import account_from_json, is_account, write_counts
from pytest_sdspeed.store.benchmark import EXTRA, RUN
from pytest_sdspeed.store.files import decode, read_commit, section
from pytest_sdspeed.store.records import DAMAGE, SCHEMA, make_recipe_key, read_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Account

_LARGEST = 2**63
"""Whole numbers below it can be written to the index."""


def parse_file(content: bytes, written: float) -> FileContents:
    """Return what a file holds, whatever it is.

    Args:
        content: its bytes.
        written: when it was written, seconds since the epoch: the date of a run that does not tell
            its own.
    """
    try:
        stored, extras = decode(content)
    except StoredRunError as error:
        return FileContents(run=None, wrong=(("damaged", str(error)),))
    run = read_run_facts(stored, written)
    results, wrong = dict[object, StoredResult](), dict[Fault, str]()
    accounts = dict[HistoryKey, StoredCounts]()
    for test, extra in extras:
        if extra is None:
            continue
        schema = extra.get("schema") if isinstance(extra, dict) else None
        if schema != SCHEMA:
            wrong.setdefault("schema", f"schema {shortened(schema)} is not {SCHEMA}")
            continue
        if extra.get("against") is not None:
            # What two versions are to each other is no level.
            continue
        try:
            if is_account(extra):
                counts = _read_counts(extra)
                accounts.pop(counts.key, None)
                if counts.account["operations"]:
                    # Of what asked for nothing, nothing was counted.
                    accounts[counts.key] = counts
                continue
            result = _read_result(extra, run, test)
        except (*DAMAGE, StoredRunError) as error:
            problem = f"not a record of this plugin: {type(error).__name__}: {error}"
            wrong.setdefault("record", make_printable(f"{test}: {problem}"))
        else:
            # A test that stands there twice was run again in its process: its last attempt counts.
            results.pop((test, result.key), None)
            results[test, result.key] = result
    foreign = sum(extra is None for _, extra in extras)
    return FileContents(
        run, tuple(results.values()), tuple(wrong.items()), foreign, tuple(accounts.values())
    )


def read_run_facts(stored: Mapping[str, Any], written: float) -> StoredRunFacts:
    """Return what a stored run says about itself; what is missing or makes no sense is unknown.

    Args:
        stored: ``machine_info``, ``commit_info`` and ``datetime``, as pytest-benchmark stores them.
        written: seconds since the epoch, for a run that has no date.
    """
    machine, commit = section(stored, "machine_info"), section(stored, "commit_info")
    own, attempt = section(machine, EXTRA), section(machine, EXTRA).get("ci_attempt")
    (named, why), told = read_commit(stored), _date(stored.get("datetime"))
    # pytest-benchmark has stored the processor at all times.
    model = section(machine, "cpu").get("brand_raw")
    known = _known(named)
    return StoredRunFacts(
        date=told or datetime.fromtimestamp(written, UTC).isoformat(),
        commit=known,
        dirty=commit.get("dirty") is True,
        host=_known(machine.get("node")),
        dated=told is not None,
        no_commit=None if known else _known(why),
        id=_known(own.get(RUN)),
        cpu=_known(" ".join(model.split())) if isinstance(model, str) else None,
        ci_run=_known(own.get("ci_run")),
        ci_job=_known(own.get("ci_job")),
        ci_attempt=attempt if type(attempt) is int and abs(attempt) < _LARGEST else None,
    )


def _read_result(record: Mapping[str, Any], run: StoredRunFacts, test: str) -> StoredResult:
    """Return one result of a run.

    Args:
        record: what ``records.to_json`` made; keys that no history needs may be missing, and others
            may be there.
        run: what its run says about itself.
        test: full name of the test that measured it.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, OverflowError: it is damaged.
    """
    result = _CheckedRecord(record)
    key = HistoryKey.of(result, make_printable(make_recipe_key(record["recipe"], test)), run.cpu)
    text = json.dumps(result.samples_s, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return StoredResult(key, int.from_bytes(digest, signed=True), HistoryRun.of(result, run))


def _read_counts(record: Mapping[str, Any]) -> StoredCounts:
    """Return one account of a run.

    Args:
        record: what ``store.accounts.account_to_json`` made.

    Raises:
        StoredRunError, KeyError, TypeError, ValueError, AttributeError, OverflowError: it is
            damaged.
    """
    result = account_from_json(record)
    for account in filter(None, (result.account, result.account.per_step)):
        _check_counts(account)
    key = make_account_key(result, make_printable(result.test or ""))
    for name in (key.table or "", key.setup, key.device, key.optimizations or ""):
        _text(name, "a name")
    return StoredCounts(key, _texts(result.versions, "versions"), write_counts(result.account))


def _check_counts(account: Account) -> None:
    """Check what histories compare.

    Raises:
        TypeError, ValueError: a count is no whole number, or a place names no line.
    """
    counts = {name: getattr(account, name) for name in (*COUNTS, "steps")}
    for name, count in counts.items():
        if count is not None and type(count) is not int:
            raise ValueError(f"{name} is {shortened(count)}; valid: a whole number")
    for place in account.places:
        if type(place.count) is not int or type(place.line) is not int:
            raise ValueError(f"a place is {shortened(place)}; valid: whole numbers")
        _text(place.file + place.code + place.kind, "a place")


class _CheckedRecord:
    """A stored record, read like a ``Result``. What is asked for is checked, and nothing else.

    Args:
        record: what ``records.to_json`` made.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record
        self.image_verdict = _one_of(ImageVerdict, record.get("image_verdict"), "image_verdict")
        self.verdict = _one_of(Verdict, record["verdict"], "verdict")
        self.samples_s = {
            arm: [[_positive(slot, "a slot") for slot in pair] for pair in pairs]
            for arm, pairs in record["samples_s"].items()
        }
        self.latency_s, self.baseline_latency_s = latencies(
            self.samples_s, self.setup, self.baseline
        )

    @property
    def canary_s(self) -> dict[str, list[float]]:
        """Return operation -> times, seconds; empty if the canary was not timed."""
        return {
            _utf8(name): [_positive(seconds, f"canary {name}") for seconds in taken]
            for name, taken in (self._record.get("canary_s") or {}).items()
            if taken
        }

    def __getattr__(self, name: str) -> Any:
        if name in _CHECKS and name in self._record:
            return _CHECKS[name](self._record[name], name)
        return read_figure(self._record, name)


def _ratio(value: Any, name: str) -> float:
    """Return a ratio; NaN if it is unknown, which is stored as null."""
    return math.nan if value is None else _positive(value, name)


def _positive(value: Any, what: str) -> float:
    number = _number(value, what)
    if number <= 0:
        raise ValueError(f"{what} is {shortened(value)}; valid: above 0")
    return number


def _number(value: Any, what: str) -> float:
    # True is an int.
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{what} is {shortened(value)}; valid: a finite number")
    return float(value)


def _one_of(literal: Any, value: Any, what: str) -> Any:
    """Return a value if it is one that a literal type has, or None that a record may lack."""
    valid = get_args(literal)
    if value not in valid and not (value is None and literal is ImageVerdict):
        raise ValueError(f"{what} {shortened(value)}; valid: {', '.join(valid)}")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shortened(value)}; valid: a text")
    return _utf8(value)


def _text_if_any(value: Any, name: str) -> str | None:
    return None if value is None else _text(value, name)


def _names_if_any(value: Any, name: str) -> tuple[str, ...] | None:
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{name} is {shortened(value)}; valid: a list of texts")
    return None if value is None else tuple(_text(one, name) for one in value)


def _texts(value: Any, _name: str) -> dict[str, str]:
    return {_utf8(name): _utf8(text) for name, text in value.items()}


def _utf8(text: str) -> str:
    """Return a text, if it is one that can be written: JSON may hold halves of characters."""
    text.encode()
    return text


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "table": _text_if_any,
    "setup": _text,
    "baseline": _text,
    "device": _text,
    "versions": _texts,
    "speedup": _ratio,
    "low": _ratio,
    "high": _ratio,
    "floor": _number,
    "optimizations": _names_if_any,
    "baseline_optimizations": _names_if_any,
    "revision": _text_if_any,
}
"""Figure -> what returns its value, or raises if no history can be made of it."""


def _known(value: Any) -> str | None:
    return make_printable(value) if isinstance(value, str) and value else None


def _date(told: Any) -> str | None:
    """Return a date in UTC, ISO 8601, or None if it is no date.

    One without a time zone is in UTC, as pytest-benchmark wrote them once.
    """
    try:
        date = datetime.fromisoformat(told)
        return (date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)).isoformat()
    except (TypeError, ValueError, OverflowError):
        return None
