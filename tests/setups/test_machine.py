"""What a machine says about itself, on fabricated files, and that a missing GPU is named."""

from __future__ import annotations

import platform
from dataclasses import fields

import pytest
import torch

from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.setups import machine
from pytest_sdspeed.setups.machine import cpu_machine, cuda_machine

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9654: 96-Core
flags\t\t: fpu avx2 avx512_bf16

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd asimdhp bf16
CPU implementer\t: 0x41
"""


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (X86, "AMD EPYC 9654: 96-Core", ["fpu", "avx2", "avx512_bf16"]),
        (ARM, "", ["fp", "asimd", "asimdhp", "bf16"]),
        ("", "", []),
        ("nothing here\n\n", "", []),
    ],
    ids=["x86", "arm", "empty", "other"],
)
def test_cpuinfo(text, name, features, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    found = machine._proc_cpuinfo(tmp_path / "cpuinfo")
    assert (found[0], list(found[1])) == (name, features)


def test_without_cpuinfo(tmp_path):
    assert machine._proc_cpuinfo(tmp_path / "missing") == ("", ())
    assert machine._proc_cpuinfo(tmp_path) == ("", ())


def test_a_cpu_without_a_name_gets_that_of_the_platform(monkeypatch):
    monkeypatch.setattr(machine, "_proc_cpuinfo", lambda _path: ("", ()))
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert cpu_machine().device == "aarch64"
    monkeypatch.setattr(platform, "machine", lambda: "")
    assert cpu_machine().device == "CPU"


def test_this_cpu():
    found = cpu_machine()
    assert found.kind == "cpu"
    assert found.device
    assert found.capability is None
    assert {"python", "torch", "diffusers", "transformers"} <= found.versions.keys()
    assert all(isinstance(value, str) for value in found.versions.values())
    assert {field.name for field in fields(found)} == {"kind", "device", "versions", "capability", "features"}


@pytest.mark.parametrize(("built", "why"), [(None, "is a build without CUDA"), ("13.0", "was built for CUDA 13.0 but sees no device")])
def test_no_gpu_is_named_with_its_cause(built, why, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnsupportedError) as caught:
        cuda_machine()
    assert str(caught.value) == (
        f"--sd-gpu needs a CUDA GPU: torch {torch.__version__} {why}. Without --sd-gpu the embedded miniature is measured on the CPU."
    )


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built with CUDA")
def test_this_build_without_cuda():
    with pytest.raises(UnsupportedError, match="is a build without CUDA"):
        cuda_machine()


@pytest.mark.parametrize(
    ("said", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23\nGCC version:  gcc version 12.3.0\n",
            {"driver": "570.86.15"},
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95  Release Build\n", {"driver": "580.95"}),
        ("", {}),
    ],
)
def test_the_driver_is_what_its_kernel_module_says(tmp_path, said, driver):
    (tmp_path / "version").write_text(said)
    assert machine._driver(tmp_path / "version") == driver
    assert machine._driver(tmp_path / "missing") == {}


def test_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    found = cuda_machine()
    assert (found.kind, found.device, found.capability, found.versions["cuda"]) == ("cuda", "NVIDIA H200", (9, 0), "13.0")
