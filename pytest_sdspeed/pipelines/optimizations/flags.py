"""The proof of optimizations that hold a flag of the process: it was on at the denoisers' calls."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.watching import find_denoisers, list_names, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def prove_flag(
    pipeline: Any, *, name: str, read: Callable[[], bool]
) -> Iterator[Callable[[], Finding]]:
    """Read a flag at every call of the denoisers.

    Args:
        pipeline: the finished pipeline.
        name: what the flag is called, for the reader.
        read: tells whether it is on.
    """
    denoisers, seen = find_denoisers(pipeline), list[bool]()

    def look(_name: str, call: Callable[[], Any]) -> Any:
        seen.append(read())
        return call()

    with watch_calls(denoisers, look):
        yield lambda: Finding(
            all(seen) if seen else None,
            f"{name} was on in {sum(seen)} of {len(seen)} calls of {list_names(denoisers)}",
        )
