"""Projections of attention computed as one."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.attention_modules import list_fused
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, find_parts, list_components
from pytest_sdspeed.pipelines.watching import find_denoisers, is_opaque, list_names, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Recipe


def _fuse_qkv(pipeline: Any, _recipe: Recipe) -> None:
    """Fuse what can be fused in denoisers and autoencoder.

    Raises:
        RegistrationError: no part has the method.
    """
    components = list_components(pipeline)
    names = (*find_denoisers(pipeline), *find_parts(AUTOENCODER, components))
    able = [name for name in names if hasattr(components[name], "fuse_qkv_projections")]
    if not able:
        raise RegistrationError(
            f"fuse_qkv: {list_names(names)} has no fuse_qkv_projections in this version of"
            " diffusers: pip install -U diffusers"
        )
    for name in able:
        components[name].fuse_qkv_projections()


@contextmanager
def _prove_fused(pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Count the calls of fused projections, or where calls cannot be seen, the projections."""
    denoisers = find_denoisers(pipeline)
    fused = {
        f"{name}.{path}": module
        for name, part in denoisers.items()
        for path, module in list_fused(part).items()
    }
    traced = sum(getattr(part, "fused_when_traced", 0) for part in denoisers.values())
    seen = not any(map(is_opaque, denoisers.values()))
    calls: Counter[str] = Counter()

    def look(name: str, call: Callable[[], Any]) -> Any:
        calls[name] += 1
        return call()

    with watch_calls(fused if seen else {}, look):
        yield lambda: _judge_fused(
            list_names(denoisers), len(fused) + traced, calls if seen else None
        )


def _judge_fused(names: str, fused: int, calls: Counter[str] | None) -> Finding:
    if not fused:
        return Finding(
            acted=False, text=f"{names} has no attention whose projections diffusers can fuse"
        )
    if calls is None:
        return Finding(acted=True, text=f"{names} has {fused} fused projections")
    return Finding(bool(calls), f"{len(calls)} of {fused} fused projections of {names} were called")


_FUSED_QKV = Optimization(
    name="fused_qkv",
    summary="query, key and value projections as one",
    changes=frozenset({DENOISERS, AUTOENCODER}),
    apply=_fuse_qkv,
    prove=_prove_fused,
)
OPTIMIZATIONS = (
    _FUSED_QKV,
    replace(_FUSED_QKV, name="fuse_qkv", summary="the same as fused_qkv, by the name of its call"),
)
