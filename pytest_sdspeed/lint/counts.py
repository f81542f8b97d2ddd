"""What rows ask of a device, counted before and stored: limits need no dry run then.

``counts.json`` has an object for each row that was counted, by ``TABLE/SETUP``. Its ``fingerprint``
is of what the row generates and how: a row whose recipe or stack was changed has another one, so
that no stale count is ever used. Rows of several tables that are the same but for their device have
the same, and one object serves them all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.accounts import Account, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model import Row

COUNTS = Path(__file__).with_name("counts.json")
_WITHOUT_WEIGHT = ("seed", "more_prompts", "repeats", "unit")
"""Fields of a recipe that change nothing of what one call asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one call of a row asks of a device.

    Attributes:
        fingerprint: of the row that was counted, see ``fingerprint``.
        work: operations by their sizes.
        peak_bytes: most bytes that are held on the device at once, or None if that is unknown.
        weight_bytes: bytes of the weights on the device before the call, or None.
        parameters: numbers in the weights of the pipeline, or None.
        parts: role of a part, such as ``denoiser`` -> numbers in its weights.
        precision: type in which float32 matrix products run, as ``dry.limits.compute_limit`` takes
            it; "" for that of the weights.
        reason: why the row could not be counted, or "". Such counts have no figures.
    """

    fingerprint: str
    work: tuple[Work, ...] = ()
    peak_bytes: int | None = None
    weight_bytes: int | None = None
    parameters: int | None = None
    parts: Mapping[str, int] = field(default_factory=dict, hash=False)
    precision: str = ""
    reason: str = ""

    @classmethod
    def of(
        cls,
        row: Row,
        account: Account,
        precision: str = "",
        parts: Mapping[str, int] | None = None,
    ) -> Counts:
        """Keep of an account what is stored.

        Args:
            row: what was counted.
            account: of one call of it.
            precision: see ``Counts``.
            parts: see ``Counts``.
        """
        return cls(
            fingerprint=fingerprint(row),
            work=account.work,
            peak_bytes=account.peak_bytes or None,
            weight_bytes=account.weight_bytes,
            parameters=account.parameters,
            parts=parts or {},
            precision=precision,
        )

    @property
    def account(self) -> Account:
        """Return the counts as ``dry.limits.compute_limit`` takes them."""
        return Account(
            operations=sum(one.count for one in self.work),
            flops=sum(one.flops * one.count for one in self.work),
            bytes_moved=sum(one.bytes_moved * one.count for one in self.work),
            peak_bytes=self.peak_bytes or 0,
            weight_bytes=self.weight_bytes,
            parameters=self.parameters,
            work=self.work,
        )


def fingerprint(row: Row) -> str:
    """Return a mark of what a row generates and of its stack, 16 hexadecimal digits."""
    recipe = {
        one.name: value
        for one in fields(row.recipe)
        if (value := getattr(row.recipe, one.name)) not in (None, {}, ())
        and one.name not in _WITHOUT_WEIGHT
    }
    written = json.dumps([recipe, row.optimizations], sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


@cache
def load_counts() -> Mapping[str, Counts]:
    """Return the stored counts: fingerprint -> counts; empty if there is no file of them."""
    if not COUNTS.is_file():
        return {}
    stored = json.loads(COUNTS.read_text(encoding="utf-8"))
    return {one["fingerprint"]: _read(one) for one in stored.values()}


def find_counts(counts: Mapping[str, Counts], row: Row) -> Counts | None:
    """Return what a row asks of a device, or None if it was not counted.

    The stack of a row that cannot be built is not all that it does: counts of the same stack are
    those of another row.

    Args:
        counts: fingerprint -> counts, as ``load_counts`` returns them.
        row: the row.
    """
    return None if row.unsupported else counts.get(fingerprint(row))


def dump_counts(counts: Mapping[str, Counts]) -> str:
    """Write counts as JSON, one line each.

    Args:
        counts: ``TABLE/SETUP`` -> counts.
    """
    lines = (f"{json.dumps(name)}: {_write(one)}" for name, one in sorted(counts.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _write(counts: Counts) -> str:
    facts: dict[str, Any] = {
        "fingerprint": counts.fingerprint,
        "weight_bytes": counts.weight_bytes,
        "peak_bytes": counts.peak_bytes,
        "parameters": counts.parameters,
        "parts": dict(counts.parts),
        "precision": counts.precision,
        "reason": counts.reason,
        "work": [
            [one.operation, one.dtype, one.flops, one.bytes_moved, one.count] for one in counts.work
        ],
    }
    known = {name: value for name, value in facts.items() if value or name == "fingerprint"}
    return json.dumps(known, separators=(",", ":"))


def _read(stored: Mapping[str, Any]) -> Counts:
    work = tuple(Work(*one) for one in stored.get("work", ()))
    return Counts(**{**stored, "work": work})
