"""Optimizations of how convolutions lie in memory, and of how their kernels are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_cuda

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def _hold_cudnn_benchmark() -> AbstractContextManager[None]:
    return hold({"torch.backends.cudnn.benchmark": True})


OPTIMIZATIONS = (
    Optimization(
        name="channels_last",
        summary="UNet and autoencoder in channels-last memory format",
        memory_format="channels_last",
    ),
    Optimization(
        name="cudnn_benchmark",
        summary="cuDNN picks its fastest convolution by trying",
        supported=lambda machine: require_cuda("cudnn_benchmark", machine),
        slot=_hold_cudnn_benchmark,
    ),
)
