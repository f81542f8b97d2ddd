"""The description of a machine, from fabricated files, and the message about a missing GPU."""

from __future__ import annotations

import platform
from dataclasses import fields

import pytest
import torch
from fakes import result

from pytest_sdspeed.device import machine
from pytest_sdspeed.device.machine import describe_cpu, describe_cuda, has_kernels
from pytest_sdspeed.errors import UnsupportedError

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
    found = machine._read_cpuinfo(tmp_path / "cpuinfo")
    assert (found[0], list(found[1])) == (name, features)


def test_without_cpuinfo(tmp_path):
    assert machine._read_cpuinfo(tmp_path / "missing") == ("", ())
    assert machine._read_cpuinfo(tmp_path) == ("", ())


def test_a_cpu_without_a_name_gets_that_of_the_platform(monkeypatch):
    monkeypatch.setattr(machine, "_read_cpuinfo", lambda _path: ("", ()))
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert describe_cpu().device == "aarch64"
    monkeypatch.setattr(platform, "machine", lambda: "")
    assert describe_cpu().device == "CPU"


def test_this_cpu():
    found = describe_cpu()
    assert found.kind == "cpu"
    assert found.device
    assert found.capability is None
    assert {"python", "torch", "diffusers", "transformers"} <= found.versions.keys()
    assert all(isinstance(value, str) for value in found.versions.values())
    assert {field.name for field in fields(found)} == {"kind", "device", "versions", "capability", "features", "notes"}
    assert found.notes == ()


OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading and installing a new "
    "version from the URL: http://www.nvidia.com/Download/index.aspx"
)


@pytest.mark.parametrize(
    ("built", "raised", "why"),
    [
        (None, None, " is a build without CUDA, ROCm, XPU and MPS"),
        ("13.0", "No CUDA GPUs are available", ", built for CUDA 13.0, cannot use one: No CUDA GPUs are available"),
        ("13.0", OLD_DRIVER, f", built for CUDA 13.0, cannot use one: {OLD_DRIVER}"),
        (
            "13.0",
            "Found no NVIDIA driver on your system.\nPlease check",
            ", built for CUDA 13.0, cannot use one: Found no NVIDIA driver on your system",
        ),
        ("13.0", "", ", built for CUDA 13.0, cannot use one: RuntimeError"),
    ],
    ids=["build", "device", "old driver", "no driver", "silent"],
)
def test_no_gpu_is_named_with_its_cause(built, raised, why, monkeypatch):
    def init():
        raise RuntimeError(raised)

    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "init", init)
    # Whatever this torch was built for.
    monkeypatch.setattr("pytest_sdspeed.device.machine.find_built_kind", lambda _torch: None)
    with pytest.raises(UnsupportedError) as caught:
        describe_cuda()
    assert str(caught.value) == (
        f"--sd-gpu needs a CUDA GPU: torch {torch.__version__}{why}. Without --sd-gpu the embedded miniature is measured on the CPU."
    )


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built with CUDA")
def test_this_build_without_cuda():
    with pytest.raises(UnsupportedError, match="is a build without CUDA"):
        describe_cuda()


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
    assert machine._read_driver(tmp_path / "version") == driver
    assert machine._read_driver(tmp_path / "missing") == {}


@pytest.fixture
def gpu(monkeypatch):
    """Fake a torch that was built with CUDA, and a GPU that it sees."""

    def install(name="NVIDIA H200", capability=(9, 0), compiled=("sm_75", "sm_90", "compute_120"), visible=1):
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "init", lambda: None)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(compiled))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: visible - 1)

    return install


def test_a_gpu(gpu):
    gpu()
    found = describe_cuda()
    assert (found.kind, found.device, found.capability, found.versions["cuda"]) == ("cuda", "NVIDIA H200", (9, 0), "13.0")
    assert found.notes == ()


def test_of_several_gpus_the_current_one_is_named(gpu):
    gpu(visible=4)
    assert describe_cuda().notes == ("measured on cuda:3, NVIDIA H200, of 4 visible GPUs",)


def test_a_gpu_without_kernels_in_this_torch_is_named(gpu):
    gpu("Tesla M60", (5, 2))
    with pytest.raises(UnsupportedError) as caught:
        describe_cuda()
    assert str(caught.value) == (
        f"--sd-gpu: Tesla M60 has compute capability 5.2, and torch {torch.__version__} has kernels for sm_75, sm_90, compute_120 only: "
        "install a torch that was built for this GPU"
    )


@pytest.mark.parametrize(
    ("capability", "compiled", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 9), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100", "sm_120"], True),
        ((12, 1), ["sm_90", "compute_120"], True),
        ((10, 0), ["compute_90"], True),
        ((8, 0), ["compute_90"], False),
        ((8, 0), [], True),
        ((8, 0), ["gfx90a"], True),
    ],
)
def test_kernels_run_on_what_they_were_built_for_and_later(capability, compiled, runs):
    assert has_kernels(capability, compiled) is runs


def test_a_slice_is_not_its_gpu():
    def held(device, documented):
        return result(device=device, documented_on=documented).held_to_another_device

    slice_ = "NVIDIA H200 MIG 1g.18gb"
    assert [held(slice_, "NVIDIA H200"), held("NVIDIA H200", slice_)] == [True, True]
    assert [held(slice_, slice_), held(slice_, "NVIDIA H200 MIG 2g.35gb")] == [False, True]
    assert not held("NVIDIA H200", "NVIDIA H200")
