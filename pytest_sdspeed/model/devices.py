"""Published peaks of GPUs: floating-point operations and bytes per second.

Figures are dense (no structured sparsity), in TFLOP/s and GB/s. Half-precision figures are those
with float32 accumulation, which PyTorch asks for. A device that is not here has no limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BRANDS = frozenset({"nvidia", "tesla", "geforce", "rtx", "gtx", "titan", "gpu", "tensor", "core"})
"""Words of a device's name that tell no model from another."""
_DATA_CENTER = 1.1
"""Hopper's data sheet is for 1.83 GHz, and its clock goes to 1.98 (glennklockwood.com/garden/
processors/h100): 8% more. That of A100 is for its highest, 1.41 GHz."""
_BOARDS = 1.3
"""Boards raise the clock above the published one by themselves, and partners sell them faster: a
GTX 1080 Ti that ran at 1.99 GHz instead of 1.58 (technic3d.com, review of 2017), 26% more; an RTX
4090 at 3.15 instead of 2.52 (wccftech.com, October 2022), 25%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """The published peaks of a GPU.

    Attributes:
        name: what it is called here.
        model: words that a device's name must have, in lower case.
        variants: further words that its name may have; any other word is another device.
        tflops: type -> 10^12 floating-point operations per second. ``tf32`` is float32 in matrix
            products with TF32 allowed; a type that is not here has no published figure.
        tflops_at_most: type -> the same with float16 accumulation, where it is more.
        bandwidth_gbs: 10^9 bytes per second of its memory.
        memory_gb: size of its memory, 10^9 bytes as it is sold.
        headroom: how much faster than published its clock may be, as a factor.
        sources: where the figures are.
    """

    name: str
    model: frozenset[str]
    variants: frozenset[str] = frozenset()
    tflops: Mapping[str, float]
    tflops_at_most: Mapping[str, float]
    bandwidth_gbs: float
    memory_gb: int
    headroom: float
    sources: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Tell whether a device of this name may be this one; an unknown word is another."""
        words = set(re.findall(r"[a-z0-9]+", name.lower()))
        return self.model <= words <= self.model | self.variants | _BRANDS


def find_specs(name: str) -> tuple[DeviceSpec, ...]:
    """Return the devices that a name may mean, none if it is not known.

    Args:
        name: name that torch or a publication gives a device: ``NVIDIA A100`` may be one of 40 or
            of 80 GB, ``NVIDIA A100-SXM4-80GB`` is one.
    """
    return tuple(spec for spec in DEVICES if spec.matches(name))


def _spec(
    name: str,
    variants: str,
    tflops: Mapping[str, float],
    memory: tuple[float, int],
    sources: tuple[str, ...],
    *,
    at_most: Mapping[str, float] | None = None,
    headroom: float = _DATA_CENTER,
    model: str = "",
) -> DeviceSpec:
    """Make a row of the table below; ``memory`` is its bandwidth in GB/s and its size in GB."""
    return DeviceSpec(
        name=name,
        model=frozenset((model or name.split()[1]).lower().split()),
        variants=frozenset(variants.split()),
        tflops=tflops,
        tflops_at_most=at_most or {},
        bandwidth_gbs=memory[0],
        memory_gb=memory[1],
        headroom=headroom,
        sources=sources,
    )


_A100 = {"float32": 19.5, "tf32": 156, "float16": 312, "bfloat16": 312}
_A100_SOURCES = (
    "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf",
    "https://glennklockwood.com/garden/processors/A100",
)
_HOPPER = {"float32": 67, "tf32": 495, "float16": 989, "bfloat16": 989, "float8": 1979}
_HOPPER_SOURCES = (
    "https://resources.nvidia.com/en-us-tensor-core/nvidia-tensor-core-gpu-datasheet",
    "https://glennklockwood.com/garden/processors/h100",
)
_L20 = {"float32": 59.8, "tf32": 59.8, "float16": 119.5, "bfloat16": 119.5, "float8": 239}
_RTX_4090 = {"float32": 82.6, "tf32": 82.6, "float16": 165.2, "bfloat16": 165.2, "float8": 330.3}
_RTX_A5000 = {"float32": 27.8, "tf32": 55.6, "float16": 111.1, "bfloat16": 111.1}

DEVICES: tuple[DeviceSpec, ...] = (
    _spec("NVIDIA A100 40GB", "40gb sxm sxm4 pcie", _A100, (1555, 40), _A100_SOURCES),
    _spec("NVIDIA A100 80GB", "80gb sxm sxm4", _A100, (2039, 80), _A100_SOURCES),
    _spec("NVIDIA A100 80GB PCIe", "80gb pcie", _A100, (1935, 80), _A100_SOURCES),
    _spec("NVIDIA H100", "80gb sxm sxm5 hbm3", _HOPPER, (3350, 80), _HOPPER_SOURCES),
    _spec(
        "NVIDIA H200",
        "141gb sxm sxm5 hbm3e",
        _HOPPER,
        (4800, 141),
        (
            "https://www.nvidia.com/en-us/data-center/h200/",
            "https://glennklockwood.com/garden/processors/h100",
        ),
    ),
    _spec(
        "NVIDIA L40S",
        "48gb pcie",
        {"float32": 91.6, "tf32": 183, "float16": 362, "bfloat16": 362, "float8": 733},
        (864, 48),
        (
            "https://www.nvidia.com/en-us/data-center/l40s/",
            "https://www.mullet.se/product.html?product_id=355414",
        ),
    ),
    _spec(
        "NVIDIA L20",
        "48gb pcie",
        _L20,
        (864, 48),
        (
            "https://www.tomshardware.com/pc-components/gpus/new-nvidia-ai-gpus-designed-to-get-around-us-export-bans-come-to-china-h20-l20-and-l2-to-fill-void-left-by-restricted-models",
            "https://www.topcpu.net/en/gpu-c/a40-pcie-vs-l20",
        ),
    ),
    _spec(
        "NVIDIA RTX 4090",
        "24gb",
        _RTX_4090,
        (1008, 24),
        (
            "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf",
            "https://waredb.com/processor/nvidia-geforce-rtx-4090",
        ),
        model="4090",
        at_most={"float16": 330.3, "float8": 660.6},
        headroom=_BOARDS,
    ),
    _spec(
        "NVIDIA RTX 3090",
        "24gb",
        {"float32": 35.6, "tf32": 35.6, "float16": 71, "bfloat16": 71},
        (936, 24),
        (
            "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf",
            "https://holynerdvana.blogspot.com/2022/10/nvidia-geforce-rtx-3090-specifications.html",
        ),
        model="3090",
        at_most={"float16": 142},
        headroom=_BOARDS,
    ),
    _spec(
        "NVIDIA RTX A5000",
        "24gb",
        _RTX_A5000,
        (768, 24),
        (
            "https://www.nvidia.com/content/dam/en-zz/Solutions/gtcs21/rtx-a5000/nvidia-rtx-a5000-datasheet.pdf",
            "https://huggingface.co/datasets/ohdoking/gpu_spec/blob/main/data/nvidia_gpu.csv",
            "https://www.ecer.com/corp/details-uuuedqa-p1bsay9-multi-display-setups-supported-by-48gb-gddr6-ecc-memory-nvidia-a40-gpu-and-vga-outputs.html",
        ),
        model="a5000",
        headroom=_BOARDS,
    ),
    _spec(
        "NVIDIA V100",
        "16gb 32gb sxm2",
        {"float32": 15.7, "float16": 125},
        (900, 16),
        (
            "https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf",
            "https://github.com/winston-zhang-orz/gpu-specs/blob/main/specs.md",
        ),
    ),
    _spec(
        "NVIDIA T4",
        "16gb",
        {"float32": 8.1, "float16": 65},
        (320, 16),
        (
            "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/tesla-t4/t4-tensor-core-datasheet-951643.pdf",
            "https://sysrqmts.com/en/gpus/nvidia/tesla/t4",
        ),
    ),
    _spec(
        "NVIDIA TITAN RTX",
        "24gb",
        {"float32": 16.3, "float16": 130},
        (672, 24),
        (
            "https://www.nvidia.com/en-us/deep-learning-ai/products/titan-rtx/",
            "https://www.tomshardware.com/news/nvidia-titan-rtx-specs-pricing,38184.html",
        ),
        model="titan rtx",
        headroom=_BOARDS,
    ),
    _spec(
        "NVIDIA GTX 1080 Ti",
        "11gb",
        {"float32": 11.3},
        (484, 11),
        (
            "https://www.nvidia.com/en-us/geforce/products/10series/geforce-gtx-1080-ti/",
            "https://www.vortez.net/articles_pages/nvidia_gtx_1080_ti_review,2.html",
        ),
        model="1080 ti",
        headroom=_BOARDS,
    ),
)
"""The GPUs of published tables.

Of the sources the first is the vendor's; on the others the figures were checked in November 2026.
Three were not found a second time: RTX 3090 with float32 accumulation, RTX 4090 with float16
accumulation, and the tensor cores of RTX A5000, which have the ratios of A40, the same chip.
"""
