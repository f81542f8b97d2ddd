"""Devices: a latency that none reaches, and memory that none has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_sdspeed.dry.limits import compute_limit
from pytest_sdspeed.lint.counts import find_counts
from pytest_sdspeed.lint.printed import show
from pytest_sdspeed.model import UNITS
from pytest_sdspeed.model.costs import GIB
from pytest_sdspeed.model.devices import find_specs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.counts import Counts
    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.model.contradictions import Contradiction

_SIZE = re.compile(r"(\d+)\s*gb")
NO_COUNTS = "no counts of it are stored: --dry counts it"


def find_impossible_latencies(material: Material) -> Iterator[Contradiction]:
    """Find latencies under the certain limit of the device."""
    for entry in material.entries:
        seconds = entry.call_s
        if seconds is None:
            continue
        counts = find_counts(material.counts, entry.row)
        reason = _explain_no_limit(entry, counts)
        if reason or counts is None:
            material.pass_over("limit", entry, reason)
            continue
        limit = compute_limit(counts.account, entry.table.device, counts.precision)
        if limit.certain_s is None:
            material.pass_over("limit", entry, limit.reason)
        elif float(seconds.high) < limit.certain_s:
            yield entry.find(
                "limit",
                "latency_s",
                f"{show(seconds.value)} s a call, and its arithmetic takes at least"
                f" {limit.certain_s:.3g} s on {limit.device}, whatever computes it: either the"
                " latency or what the row says was drawn is wrong",
            )


def find_too_large(material: Material) -> Iterator[Contradiction]:
    """Find rows that need more memory than the device has."""
    for entry in material.entries:
        peak, counts = entry.figure("memory_gb"), find_counts(material.counts, entry.row)
        weights = counts.weight_bytes if counts and entry.row.gpus == 1 else None
        if peak is None and weights is None:
            if entry.row.latency_s is not None and not entry.table.recorded:
                material.pass_over("does-not-fit", entry, _explain_no_size(counts))
            continue
        size = _find_size(entry.table.device)
        if size is None:
            material.pass_over(
                "does-not-fit", entry, f"the memory of {entry.table.device!r} is not known here"
            )
            continue
        if peak and float(peak.low) > size:
            yield entry.find(
                "does-not-fit",
                "memory_gb",
                f"{peak} GB, and the largest {entry.table.device} has {size} GB",
            )
        elif weights and weights / GIB > size:
            yield entry.find(
                "does-not-fit",
                "",
                f"its weights alone take {weights / GIB:.1f} GB, counted, and the largest"
                f" {entry.table.device} has {size} GB",
            )


def _explain_no_limit(entry: Entry, counts: Counts | None) -> str:
    row = entry.row
    if not row.recipe.of_call:
        return f"it is {UNITS[row.recipe.unit]}, and limits are those of a whole call"
    if row.gpus > 1:
        return "it ran on several GPUs, and limits are those of one"
    if not find_specs(entry.table.device):
        return f"no published peaks of {entry.table.device!r} are known here"
    if counts is None:
        return f"this project cannot build it: {row.unsupported}" if row.unsupported else NO_COUNTS
    return counts.reason


def _explain_no_size(counts: Counts | None) -> str:
    if counts is None:
        return "it has no memory_gb, and no counts of it are stored"
    return counts.reason or "it has no memory_gb, and its weights are not known"


def _find_size(device: str) -> int | None:
    """Return the memory of the largest device that a name may mean, in GB, or None."""
    sizes = {
        size
        for spec in find_specs(device)
        for size in (spec.memory_gb, *_read_sizes(" ".join(spec.variants)))
    }
    named = set(_read_sizes(device)) & sizes
    return max(named or sizes, default=None)


def _read_sizes(text: str) -> Iterator[int]:
    yield from map(int, _SIZE.findall(text.lower()))
