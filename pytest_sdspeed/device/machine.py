"""This machine: its device, what that can do, and the versions on which speed depends."""

from __future__ import annotations

import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.accelerator import (
    find_build_without_accelerators,
    find_built_kind,
    find_kind,
    find_module,
    is_rocm,
    name_kind,
)
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import UnsupportedError, read_first_line
from pytest_sdspeed.model import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_BUILD = "torch {} is a build without CUDA, ROCm, XPU and MPS"
AMPERE = (8, 0)
"""Compute capability from which GPUs have bfloat16 and TF32."""
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)")
_PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "safetensors",
    "numpy",
    "xformers",
    "triton",
    "pytest-sdspeed",
)


def describe_cpu() -> Machine:
    """Describe the CPU that this process runs on."""
    name, features = _read_cpuinfo(Path("/proc/cpuinfo"))
    return Machine(
        kind="cpu",
        device=name or platform.processor() or platform.machine() or "CPU",
        versions=_read_versions(),
        features=frozenset(features),
    )


def describe_accelerator() -> Machine:
    """Describe the accelerator that torch has.

    Raises:
        UnsupportedError: torch has none that it can use.
    """
    torch_version = find_build_without_accelerators()
    if torch_version:
        raise _refuse(_NO_BUILD.format(torch_version))
    with quiet():
        kind = find_kind()
    return describe_cuda() if kind in (None, "cuda") else _describe_other(kind)


def _refuse(why: str) -> UnsupportedError:
    return UnsupportedError(
        f"--sd-gpu needs a CUDA GPU: {why}. Without --sd-gpu the embedded miniature is measured on"
        " the CPU."
    )


def describe_cuda() -> Machine:
    """Describe the current CUDA or ROCm device.

    A MIG slice has a name of its own, such as ``NVIDIA H200 MIG 1g.18gb``.

    Raises:
        UnsupportedError: torch has no CUDA support, sees no device it can use, or has no kernels
            for it.
    """
    with quiet():
        import torch

        why = _explain_no_cuda(torch)
        if why:
            raise _refuse(why)
        if is_rocm("cuda"):
            return _describe_other("cuda", rocm=str(torch.version.hip))
        device, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
        compiled = torch.cuda.get_arch_list()
    if not has_kernels(capability, compiled):
        raise UnsupportedError(
            f"--sd-gpu: {device} has compute capability {capability[0]}.{capability[1]}, and torch"
            f" {torch.__version__} has kernels for {', '.join(compiled)} only: install a torch that"
            " was built for this GPU"
        )
    versions = _read_versions() | {
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
    }
    return Machine(
        kind="cuda",
        device=device,
        versions=versions | _read_driver(Path("/proc/driver/nvidia/version")),
        capability=capability,
        notes=_name_of_several("cuda", device),
    )


def _describe_other(kind: str, **versions: str) -> Machine:
    """Describe an accelerator that nobody has tried this package on."""
    with quiet():
        device, name = _find_name(kind), name_kind(kind)
        untried = f"{name} is untried on hardware: this plugin was tested with a stand-in for it"
        return Machine(
            kind=kind,
            device=device,
            versions=_read_versions() | versions,
            features=frozenset({"bf16"} if _computes_in_bfloat16(kind) else ()),
            notes=(*_name_of_several(kind, device), untried),
        )


def _find_name(kind: str) -> str:
    """Return the name of the current device, or of its kind and this machine, if torch has none."""
    import torch

    for holder, name in (
        (find_module(kind), "get_device_name"),
        (getattr(torch.backends, kind, None), "get_name"),  # of MPS, in torch from 2.10 on
    ):
        if hasattr(holder, name):
            with suppress(Exception):
                return str(getattr(holder, name)())
    return f"{name_kind(kind)} of {platform.processor() or platform.machine() or 'this machine'}"


def _computes_in_bfloat16(kind: str) -> bool:
    import torch

    try:
        ones = torch.ones(16, 16, dtype=torch.bfloat16, device=kind)
        return bool((ones @ ones).sum().item() == ones.numel() * 16)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not
        return False


def _name_of_several(kind: str, device: str) -> tuple[str, ...]:
    """Return a note that says which of several devices is measured on."""
    module = find_module(kind)
    visible = module.device_count()
    if visible <= 1:
        return ()
    return (f"measured on {kind}:{module.current_device()}, {device}, of {visible} visible GPUs",)


def _explain_no_cuda(torch: Any) -> str:
    """Return why torch cannot use a CUDA or ROCm device, or ""."""
    built = torch.version.cuda or torch.version.hip
    if built is None:
        other = find_built_kind(torch)
        if other is None:
            return _NO_BUILD.format(torch.__version__)
        return (
            f"torch {torch.__version__} is a build without CUDA, and sees no device of"
            f" {name_kind(other)}, for which it was built"
        )
    try:
        # Unlike is_available this raises, and says whether the driver is missing, too old, or sees
        # no device.
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 - whatever it raises, the device cannot be used
        said = read_first_line(error, type(error).__name__).rstrip(".")
        return (
            f"torch {torch.__version__}, built for {name_kind('cuda')} {built}, cannot use one:"
            f" {said}"
        )
    return ""


def has_kernels(capability: tuple[int, int], compiled: Iterable[str]) -> bool:
    """Tell whether a torch build has kernels for a GPU.

    A cubin (``sm_90``) runs on GPUs of its own major version with at least its minor version; an
    intermediate code (``compute_90``) runs on GPUs of at least its own version (CUDA C++
    Programming Guide, "Binary Compatibility", "PTX Compatibility").

    Args:
        capability: compute capability of the GPU, (major, minor).
        compiled: what ``torch.cuda.get_arch_list`` returns; an empty one counts as all kernels.
    """
    found = [match for match in map(_ARCHITECTURE.match, compiled) if match]
    versions = [(match[1], (int(match[2]), int(match[3]))) for match in found]
    return not versions or any(
        version <= capability and (kind == "compute" or version[0] == capability[0])
        for kind, version in versions
    )


def _read_cpuinfo(path: Path) -> tuple[str, Iterable[str]]:
    """Return name and flags of the first processor in a Linux ``/proc/cpuinfo``.

    Both are empty if there is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "", ()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts.get("model name", ""), facts.get("flags", facts.get("Features", "")).split()


def _read_driver(path: Path) -> dict[str, str]:
    """Return the version of the NVIDIA driver from its Linux kernel module; empty if unknown."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    return {"driver": found[0]} if found else {}


def _read_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
