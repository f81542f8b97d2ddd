"""Optimizations that compile, trace or replay modules."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Finding
from pytest_sdspeed.model.machine import COUNTS_ONLY
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_cuda
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, TEXT_ENCODERS
from pytest_sdspeed.pipelines.watching import find_denoisers, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pytest_sdspeed.model import Machine, Recipe

_TRITON = {
    "cuda": "a CUDA GPU: pip install triton",
    "xpu": "an XPU: install the pytorch-triton-xpu of this torch",
}
"""Kind of device that torch compiles for by Triton -> its name, and where Triton comes from."""
_COMPILED = (DENOISERS, AUTOENCODER)


def _check_compile(
    machine: Machine, *, backend: str = "inductor", owner: str = "compile", **_options: Any
) -> str | None:
    if COUNTS_ONLY in machine.features or backend != "inductor":
        return None
    if machine.kind in _TRITON and not find_spec("triton"):
        return f"{owner} needs Triton on {_TRITON[machine.kind]}"
    names = (
        ("g++", "clang++", "c++")
        if machine.kind == "cpu"
        else (os.environ.get("CC", "gcc"), "gcc", "clang", "cc")
    )
    return (
        None
        if any(map(shutil.which, names))
        else f"{owner} needs a C and C++ compiler: install gcc and g++"
    )


def _apply_compile(
    pipeline: Any,
    _recipe: Recipe,
    *,
    mode: str | None,
    fullgraph: bool,
    dynamic: bool,
    parts: Any,
    backend: str,
) -> None:
    import torch

    from pytest_sdspeed.pipelines.compiled import compile_parts

    # Autotuned matrix kernels and CUDA graphs pay on a GPU. On a CPU autotuning only lengthens the
    # compilation, and there are no CUDA graphs.
    own = "max-autotune" if pipeline.device.type == "cuda" else "default"
    # Dynamo shares what it learns about shapes between all UNets of a process: another batch size
    # must not make this one dynamic, unless it is asked to.
    compiler = partial(
        torch.compile,
        mode=(mode or own) if backend == "inductor" else mode,
        dynamic=dynamic,
        fullgraph=fullgraph,
        backend=backend,
    )
    compile_parts(pipeline, _list_parts(parts), compiler)


def _prove_compile(
    pipeline: Any, *, parts: Any, **_options: Any
) -> AbstractContextManager[Callable[[], Finding]]:
    """Profile the first call of every part, for runs of compiled code."""
    from pytest_sdspeed.pipelines.compiled import prove_compiled

    return prove_compiled(pipeline, _list_parts(parts))


def _list_parts(parts: Any) -> tuple[str, ...]:
    """Return the names that the option ``parts`` gives: none is denoisers and autoencoder."""
    if parts is None:
        return _COMPILED
    return (parts,) if isinstance(parts, str) else tuple(parts)


def _apply_compile_blocks(pipeline: Any, _recipe: Recipe, **options: Any) -> None:
    from pytest_sdspeed.pipelines.compiled import compile_blocks

    given = {name: value for name, value in options.items() if value is not None}
    for name, part in find_denoisers(pipeline).items():
        compile_blocks(part, name, **given)


def _prove_compile_blocks(
    pipeline: Any, **_options: Any
) -> AbstractContextManager[Callable[[], Finding]]:
    """Profile the first call of every denoiser, for runs of compiled code."""
    from pytest_sdspeed.pipelines.compiled import prove_compiled

    return prove_compiled(pipeline, (DENOISERS,))


def _apply_cuda_graphs(pipeline: Any, _recipe: Recipe) -> None:
    from pytest_sdspeed.pipelines.graphed import graph_denoisers

    graph_denoisers(pipeline)


@contextmanager
def _prove_cuda_graphs(pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Count the calls that were replayed from graphs."""
    from pytest_sdspeed.pipelines.graphed import count_replays

    before = count_replays(pipeline)
    after: list[int] = []
    yield lambda: Finding(after[0] > before, f"{after[0] - before} calls were replayed from graphs")
    after.append(count_replays(pipeline))


def _apply_traced_unet(pipeline: Any, recipe: Recipe) -> None:
    from pytest_sdspeed.pipelines.traced import trace_unet

    pipeline.unet = trace_unet(pipeline, recipe)


@contextmanager
def _prove_traced_unet(pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Count the calls of the traced UNet."""
    calls: list[str] = []

    def look(name: str, call: Callable[[], Any]) -> Any:
        calls.append(name)
        return call()

    traced = getattr(pipeline.unet, "traced", None)
    with watch_calls({} if traced is None else {"unet": traced}, look):
        yield lambda: Finding(bool(calls), f"the traced UNet was called {len(calls)} times")


OPTIMIZATIONS = (
    Optimization(
        name="compile",
        summary="torch.compile of denoisers and autoencoder, or of the parts that are named",
        options={
            "mode": None,
            "fullgraph": False,
            "dynamic": False,
            "parts": None,
            "backend": "inductor",
        },
        supported=_check_compile,
        changes=frozenset({DENOISERS, TEXT_ENCODERS, AUTOENCODER}),
        apply=_apply_compile,
        prove=_prove_compile,
    ),
    Optimization(
        name="compile_repeated_blocks",
        summary="torch.compile of a denoiser's repeated blocks, once for all of them",
        options={"mode": None, "fullgraph": True, "dynamic": None},
        supported=partial(_check_compile, owner="compile_repeated_blocks"),
        changes=frozenset({DENOISERS}),
        apply=_apply_compile_blocks,
        prove=_prove_compile_blocks,
    ),
    Optimization(
        name="cuda_graphs",
        summary="calls of the denoisers replayed from CUDA graphs, for those who do not compile",
        supported=lambda machine: require_cuda("cuda_graphs", machine),
        changes=frozenset({DENOISERS}),
        apply=_apply_cuda_graphs,
        prove=_prove_cuda_graphs,
    ),
    Optimization(
        name="traced_unet",
        summary="UNet traced to TorchScript",
        changes=frozenset({DENOISERS}),
        apply=_apply_traced_unet,
        prove=_prove_traced_unet,
    ),
)
