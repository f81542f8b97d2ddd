"""What this machine is: its device, what the device can do, and the versions that decide speed."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.model import Machine
from pytest_sdspeed.setups.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "numpy", "xformers", "triton", "pytest-sdspeed")


def cpu_machine() -> Machine:
    """The CPU this process runs on."""
    name, features = _proc_cpuinfo(Path("/proc/cpuinfo"))
    return Machine(
        kind="cpu", device=name or platform.processor() or platform.machine() or "CPU", versions=_versions(), features=frozenset(features)
    )


def cuda_machine() -> Machine:
    """The current CUDA device.

    Raises:
        UnsupportedError: torch has no CUDA support, or sees no device.
    """
    with quiet():
        import torch

        available = torch.cuda.is_available()
    if not available:
        built = torch.version.cuda
        why = (
            f"torch {torch.__version__} was built for CUDA {built} but sees no device"
            if built
            else f"torch {torch.__version__} is a build without CUDA"
        )
        raise UnsupportedError(f"--sd-gpu needs a CUDA GPU: {why}. Without --sd-gpu the embedded miniature is measured on the CPU.")
    versions = _versions() | {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    versions |= _driver(Path("/proc/driver/nvidia/version"))
    return Machine(kind="cuda", device=torch.cuda.get_device_name(), versions=versions, capability=torch.cuda.get_device_capability())


def _proc_cpuinfo(path: Path) -> tuple[str, Iterable[str]]:
    """Name and flags of the first processor in a Linux ``/proc/cpuinfo``; empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "", ()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts.get("model name", ""), facts.get("flags", facts.get("Features", "")).split()


def _driver(path: Path) -> dict[str, str]:
    """Version of the NVIDIA driver, as the Linux kernel module tells it; empty where it does not."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    return {"driver": found[0]} if found else {}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
