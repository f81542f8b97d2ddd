"""Results in words and in a terminal table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.model import BASELINE, BOUNDS, UNITS, Interval
from pytest_sdspeed.model.numbers import number_or_nan
from pytest_sdspeed.report import against, rehearsal
from pytest_sdspeed.report.costs import list_cost_columns
from pytest_sdspeed.report.ranges import describe_ranges, list_ranges  # noqa: F401 - they are words of the table too

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pytest_sdspeed.model import History, Result
    from pytest_sdspeed.report.costs import CostColumn

COLUMNS = ("setup", "latency", "speed-up", "documented", "floor", "pictures", "verdict")
_MILLISECONDS_UNDER_S = 0.1
_ENDED = {"pass": "passed", "fail": "failed again"}


def format_latency(seconds: float) -> str:
    """Format ``1.93 s``, or milliseconds under a tenth of a second.

    ``?`` if it is unknown, as are all figures of a row that was lost.
    """
    unit, scale = choose_latency_unit(seconds)
    return "?" if math.isnan(seconds) else f"{seconds * scale:.2f} {unit}"


def choose_latency_unit(seconds: float) -> tuple[str, float]:
    """Return the unit that a latency is written in, and how many of it a second is."""
    return ("ms", 1e3) if seconds < _MILLISECONDS_UNDER_S else ("s", 1.0)


def format_ratio(value: float) -> str:
    """Format ``x1.28``; ``x?`` if it is unknown."""
    return "x?" if math.isnan(value) else f"x{value:.2f}"


def format_stored_interval(record: Mapping[str, Any]) -> str:
    """Format ``x1.31 [1.29, 1.33]`` of a stored record.

    Figures that are not finite are None there.
    """
    figures = (number_or_nan(record[name]) for name in ("speedup", "low", "high"))
    return str(Interval(*figures))


def format_tolerance(result: Result) -> str:
    """Format ``5%``, or ``5% or 1 ms``: a row fails if it is slower by more than both."""
    share, seconds = f"{100 * result.tolerance:.3g}%", result.tolerance_s
    if not seconds:
        return share
    unit, scale = choose_latency_unit(seconds)
    return f"{share} or {seconds * scale:.3g} {unit}"


def format_memory(size: int) -> str:
    """Format bytes as ``21.3 GiB``, or mebibytes under one of these."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def format_pictures(image: Mapping[str, float]) -> str:
    """Format ``PSNR 61  SSIM .999``, or nothing if none were compared.

    Arrays have ``max 0.012  cosine .9999``; registered metrics come last, by their names.
    """
    parts = []
    if "psnr" in image:
        parts.append(f"PSNR {image['psnr']:.0f}")
    if "ssim" in image:
        parts.append(f"SSIM {image['ssim']:.3f}".replace("0.", ".", 1))
    if "clip_drop" in image:
        parts.append(f"CLIP drop {image['clip_drop']:.3f}")
    if "temporal" in image:
        parts.append(f"motion {image['temporal']:.2g}")
    if "max_abs" in image:
        parts.append(f"max {image['max_abs']:.2g}")
    if "cosine" in image:
        parts.append(f"cosine {image['cosine']:.4f}".replace("0.", ".", 1))
    parts += [
        f"{name} {value:.3g}"
        for name, value in image.items()
        if name not in _OWN_METRICS and not name.startswith("control_")
    ]
    return "  ".join(parts)


_OWN_METRICS = {*BOUNDS, "clip", "clip_baseline"}


def list_proofs(results: Iterable[Result]) -> list[tuple[str, str]]:
    """List the setups whose optimizations were seen to act, and what was seen of each."""
    said = (
        (
            result.setup,
            "; ".join(
                f"{one.optimization} ({one.finding.text})"
                for one in result.proofs
                if one.finding.acted
            ),
        )
        for result in results
    )
    return list(dict.fromkeys((setup, words) for setup, words in said if words))


def describe_host_bound(result: Result) -> str:
    """Describe what holds a host-bound row up, and what helps."""
    busy = (result.telemetry or {})["busy_share"]
    return (
        f"the GPU was busy {busy:.0%} of the time: host-bound, try a larger batch, CUDA graphs or"
        " compile"
    )


def format_busy_share(result: Result) -> str:
    """Format the share of the time in which the GPU worked: ``84%``, ``54%, host-bound``.

    "" if it is unknown.
    """
    share = (result.telemetry or {}).get("busy_share")
    return "" if share is None else f"{share:.0%}{', host-bound' if result.host_bound else ''}"


def format_rate(result: Result) -> str:
    """Format the FLOPs a second, and their share of a large matrix product's rate if known.

    ``312 TFLOP/s, 48%``; "" if they are unknown.
    """
    known = result.telemetry or {}
    tflops, share = known.get("tflops"), known.get("ceiling_share")
    if tflops is None:
        return ""
    return _format_flops(tflops) + ("" if share is None else f", {share:.0%}")


def _format_flops(tera: float) -> str:
    return f"{tera:.3g} TFLOP/s" if tera >= 1 else f"{tera * 1e3:.3g} GFLOP/s"


def choose_columns(results: Sequence[Result]) -> tuple[str, ...]:
    """Return what the columns of a campaign's table are called."""
    if results[0].rehearsal:
        return rehearsal.COLUMNS
    if results[0].against:
        return against.COLUMNS
    return (*COLUMNS[:-1], *(column.name for column in list_cost_columns(results)), COLUMNS[-1])


def format_row(result: Result, costs: Sequence[CostColumn] = ()) -> tuple[str, ...]:
    """Format a result as the cells of ``choose_columns``.

    Args:
        result: result of a row.
        costs: columns on costs that its campaign's table has.
    """
    if result.rehearsal is not None:
        return rehearsal.format_row(result, result.rehearsal, format_pictures(result.image))
    cells = _format_cells(result)
    return (*cells[:-1], *(column.format(result) for column in costs), cells[-1])


def _format_cells(result: Result) -> tuple[str, ...]:
    if result.against is not None:
        return (
            result.name,
            format_latency(result.baseline_latency_s),
            format_latency(result.latency_s),
            against.format_change(result),
            against.format_stages(result.against),
            against.format_pictures(result, result.against, format_pictures(result.image)),
            result.verdict,
        )
    if result.is_baseline:
        return _format_baseline_row(
            result.name, result.latency_s, "-" if result.verdict == "pass" else result.verdict
        )
    return (
        result.name,
        format_latency(result.latency_s),
        str(result.interval),
        format_ratio(result.expected),
        format_ratio(result.floor),
        format_pictures(result.image),
        result.verdict,
    )


def _format_baseline_row(name: str, latency_s: float, verdict: str) -> tuple[str, ...]:
    return (name, format_latency(latency_s), format_ratio(1.0), format_ratio(1.0), "", "", verdict)


def list_rows(results: Sequence[Result]) -> list[tuple[tuple[str, ...], Result | None]]:
    """Return a campaign's results, each with its cells, the baseline's first.

    The baseline was measured even if no test asked for it.

    Tests of one row share a line. A baseline that no test asked for has cells, but no result.
    """
    found: dict[tuple[str, ...], Result | None] = {}
    first = results[0]
    costs = () if first.against or first.rehearsal else list_cost_columns(results)
    if not (first.is_baseline or first.against or first.rehearsal):
        # A row with the figures of another process has that process's baseline.
        own = next((result for result in results if result.confirmation is None), results[0])
        *cells, verdict = _format_baseline_row(own.baseline, own.baseline_latency_s, "-")
        found[(*cells, *[""] * len(costs), verdict)] = None
    for result in results:
        found.setdefault(format_row(result, costs), result)
    return list(found.items())


def format_rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Format a campaign's results as cells."""
    return [cells for cells, _ in list_rows(results)]


def format_heading(results: Sequence[Result]) -> str:
    """Write the line over a campaign's table."""
    other = results[0].against
    measured = "sd speed-ups" if other is None else f"sd against {other.label}"
    lead = "sd rehearsal" if results[0].rehearsal else measured
    return f"{lead}: {results[0].table or 'callables'}   {describe_circumstances(results)}"


def _name_table(of: Result | History) -> str:
    """Name the table, or if there is none, the test: ``callables of test_engine.py::test_fast``."""
    test = getattr(of, "test", None)
    return of.table or (f"callables of {test}" if test else "callables")


def describe_circumstances(results: Sequence[Result]) -> str:
    """Describe where a campaign was measured, over how many blocks, at which resolution.

    The blocks are those of the row that took most, the resolution that of the row that has least.
    """
    if results[0].rehearsal is not None:
        return rehearsal.describe_circumstances(results)
    least = max(results, key=lambda result: result.resolves or 0.0)
    documented = f"{name_origin(least)} on {least.documented_on}, " if least.documented_on else ""
    blocks = max(result.blocks for result in results)
    staged = " by stages" if any(result.by_stage for result in results) else ""
    where = f"{documented}measured on {describe_device(least)}, {blocks} blocks{staged}"
    if least.recipe is not None and not least.recipe.of_call:
        where += f", latency of {UNITS[least.recipe.unit]} alone"
    if least.against is not None:
        told = (where, against.describe_versions(results), f"floor -{format_tolerance(least)}")
        return ", ".join(filter(None, told))
    return f"{where}, {format_control(least.control)}{_describe_resolution(least)}"


def name_origin(result: Result) -> str:
    """Name where the expectation comes from."""
    if result.documented_on is None:
        return "expected"
    return "documented" if result.recorded_in is None else "recorded"


def name_campaign(results: Sequence[Result | History]) -> str:
    """Name a campaign among several of a table: ``attention, against vanilla_fp16_b4``."""
    table, baseline = _name_table(results[0]), results[0].baseline
    other = getattr(results[0], "against", None)
    if other is not None:
        return f"{table}, against {other.label}"
    return table if baseline == BASELINE else f"{table}, against {baseline}"


def describe_device(result: Result) -> str:
    """Format ``NVIDIA H200 (random weights)``."""
    return result.device + (f" ({result.weights} weights)" if result.weights else "")


def _describe_resolution(result: Result) -> str:
    """Describe what the blocks that the budget allows can tell, if a row's noise is known."""
    return (
        ""
        if result.resolves is None
        else f", at this noise {result.planned_blocks} blocks {describe_resolved(result.resolves)}"
    )


def describe_resolved(effect: float) -> str:
    """Describe the least effect that blocks resolve, as a fraction; beyond 100% it is no figure."""
    return f"resolve {effect:.1%}" if effect <= 1 else "tell a ratio from no other"


def format_control(found: Interval | None) -> str:
    """Format ``A/A control x1.00 [0.99, 1.01]``, and say so if it excludes 1."""
    if found is None:
        return "no A/A control"
    return f"A/A control {found}{' (excludes x1)' if found.excludes_one else ''}"


def group_by_campaign(results: Iterable[Result]) -> list[list[Result]]:
    """Group results by campaign.

    Baselines come first, the others in order of appearance.

    A campaign is known by its table, device, baseline and A/A control: a control that is printed
    over the rows of two campaigns would say nothing about one of them. Callables have a campaign
    for each test.
    """
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        told = (
            (result.documented_on, result.baseline, result.control)
            if result.against is None
            else (result.against.label,)
        )
        test = None if result.table else result.test
        groups.setdefault((result.table, test, result.device, *told), []).append(result)
    return [sorted(group, key=lambda result: not result.is_baseline) for group in groups.values()]


def describe_confirmations(results: Iterable[Result]) -> list[str]:
    """Describe what new processes said of the rows that failed in the first one, a line each."""
    return list(
        dict.fromkeys(
            _describe_confirmation(result, result.confirmation)
            for result in results
            if result.confirmation is not None
        )
    )


def collect_remarks(results: Sequence[Result]) -> list[str]:
    """Collect what else a reader should know.

    Rows that their host holds up, picture gates without power on rows that pass, and notes.

    Each with the setups it holds for, and with their tests if callables of several are among them.
    """
    several = len({result.test for result in results if not result.table}) > 1
    found: dict[str, dict[str, None]] = {}
    for result in results:
        powerless = result.verdict == "pass" and result.image_verdict == "powerless"
        lead = [f"the picture gate is powerless: {'; '.join(result.reasons)}"] if powerless else []
        lead += [describe_host_bound(result)] if result.host_bound and not result.too_slow else []
        said = (*lead, *result.notes)
        for remark in said:
            name = result.name if several else result.setup
            found.setdefault(remark, {})[name] = None
    return [f"{', '.join(setups)}: {remark}" for remark, setups in found.items()]


def _describe_confirmation(result: Result, other: Mapping[str, Any]) -> str:
    own: Mapping[str, Any] = {
        "speedup": result.speedup,
        "low": result.low,
        "high": result.high,
        "verdict": result.verdict,
    }
    first, second = (other, own) if result.verdict == "pass" else (own, other)
    said = _ENDED.get(str(second["verdict"]), second["verdict"])
    return (
        f"{result.name}: failed in the first process ({format_stored_interval(first)}),"
        f" {said} in a fresh one ({format_stored_interval(second)})"
    )


def format_table(results: Sequence[Result]) -> list[str]:
    """Format a campaign's title, table and confirmations as lines."""
    return [
        format_heading(results),
        *align_cells([choose_columns(results), *format_rows(results)]),
        *describe_confirmations(results),
    ]


def align_cells(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of equally many cells as lines, every column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows]


def format_progress(
    campaign: str, phase: str, arm: str, *, block: int, blocks: int, left_s: float | None
) -> str:
    """Format ``inference: block 3 of at most 20, fp16, 41 s left at most``.

    Phase and arm alone if ``block`` is 0.
    """
    if not block:
        return f"{campaign}: {phase}, {arm}" if arm else f"{campaign}: {phase}"
    left = "" if left_s is None else f", {max(left_s, 0):.0f} s left at most"
    return f"{campaign}: block {block} of at most {blocks}, {arm}{left}"
