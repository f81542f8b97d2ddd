"""Why a machine cannot run an optimization, and what would help: checks that several share."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pytest_sdspeed.device.machine import AMPERE
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import read_first_line

if TYPE_CHECKING:
    from pytest_sdspeed.model import Machine

GPU_HINT = "run with --sd-gpu"


def require_cuda(name: str, machine: Machine) -> str | None:
    """Return why an optimization lacks a CUDA GPU, or None."""
    return None if machine.kind == "cuda" else f"{name} needs a CUDA GPU: {advise(machine)}"


def require_ampere(name: str, machine: Machine) -> str | None:
    """Return why an optimization lacks a CUDA GPU of Ampere or later, or None."""
    if machine.capability is None:
        return f"{name} needs an Ampere or later CUDA GPU: {advise(machine)}"
    if machine.capability < AMPERE:
        return (
            f"{name} needs an Ampere or later CUDA GPU: {machine.device} has compute capability"
            f" {machine.capability[0]}.{machine.capability[1]}"
        )
    return None


def require_package(name: str, module: str = "", install: str = "") -> str | None:
    """Return why a package is missing or cannot be loaded, and how to install it; None if it can.

    Args:
        name: name of the package, and of the optimization that needs it.
        module: the module to import, if it is not called as the package is.
        install: what to give to ``pip install``, if it is not the name.
    """
    module = module or name
    advice = f"pip install {install or name}"
    if not find_spec(module.partition(".")[0]):
        return f"{name} is not installed: {advice}"
    try:
        with quiet():
            import_module(module)  # one built for another torch is found, but fails to load
    except Exception as error:  # noqa: BLE001 - whatever it raises, it cannot be used
        first = read_first_line(error, type(error).__name__)
        return f"{name} cannot be imported: {first}: {advice}"
    return None


def advise(machine: Machine) -> str:
    """Say how to get a CUDA GPU, or that ``--sd-gpu`` found another accelerator."""
    return GPU_HINT if machine.kind == "cpu" else f"{machine.device} is none"
