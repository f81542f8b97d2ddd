"""Optimizations that compile, trace or replay modules."""

from __future__ import annotations

import os
import shutil
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.machine import COUNTS_ONLY
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_cuda

if TYPE_CHECKING:
    from pytest_sdspeed.model import Machine, Recipe

_TRITON = {
    "cuda": "a CUDA GPU: pip install triton",
    "xpu": "an XPU: install the pytorch-triton-xpu of this torch",
}
"""Kind of device that torch compiles for by Triton -> its name, and where Triton comes from."""


def _check_compile(machine: Machine) -> str | None:
    if COUNTS_ONLY in machine.features:
        return None
    if machine.kind in _TRITON and not find_spec("triton"):
        return f"compile needs Triton on {_TRITON[machine.kind]}"
    names = (
        ("g++", "clang++", "c++")
        if machine.kind == "cpu"
        else (os.environ.get("CC", "gcc"), "gcc", "clang", "cc")
    )
    return (
        None
        if any(map(shutil.which, names))
        else "compile needs a C and C++ compiler: install gcc and g++"
    )


def _apply_compile(pipeline: Any, _recipe: Recipe) -> None:
    import torch

    from pytest_sdspeed.pipelines.unet_wrapper import wrap_compiled

    # Autotuned matrix kernels and CUDA graphs pay on a GPU. On a CPU autotuning only lengthens the
    # compilation, and there are no CUDA graphs.
    mode = "max-autotune" if pipeline.device.type == "cuda" else "default"
    # Dynamo shares what it learns about shapes between all UNets of a process: another batch size
    # must not make this one dynamic.
    compiler = partial(torch.compile, mode=mode, dynamic=False)
    pipeline.unet = wrap_compiled(pipeline.unet, compiler)
    pipeline.vae.decode = compiler(pipeline.vae.decode)


def _apply_cuda_graphs(pipeline: Any, _recipe: Recipe) -> None:
    from pytest_sdspeed.pipelines.unet_wrapper import wrap_graphed

    pipeline.unet = wrap_graphed(pipeline.unet)


def _apply_traced_unet(pipeline: Any, recipe: Recipe) -> None:
    from pytest_sdspeed.pipelines.traced import trace_unet

    pipeline.unet = trace_unet(pipeline, recipe)


OPTIMIZATIONS = (
    Optimization(
        name="compile",
        summary="torch.compile of UNet and autoencoder",
        supported=_check_compile,
        changes=frozenset({"unet", "vae"}),
        apply=_apply_compile,
    ),
    Optimization(
        name="cuda_graphs",
        summary="calls of the UNet replayed from CUDA graphs, for those who do not compile",
        supported=lambda machine: require_cuda("cuda_graphs", machine),
        apply=_apply_cuda_graphs,
    ),
    Optimization(
        name="traced_unet",
        summary="UNet traced to TorchScript",
        changes=frozenset({"unet"}),
        apply=_apply_traced_unet,
    ),
)
