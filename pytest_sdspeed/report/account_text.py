"""An account as text: its counts by stage, its places, and the limits of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.report.kinds import name_kind
from pytest_sdspeed.report.text import align_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.model.accounts import Account
    from pytest_sdspeed.model.limits import Limit

_ROWS = (
    ("operations", "operations"),
    ("host syncs", "host_syncs"),
    ("copies to the device", "host_to_device"),
    ("copies to the host", "device_to_host"),
    ("casts", "casts"),
    ("FLOPs", "flops"),
    ("read and written", "bytes_moved"),
    ("peak memory", "peak_bytes"),
    ("graph breaks", "graph_breaks"),
    ("recompilations", "recompilations"),
)
_MILLISECONDS_UNDER_S = 0.1
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def format_amount(value: float, unit: str = "") -> str:
    """Format a large number with four digits and the prefix of its thousands: ``18.58 T``."""
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.4g} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def format_seconds(seconds: float) -> str:
    """Format seconds with three digits, or milliseconds under a tenth of a second."""
    return f"{seconds:.3g} s" if seconds >= _MILLISECONDS_UNDER_S else f"{seconds * 1e3:.3g} ms"


def format_account(account: Account) -> list[str]:
    """Format the counts of a call, of its stages, and of one denoising step, as aligned lines."""
    columns: dict[str, Account] = {"call": account}
    columns |= {stage.replace("_", " "): part for stage, part in account.stages.items()}
    if account.per_step is not None:
        columns["one step"] = account.per_step
    rows = [["", *columns]]
    for label, name in _ROWS:
        values = [getattr(part, name) for part in columns.values()]
        if values[0] is not None:
            rows.append([label, *(_format_count(name, value) for value in values)])
    lines = align_cells(rows)
    if account.uneven_steps:
        names = ", ".join(name.replace("_", " ") for name in account.uneven_steps)
        lines.append(f"steps differ in {names}: one step has the most of any")
    return lines


def _format_count(name: str, value: int | None) -> str:
    if value is None:
        return "-"
    if name in {"bytes_moved", "peak_bytes"}:
        return format_amount(value, "B")
    return format_amount(value) if name == "flops" else f"{value:,}"


def format_weights(account: Account) -> str:
    """Format ``1,066,235,307 parameters, 2.132 GB of weights``; "" if there are none."""
    parameters = account.parameters
    said = [] if parameters is None else [f"{parameters:,} parameters"]
    if account.weight_bytes is not None:
        said.append(f"{format_amount(account.weight_bytes, 'B')} of weights")
    return ", ".join(said)


def format_places(account: Account) -> list[str]:
    """Format every line of code that made the host wait or copied, the most frequent first."""
    rows = [[f"{one.count:,}", name_kind(one.kind), str(one)] for one in account.places]
    return align_cells(rows) if rows else []


def format_limits(
    limits: Sequence[Limit], documented: Mapping[str, float] | None = None
) -> Iterator[str]:
    """Format the limits of devices as aligned lines; one that has none says why.

    Args:
        limits: those of one account.
        documented: name of a device -> documented latency of one call, seconds.
    """
    documented = documented or {}
    known = [limit for limit in limits if limit.limit_s is not None]
    if known:
        header = ["", "limit", "arithmetic", "traffic", "certain limit"]
        yield from align_cells(
            [
                header + (["documented", "explained"] if documented else []),
                *(_format_limit(limit, documented) for limit in known),
            ]
        )
    yield from dict.fromkeys(limit.reason for limit in limits if limit.limit_s is None)
    if limits and limits[0].host_s:
        yield (
            f"A host that starts the operations one by one takes about"
            f" {format_seconds(limits[0].host_s)} beside; compiled or replayed from CUDA graphs it"
            " does not, so that it is part of no limit."
        )


def _format_limit(limit: Limit, documented: Mapping[str, float]) -> list[str]:
    cells = [
        limit.device,
        *(
            "?" if seconds is None else format_seconds(seconds)
            for seconds in (limit.limit_s, limit.arithmetic_s, limit.traffic_s, limit.certain_s)
        ),
    ]
    if documented:
        latency = documented.get(limit.device)
        cells += (
            ["", ""]
            if latency is None or limit.limit_s is None
            else [format_seconds(latency), f"{limit.limit_s / latency:.0%}"]
        )
    return cells
