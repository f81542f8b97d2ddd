"""Where workers measure: GPUs and cores that no two of them share."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import DistributedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOCAL = "this host"
_TOPOLOGY = Path("/sys/devices/system/cpu")
_TASKS = Path("/proc/self/task")


class Placement(NamedTuple):
    """A worker's place among the workers of its host.

    Attributes:
        host: what tells hosts apart; ``LOCAL`` is the controller's own.
        number: from 0.
        workers: of that host.
    """

    host: str
    number: int
    workers: int


def place_workers(specs: Iterable[Any]) -> list[Placement]:
    """The seat of every worker, in their order.

    Args:
        specs: execnet's ``XSpec`` of each.
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


def visible_gpus(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Every GPU this process may use, as ``CUDA_VISIBLE_DEVICES`` names it; no CUDA context is created.

    CUDA shows one process one MIG slice at most, however many are named: each named slice counts.
    """
    import torch

    count = torch.cuda.device_count()
    if VISIBLE not in environ:
        return [str(index) for index in range(count)]
    named = [name.strip() for name in environ[VISIBLE].split(",")]
    return [
        name
        for place, name in enumerate(named)
        if name and (place < count or name.startswith("MIG-"))
    ]


def assign_gpus(specs: Sequence[Any], local_gpus: Callable[[], Sequence[str]]) -> None:
    """Let every worker see one GPU, by the environment it starts with. Workers whose spec names one keep it.

    Args:
        specs: execnet's ``XSpec`` of each worker.
        local_gpus: asked for this host's GPUs where workers of this host need one. On other hosts
            they are numbered from 0.

    Raises:
        DistributedError: there are more local workers than GPUs.
    """
    open_ = [spec for spec in specs if VISIBLE not in spec.env]
    taken = {spec.env[VISIBLE] for spec in specs if VISIBLE in spec.env and _host(spec) == LOCAL}
    for spec, seat in zip(open_, place_workers(open_), strict=True):
        if seat.host != LOCAL:
            spec.env[VISIBLE] = str(seat.number)
            continue
        free = [gpu for gpu in local_gpus() if gpu not in taken]
        if seat.workers > len(free):
            raise DistributedError(
                f"{seat.workers} workers for {_counted(len(free), 'visible GPU')}: two on one would"
                f" disturb each other: run with -n {max(1, len(free))} or -n auto"
            )
        spec.env[VISIBLE] = free[seat.number]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# Cores


def cores(allowed: Collection[int], siblings: Callable[[int], str]) -> list[tuple[int, ...]]:
    """Processors by core: hyper-threads that share a core are one.

    Args:
        allowed: numbers of the processors this process may use.
        siblings: processor -> the processors of its core as Linux lists them (``0,4`` or ``0-1``),
            "" where that is unknown: it is then a core of its own.
    """
    found: dict[int, list[int]] = {}
    for processor in sorted(allowed):
        found.setdefault(min({processor, *_listed(siblings(processor))}), []).append(processor)
    return [tuple(core) for core in found.values()]


def _listed(text: str) -> Iterable[int]:
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def share(found: Sequence[tuple[int, ...]], seat: Placement) -> Sequence[tuple[int, ...]]:
    """A worker's cores: as many for each, so that what they measure compares, and neighbors.

    Raises:
        DistributedError: there are fewer cores than workers.
    """
    each = len(found) // seat.workers
    if not each:
        processors = sum(map(len, found))
        threads = (
            ""
            if processors == len(found)
            else f" ({processors} processors: hyper-threads share a core)"
        )
        raise DistributedError(
            f"{seat.workers} workers for {_counted(len(found), 'core')}{threads}: two on one would"
            f" disturb each other: run with -n {len(found)} or fewer"
        )
    return found[seat.number * each :][:each]


def pin(seat: Placement) -> str:
    """Keep this process to its cores, every thread it has and will have, with one thread of torch for each core.

    A process that it starts has the same cores and as many threads.

    Returns:
        What was done, in words.

    Raises:
        DistributedError: there are too few cores, or this system does not pin.
    """
    if not hasattr(os, "sched_setaffinity") or not _TASKS.is_dir():
        raise DistributedError(
            "workers cannot be pinned to cores on this system, and would disturb each other: run"
            " without -n"
        )
    mine = share(cores(os.sched_getaffinity(0), _siblings), seat)
    for task in _TASKS.iterdir():
        # A thread may end meanwhile.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {processor for core in mine for processor in core})
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(len(mine))
    import torch

    torch.set_num_threads(len(mine))
    return (
        f"measured by one of {_counted(seat.workers, 'worker')}, on {_counted(len(mine), 'core')}"
        " of its own"
    )


def _siblings(processor: int) -> str:
    try:
        return (_TOPOLOGY / f"cpu{processor}" / "topology" / "thread_siblings_list").read_text(
            encoding="ascii"
        )
    except OSError:
        return ""
