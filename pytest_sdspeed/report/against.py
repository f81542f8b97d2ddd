"""A comparison of two versions, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model.stages import order_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_sdspeed.model import AccountResult, Against, Result

COLUMNS = ("setup", "old", "new", "change", "stages", "pictures", "verdict")


def format_change(result: Result) -> str:
    """Format a change of latency: ``6.1% slower [5.4, 6.8]``.

    ``-0.2% [-0.6, 0.3]`` if the interval holds no change.
    """
    found, least, most = (
        100 * (1 / ratio - 1) for ratio in (result.speedup, result.high, result.low)
    )
    if least > 0:
        return f"{found:.1f}% slower [{least:.1f}, {most:.1f}]"
    if most < 0:
        return f"{-found:.1f}% faster [{-most:.1f}, {-least:.1f}]"
    return f"{found:+.1f}% [{least:.1f}, {most:.1f}]"


def format_stages(against: Against) -> str:
    """Format ``denoising +6.6%, decoding +0.1%`` in the order of stages; "" if unknown."""
    return ", ".join(
        f"{stage.replace('_', ' ')} {100 * (against.stages[stage] - 1):+.1f}%"
        for stage in order_stages(against.stages)
    )


def format_pictures(result: Result, against: Against, compared: str) -> str:
    """Say whether both sides drew the same.

    Args:
        result: result of the row.
        against: its other side.
        compared: picture metrics in words.
    """
    if against.identical is None or result.image_verdict == "fail":
        return compared
    return "identical" if against.identical else f"differ  {compared}".rstrip()


def describe_finding(result: Result, against: Against, compared: str) -> str:
    """Describe what became slower, faster or different than on the other side.

    ``fp16: 6.1% slower [5.4, 6.8] than main (3f2a1bc), denoising +6.6%; pictures identical``.
    """
    than = "than" if result.high < 1 or result.low > 1 else "against"
    where = ", ".join(
        filter(
            None,
            (
                f"{result.name}: {format_change(result)} {than} {against.label}",
                format_stages(against),
            ),
        )
    )
    seen = format_pictures(result, against, compared)
    return f"{where}; pictures {seen}" if seen else where


def describe_versions(results: Iterable[Result | AccountResult]) -> str:
    """Describe what differs between the sides: ``diffusers 0.41.0 -> 0.42.1``."""
    found: dict[str, None] = {}
    for result in results:
        if result.against is not None:
            found |= dict.fromkeys(_list_differences(result.against.versions, result.versions))
    return ", ".join(found)


def _list_differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old and old.get(name) != new.get(name):
            yield f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
