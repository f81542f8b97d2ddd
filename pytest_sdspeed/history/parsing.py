"""From a stored run to the facts that a history keeps. Whatever a file holds, it is told what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, cast, get_args

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.history.facts import FileFacts, Kind, ResultFacts, RunFacts, Series
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.model import ImageVerdict, Verdict
from pytest_sdspeed.store.benchmark import EXTRA, RUN
from pytest_sdspeed.store.files import decoded, section
from pytest_sdspeed.store.records import SCHEMA, recipe_key

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_COMMIT = ("unversioned", "unknown")
"""What pytest-benchmark writes where it finds no commit."""


def file_facts(content: bytes, written: float) -> FileFacts:
    """What a file holds, whatever it is.

    Args:
        content: of the file.
        written: when, seconds since the epoch: the date of a run that does not tell its own.
    """
    try:
        stored, extras = decoded(content)
    except StoredRunError as error:
        return FileFacts(run=None, wrong=(("damaged", str(error)),))
    results, wrong = [], dict[Kind, str]()
    for name, extra in extras:
        if extra is None:
            continue
        schema = extra.get("schema") if isinstance(extra, dict) else None
        if schema != SCHEMA:
            wrong.setdefault("schema", f"schema {shortened(schema)} is not {SCHEMA}")
            continue
        if extra.get("against") is not None:
            # What two versions are to each other belongs to no level.
            continue
        try:
            results.append((series_facts(extra, name), _image_verdict(extra), result_facts(extra)))
        except StoredRunError as error:
            wrong.setdefault("record", _printable(f"{name}: {error}"))
    foreign = sum(extra is None for _, extra in extras)
    return FileFacts(run=run_facts(stored, written), results=tuple(results), wrong=tuple(wrong.items()), foreign=foreign)


def run_facts(stored: Mapping[str, Any], written: float) -> RunFacts:
    """What a stored run says of itself as a whole; what it does not say, or says in no sense, is unknown.

    Args:
        stored: ``machine_info``, ``commit_info`` and ``datetime``, as pytest-benchmark stores them.
        written: seconds since the epoch, where the run has no date.
    """
    machine, commit = section(stored, "machine_info"), section(stored, "commit_info")
    named, told = commit.get("id"), _date(stored.get("datetime"))
    return RunFacts(
        date=told or datetime.fromtimestamp(written, UTC).isoformat(),
        commit=None if named in _NO_COMMIT else _known(named),
        dirty=commit.get("dirty") is True,
        host=_known(machine.get("node")),
        dated=told is not None,
        id=_known(section(machine, EXTRA).get(RUN)),
    )


def series_facts(record: Mapping[str, Any], test: str) -> Series:
    """The series that a record belongs to.

    Args:
        record: what ``records.record`` made.
        test: the full name of the test that measured it.

    Raises:
        StoredRunError: it is damaged.
    """
    try:
        return Series(
            table=None if record["table"] is None else _text(record, "table"),
            setup=_text(record, "setup"),
            baseline=_text(record, "baseline"),
            device=_text(record, "device"),
            recipe=_printable(recipe_key(record["recipe"], test)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(error) from None


def result_facts(record: Mapping[str, Any]) -> ResultFacts:
    """What a history keeps of a record.

    Args:
        record: what ``records.record`` made; keys that came later may be missing, and may be there.

    Raises:
        StoredRunError: it is damaged.
    """
    try:
        return _result_facts(record)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _damaged(error) from None


def _result_facts(record: Mapping[str, Any]) -> ResultFacts:
    if record["verdict"] not in get_args(Verdict):
        raise ValueError(f"verdict {shortened(record['verdict'])}; valid: {', '.join(get_args(Verdict))}")
    samples_s = {arm: [[_positive(slot, "a slot") for slot in pair] for pair in pairs] for arm, pairs in record["samples_s"].items()}
    latency_s, baseline_latency_s = latencies(samples_s, record["setup"], record["baseline"])
    digest = hashlib.blake2b(json.dumps(samples_s, sort_keys=True).encode(), digest_size=8).digest()
    return ResultFacts(
        verdict=cast("Verdict", record["verdict"]),
        speedup=_ratio(record, "speedup"),
        low=_ratio(record, "low"),
        high=_ratio(record, "high"),
        latency_s=latency_s,
        baseline_latency_s=baseline_latency_s,
        reference=_is_reference(record),
        samples=int.from_bytes(digest, signed=True),
        versions={_utf8(name): _utf8(version) for name, version in record["versions"].items()},
        canary_s={_utf8(name): _mean(taken, name) for name, taken in (record.get("canary_s") or {}).items() if taken},
    )


def _is_reference(record: Mapping[str, Any]) -> bool:
    """Whether others may be compared with it: it passed, or failed by its speed alone."""
    if record["verdict"] == "pass":
        return True
    if record["setup"] == record["baseline"] or record["verdict"] != "fail" or _image_verdict(record) == "fail":
        return False
    # NaN is under no floor: an arm that broke has no ratio.
    return math.isfinite(_ratio(record, "speedup")) and _ratio(record, "high") < _number(record["floor"], "floor")


def _image_verdict(record: Mapping[str, Any]) -> str | None:
    verdict: Any = record.get("image_verdict")
    if verdict is not None and verdict not in get_args(ImageVerdict):
        raise StoredRunError(f"not a record of this plugin: image_verdict {shortened(verdict)}; valid: {', '.join(get_args(ImageVerdict))}")
    return cast("str | None", verdict)


def _ratio(record: Mapping[str, Any], name: str) -> float:
    """A ratio; NaN where it is unknown, which is stored as null."""
    return math.nan if record[name] is None else _positive(record[name], name)


def _mean(taken: Any, name: str) -> float:
    times_s = [_positive(seconds, f"canary {name}") for seconds in taken]
    return sum(times_s) / len(times_s)


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


def _text(record: Mapping[str, Any], name: str) -> str:
    if not isinstance(record[name], str):
        raise TypeError(f"{name} is {shortened(record[name])}; valid: a text")
    return _utf8(record[name])


def _utf8(text: str) -> str:
    """A text, if it is one that can be written: JSON may hold halves of characters."""
    text.encode()
    return text


def _known(value: Any) -> str | None:
    return _printable(value) if isinstance(value, str) and value else None


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _date(told: Any) -> str | None:
    """A date in UTC, ISO 8601; one without a time zone is in UTC, as pytest-benchmark wrote them once. None where it is no date."""
    try:
        date = datetime.fromisoformat(told)
        return (date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)).isoformat()
    except (TypeError, ValueError, OverflowError):
        return None


def _damaged(error: Exception) -> StoredRunError:
    return StoredRunError(f"not a record of this plugin: {type(error).__name__}: {error}")
