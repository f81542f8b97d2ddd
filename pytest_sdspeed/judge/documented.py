"""Does what is documented agree with what a generation asks of the documented device?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.claims import find_acknowledgement
from pytest_sdspeed.judge.memory import judge_memory
from pytest_sdspeed.model import UNITS, list_names

if TYPE_CHECKING:
    from pytest_sdspeed.model.accounts import Account
    from pytest_sdspeed.model.limits import Limit
    from pytest_sdspeed.model.tables import Row

_FUSING = frozenset({"compile", "compile_repeated_blocks", "traced_unet"})
"""Optimizations that let operations be fused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedJudgement:
    """What became of a documented row, beside its account.

    Attributes:
        latency_s: documented latency of one call, or of what else the recipe's unit is, or None.
        share: share of that latency that the limit explains: 1 is a device at its peaks. None if
            there is no limit or no latency of a call.
        memory_share: share of the baseline's peak memory, or None if that is unknown.
        errors: what contradicts the row; it fails.
        notes: what the row needs to be possible.
    """

    latency_s: float | None
    share: float | None
    memory_share: float | None = None
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def judge_documented(
    row: Row, account: Account, limit: Limit, baseline: Account | None = None
) -> DocumentedJudgement:
    """Hold a documented row against its account and the limit of the documented device.

    A latency fails below the certain limit alone, which no implementation beats. Between the two
    limits it is possible, and a note says by what. One that the row's notes call wrong, by a line
    ``limit: REASON``, is a note as well.

    Args:
        row: what is documented.
        account: what one call of the row asks for.
        limit: limit of that account on the table's device.
        baseline: account of the row's baseline, or None.
    """
    latency = None if row.latency_s is None else row.latency_s / row.recipe.repeats
    if not row.recipe.of_call:
        reason = f"it is that of {UNITS[row.recipe.unit]}, and limits are those of a whole call"
        limit = replace(limit, limit_s=None, reason=reason)
    found = _accept(row, _judge_latency(row, latency, limit))
    memory = judge_memory(account.peak_bytes, baseline.peak_bytes if baseline else None, row.memory)
    share = None if latency is None or limit.limit_s is None else limit.limit_s / latency
    return DocumentedJudgement(
        latency_s=latency,
        share=share,
        memory_share=memory.share,
        errors=tuple(filter(None, (found.error, memory.reason))),
        notes=tuple(filter(None, (found.note, memory.note))),
    )


class _Finding(NamedTuple):
    """What contradicts a latency, and what it needs to be possible; "" if nothing."""

    error: str = ""
    note: str = ""


def _accept(row: Row, found: _Finding) -> _Finding:
    """Return an error as a note if the row's own notes say why it is there."""
    reason = find_acknowledgement(row.notes, "limit") if found.error else ""
    return _Finding(note=f"{found.error}. Its table knows: {reason}") if reason else found


def _judge_latency(row: Row, latency: float | None, limit: Limit) -> _Finding:
    if latency is None:
        return _Finding()
    if limit.limit_s is None or limit.certain_s is None or limit.arithmetic_s is None:
        return _Finding(note=f"its latency was not held against a limit: {limit.reason}")
    calls = row.recipe.repeats
    said = f"documented {latency:.3g} s" + (f" (one of {calls} calls)" if calls > 1 else "")
    if latency < limit.certain_s:
        return _Finding(
            error=f"{said} on {limit.device} is impossible: its arithmetic takes at least"
            f" {limit.certain_s:.3g} s there, whatever computes it; either the latency or what the"
            " row says was drawn is wrong"
        )
    if latency < limit.arithmetic_s:
        return _Finding(
            note=f"{said} is less than its arithmetic takes on {limit.device} at the published"
            f" rate, {limit.arithmetic_s:.3g} s: possible only with a faster type than the row"
            " names (TF32 for float32), a faster algorithm for convolutions, or a clock above the"
            " published one"
        )
    if latency < limit.limit_s:
        compiles = bool(_FUSING & set(list_names(row.optimizations)))
        by = (
            "its compiler fuses operations"
            if compiles
            else "data stay in the GPU's cache between operations, or operations are fused, though"
            " the row does not compile"
        )
        return _Finding(
            note=f"{said} is less than its operations take one by one on {limit.device},"
            f" {limit.limit_s:.3g} s: possible only if {by}"
        )
    return _Finding()
