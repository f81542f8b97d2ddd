"""Results in words and in a terminal table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_sdspeed.model import Interval, Result

COLUMNS = ("setup", "latency", "speed-up", "documented", "floor", "pictures", "verdict")
_MILLISECONDS_UNDER_S = 0.1


def latency(seconds: float) -> str:
    """``1.93 s``, or milliseconds under a tenth of a second."""
    return f"{seconds * 1e3:.2f} ms" if seconds < _MILLISECONDS_UNDER_S else f"{seconds:.2f} s"


def ratio(value: float) -> str:
    """``x1.28``."""
    return f"x{value:.2f}"


def interval(low: float, high: float) -> str:
    """``[1.27, 1.29]``."""
    return f"[{low:.2f}, {high:.2f}]"


def pictures(image: Mapping[str, float]) -> str:
    """``PSNR 61  SSIM .999``, or nothing where none were compared."""
    parts = []
    if "psnr" in image:
        parts.append(f"PSNR {image['psnr']:.0f}")
    if "ssim" in image:
        parts.append(f"SSIM {image['ssim']:.3f}".replace("0.", ".", 1))
    return "  ".join(parts)


def row(result: Result) -> tuple[str, ...]:
    """A result as the cells of ``COLUMNS``."""
    if result.is_baseline:
        verdict = "invalid" if result.verdict == "invalid" else "-"
        return (result.setup, latency(result.latency_s), ratio(1.0), ratio(1.0), "", "", verdict)
    return (
        result.setup,
        latency(result.latency_s),
        f"{ratio(result.speedup)} {interval(result.low, result.high)}",
        ratio(result.expected),
        ratio(result.floor),
        pictures(result.image),
        result.verdict,
    )


def title(result: Result) -> str:
    """The line over a campaign's table, from any of its results."""
    measured = result.device + (f" ({result.weights} weights)" if result.weights else "")
    where = f"documented on {result.documented_on}, measured on {measured}" if result.documented_on else f"measured on {measured}"
    name = result.table or "callables"
    return f"sd speed-ups: {name}   {where}, {_control(result.control)}"


def _control(control: Interval | None) -> str:
    return f"A/A control {ratio(control.speedup)} {interval(control.low, control.high)}" if control else "no A/A control"


def campaigns(results: Iterable[Result]) -> list[list[Result]]:
    """Results grouped by table, device and baseline, baselines first, in order of appearance otherwise."""
    groups: dict[tuple[str | None, str | None, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.table, result.documented_on, result.baseline), []).append(result)
    return [sorted(group, key=lambda result: not result.is_baseline) for group in groups.values()]


def table(results: Sequence[Result]) -> list[str]:
    """A campaign's title and table as lines."""
    rows = [COLUMNS, *(row(result) for result in results)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(COLUMNS))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    blocks = max(result.blocks for result in results)
    return [f"{title(results[0])}, {blocks} blocks", *lines]


def message(result: Result) -> str:
    """What a test that does not pass says: measured, expected, interval, device, and what to do next."""
    documented = f"documented {ratio(result.expected)} on {result.documented_on}" if result.documented_on else f"expected {ratio(result.expected)}"
    measured = f"{result.setup} on {result.device}: {ratio(result.speedup)} {interval(result.low, result.high)} over {result.baseline}"
    facts = f"{measured}; {documented}, floor {ratio(result.floor)} (tolerance {result.tolerance:.0%}), {result.blocks} blocks."
    return " ".join([f"{result.verdict}: {facts}", *(f"{reason[:1].upper()}{reason[1:]}." for reason in result.reasons), *_next_steps(result)])


def _next_steps(result: Result) -> Iterable[str]:
    if result.verdict == "invalid":
        yield "Nothing can be said about the code: find what disturbs this machine and run again."
    elsewhere = result.documented_on not in (None, "cpu", result.device)
    if result.verdict == "fail" and result.image_verdict != "fail" and elsewhere:
        name = "".join(letter if letter.isalnum() else "-" for letter in result.device.lower()).strip("-")
        yield f'To gate this device on its own ratios: --sd-record {name}.toml, see README "Recording a reference".'
