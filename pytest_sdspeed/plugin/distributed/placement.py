"""Where workers measure: GPUs and cores that no two of them share."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.device.accelerator import find_kind, find_module
from pytest_sdspeed.device.load import read_quota
from pytest_sdspeed.errors import DistributedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
_VISIBLE = {"xpu": "ZE_AFFINITY_MASK"}
"""Kind of accelerator -> the variable that says which of them a process sees, if not ``VISIBLE``,
which ROCm obeys too."""
LOCAL = "this host"
_TOPOLOGY = Path("/sys/devices/system/cpu")
_TASKS = Path("/proc/self/task")


class Placement(NamedTuple):
    """A worker's place among the workers of its host.

    Attributes:
        host: address of the host; ``LOCAL`` is the controller's own.
        number: number of the worker on its host, from 0.
        workers: how many workers its host has.
    """

    host: str
    number: int
    workers: int


def place_workers(specs: Iterable[Any]) -> list[Placement]:
    """Place every worker, in their order.

    Args:
        specs: execnet's ``XSpec`` of each worker.
    """
    hosts = [_host(spec) for spec in specs]
    return [
        Placement(host, hosts[:place].count(host), hosts.count(host))
        for place, host in enumerate(hosts)
    ]


def _host(spec: Any) -> str:
    address = spec.via or spec.ssh or spec.vagrant_ssh or str(spec.socket or "").rpartition(":")[0]
    return str(address or LOCAL)


# GPUs


def find_variable() -> str:
    """Return the variable that says which GPUs a process sees: that of CUDA if torch has none."""
    return _VISIBLE.get(find_kind() or "cuda", VISIBLE)


def visible_gpus(environ: Mapping[str, str] = os.environ) -> list[str]:
    """List the GPUs that this process may use, as their variable names them.

    No CUDA context is created. CUDA shows a process one MIG slice at most, however many are named:
    each named slice counts.
    """
    variable = find_variable()
    count = find_module(find_kind() or "cuda").device_count()
    if variable not in environ:
        return [str(index) for index in range(count)]
    named = [name.strip() for name in environ[variable].split(",")]
    return [
        name
        for place, name in enumerate(named)
        if name and (place < count or name.startswith("MIG-"))
    ]


def assign_gpus(
    specs: Sequence[Any], local_gpus: Callable[[], Sequence[str]], variable: str = VISIBLE
) -> None:
    """Let every worker see one GPU, by the environment that it starts with.

    A worker whose spec names a GPU keeps it.

    Args:
        specs: execnet's ``XSpec`` of each worker.
        local_gpus: lists this host's GPUs; called only if a worker of this host needs one. Other
            hosts' GPUs are numbered from 0.
        variable: names the GPUs that a worker sees.

    Raises:
        DistributedError: there are more local workers than GPUs.
    """
    open_ = [spec for spec in specs if variable not in spec.env]
    taken = {spec.env[variable] for spec in specs if variable in spec.env and _host(spec) == LOCAL}
    for spec, placement in zip(open_, place_workers(open_), strict=True):
        if placement.host != LOCAL:
            spec.env[variable] = str(placement.number)
            continue
        free = [gpu for gpu in local_gpus() if gpu not in taken]
        if not free:
            raise DistributedError(
                f"{_format_count(placement.workers, 'worker')} without a GPU, and none is left:"
                " name fewer workers"
            )
        if placement.workers > len(free):
            raise DistributedError(
                f"{placement.workers} workers share {_format_count(len(free), 'GPU')}: use"
                f" -n {len(free)}"
            )
        spec.env[variable] = free[placement.number]


def _format_count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# Cores


def cores(allowed: Collection[int], siblings: Callable[[int], str]) -> list[tuple[int, ...]]:
    """Group processors by core: hyper-threads share one.

    Args:
        allowed: numbers of the processors that this process may use.
        siblings: processor -> the processors of its core as Linux lists them (``0,4`` or ``0-1``);
            "" if that is unknown: the processor is then taken for a core.
    """
    found: dict[int, list[int]] = {}
    for processor in sorted(allowed):
        found.setdefault(min({processor, *_parse_list(siblings(processor))}), []).append(processor)
    return [tuple(core) for core in found.values()]


def _parse_list(text: str) -> Iterable[int]:
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def share(
    found: Sequence[tuple[int, ...]], placement: Placement, quota: float | None = None
) -> Sequence[tuple[int, ...]]:
    """Return a worker's cores: neighbors, and as many for every worker, so that figures compare.

    Args:
        found: the processors of each core.
        placement: place of the worker.
        quota: how many processors the container may keep busy, or None if it has no quota. A worker
            has a thread for each core.

    Raises:
        DistributedError: there are fewer cores than workers.
    """
    processors = sum(map(len, found))
    why = (
        ""
        if processors == len(found)
        else f" ({processors} processors: hyper-threads share a core)"
    )
    if quota is not None and quota < len(found):
        why = f" ({len(found)}, of which this container's quota keeps {quota:.3g} busy)"
        found = found[: max(1, int(quota))]
    each = len(found) // placement.workers
    if not each:
        raise DistributedError(
            f"{placement.workers} workers share {_format_count(len(found), 'core')}{why}: use"
            f" -n {len(found)} or fewer"
        )
    return found[placement.number * each :][:each]


def pin(placement: Placement) -> str:
    """Pin every thread of this process, now and later, to its cores: a thread of torch for each.

    Processes that it starts get the same cores and as many threads.

    Returns:
        A note that says so.

    Raises:
        DistributedError: there are too few cores, or this system cannot pin.
    """
    if not hasattr(os, "sched_setaffinity") or not _TASKS.is_dir():
        raise DistributedError(
            "workers cannot be pinned to cores on this system, and would disturb each other: run"
            " without -n"
        )
    mine = share(cores(os.sched_getaffinity(0), _siblings), placement, read_quota())
    for task in _TASKS.iterdir():
        # A thread may have ended since it was listed.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {processor for core in mine for processor in core})
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(len(mine))
    # If it is imported later it reads these variables; callables without torch do not pay for it.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(len(mine))
    return (
        f"measured by one of {_format_count(placement.workers, 'worker')}, on"
        f" {_format_count(len(mine), 'core')} of its own"
    )


def _siblings(processor: int) -> str:
    try:
        return (_TOPOLOGY / f"cpu{processor}" / "topology" / "thread_siblings_list").read_text(
            encoding="ascii"
        )
    except OSError:
        return ""
