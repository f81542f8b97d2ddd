"""What else used the processors while something was measured, as far as Linux tells.

Nothing here raises, and what is unknown is left out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUSY = 1.25
"""Load average over the number of processors, from which on it is worth a word: the process that
measures keeps all of them busy itself."""
_WORTH_SAYING = 0.01
"""Share of the processor time, or of the periods of a quota, from which on it is."""
_UNITS_OF_TIME = 8
"""Leading columns of the line ``cpu`` of /proc/stat that add up to all time: the last two, those of
guests, are counted among them (proc_stat(5)). The eighth is stolen time."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the system says at one moment; None is unknown.

    Attributes:
        stolen, ticks: processor time that the host gave to others, and all of it, in clock ticks.
        throttled, periods: periods in which the quota was used up, and all of them, for each group
            of processes that has a quota.
    """

    stolen: int | None = None
    ticks: int | None = None
    throttled: tuple[tuple[int, int], ...] = ()


class LoadWatch:
    """Reads the system now, and says later what happened since.

    Args:
        root: where the file system of the machine begins.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = self._read()

    def describe(self) -> str:
        """Describe what limited or disturbed the processors since then, or return ""."""
        after = self._read()
        said = (
            _describe_load(),
            self._describe_quota(),
            _describe_throttling(self._before, after),
            _describe_steal(self._before, after),
        )
        return "; ".join(filter(None, said))

    def _read(self) -> _Reading:
        stolen = ticks = None
        with suppress(OSError, ValueError, IndexError):
            first = (self._root / "proc/stat").read_text().splitlines()[0].split()
            taken = [int(column) for column in first[1 : 1 + _UNITS_OF_TIME]]
            stolen, ticks = taken[_UNITS_OF_TIME - 1], sum(taken)
        return _Reading(stolen, ticks, tuple(self._count_throttled()))

    def _count_throttled(self) -> Iterator[tuple[int, int]]:
        for group in _list_groups(self._root):
            with suppress(OSError, ValueError, KeyError):
                stat = dict(
                    line.split(maxsplit=1) for line in (group / "cpu.stat").read_text().splitlines()
                )
                yield int(stat["nr_throttled"]), int(stat["nr_periods"])

    def _describe_quota(self) -> str:
        quota, processors = read_quota(self._root), os.cpu_count()
        if quota is None or processors is None or quota >= processors:
            return ""
        return f"its container may use {quota:.3g} of {processors} processors"


def read_quota(root: Path = Path("/")) -> float | None:
    """Return how many processors this process's control groups may keep busy, if one has a quota.

    Args:
        root: where the file system of the machine begins.
    """
    quotas = (_read_quota(group) for group in _list_groups(root))
    return min((quota for quota in quotas if quota), default=None)


def _list_groups(root: Path) -> Iterator[Path]:
    """List the folders of this process's control groups, those of their parents after them.

    Inside a container the path may be that of the host, which is not there; the root of the mounted
    tree then is the container's own group.
    """
    text = ""
    with suppress(OSError):
        text = (root / "proc/self/cgroup").read_text()
    for line in text.splitlines():
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for tree in _find_trees(root / "sys/fs/cgroup", controllers):
            own = tree / path.lstrip("/")
            for folder in (own, *own.parents):
                if folder.is_dir():
                    yield folder
                if folder == tree:
                    break


def _find_trees(mount: Path, controllers: str) -> tuple[Path, ...]:
    """Return where groups are mounted: version 2 has no controllers here, version 1 ``cpu``."""
    if not controllers:
        return (mount, mount / "unified")
    if "cpu" not in controllers.split(","):
        return ()
    return (mount / controllers, mount / "cpu")


def _read_quota(group: Path) -> float | None:
    """Return how many processors a group may use, or None if it has no quota."""
    with suppress(OSError, ValueError):
        limit, period = (group / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    with suppress(OSError, ValueError):
        limit, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(limit) / int(period) if int(limit) > 0 else None
    return None


def _describe_load() -> str:
    processors = os.cpu_count()
    with suppress(OSError, AttributeError):
        load = os.getloadavg()[0]
        if processors and load > _BUSY * processors:
            return f"load average {load:.1f} on {processors} processors"
    return ""


def _describe_throttling(before: _Reading, after: _Reading) -> str:
    """Describe the group that was throttled most, if any was."""
    if len(before.throttled) != len(after.throttled):
        return ""
    grown = [
        (new[0] - old[0], new[1] - old[1])
        for old, new in zip(before.throttled, after.throttled, strict=True)
    ]
    throttled, periods = max(grown, default=(0, 0))
    if throttled <= 0 or throttled < _WORTH_SAYING * periods:
        return ""
    return f"its container used up its processor time in {throttled} of {periods} periods"


def _describe_steal(before: _Reading, after: _Reading) -> str:
    if before.stolen is None or before.ticks is None or after.stolen is None or after.ticks is None:
        return ""
    passed = after.ticks - before.ticks
    share = (after.stolen - before.stolen) / passed if passed > 0 else 0.0
    if share < _WORTH_SAYING:
        return ""
    return f"the host gave {share:.0%} of the processor time to others (steal)"
