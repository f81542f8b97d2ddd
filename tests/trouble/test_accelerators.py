"""A user measures callables on an accelerator other than CUDA, with ``--sd-gpu`` and without: on stand-ins, and on a real backend of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest
from accelerators import Metal, StandIn, forget, install, refuse
from children import PLUGINS

from pytest_sdspeed.device.accelerator import find_kind

UNTRIED = "note: candidate: XPU is untried on hardware: this plugin was tested with a stand-in for it"

GATE = """
import builtins

def work(seconds, size):
    # Asynchronous, as on every accelerator: it returns at once.
    return lambda: builtins.sd_stand_in.submit(seconds, size)

@pytest.mark.sd_latency(speedup=2.0, tolerance=0.05)
def test_engine(sd_latency):
    result = sd_latency(work(0.5, 2**20), baseline=work(1.0, 2**21))
    assert 0.49 < result.latency_s < 0.51
"""


class DeviceClock:
    """Time that passes on a stand-in when it is waited for, and in no other way."""

    def __init__(self, clock, synchronize):
        self.now, self.synchronize = clock.now, synchronize


@pytest.fixture
def stand_in(gated, fake_time, monkeypatch):
    """Give this process an accelerator; what a run inside waits for is what the plugin has it wait for."""

    def give(kind, module):
        module.clock = fake_time
        install(monkeypatch, kind, module)
        monkeypatch.setattr("builtins.sd_stand_in", module, raising=False)
        monkeypatch.setattr("pytest_sdspeed.measure.clock.WallClock", lambda synchronize: DeviceClock(fake_time, synchronize))
        return module

    yield give
    forget()


@pytest.mark.parametrize("options", [(), ("--sd-gpu",)], ids=["without --sd-gpu", "with --sd-gpu"])
def test_callables_on_an_xpu_are_waited_for(gated, stand_in, monkeypatch, pytester, options):
    module = stand_in("xpu", StandIn(begun=bool(options)))
    refuse(monkeypatch)
    outcome = gated(GATE, "--benchmark-json=out.json", *options)
    outcome.assert_outcomes(passed=1)
    assert set(module.waited) == {None}
    stored = json.loads((pytester.path / "out.json").read_text())
    (bench,) = stored["benchmarks"]
    found = bench["extra_info"]["sdspeed"]
    if options:
        outcome.stdout.fnmatch_lines([UNTRIED])
        assert (found["device"], found["peak_memory_bytes"]) == ("Intel(R) Arc(TM) B580", 2**20)
        assert "xpu" in json.dumps(stored["machine_info"])
    else:
        outcome.stdout.no_fnmatch_line("*untried*")


def test_callables_on_metal_are_waited_for_though_it_tells_of_no_use(gated, fake_time, stand_in, monkeypatch):
    class Busy(Metal):
        def synchronize(self):
            super().synchronize()
            fake_time.synchronize()

        def submit(self, seconds, _size):
            fake_time.submit(seconds)

    module = stand_in("mps", Busy())
    refuse(monkeypatch)
    gated(GATE).assert_outcomes(passed=1)
    assert module.waited


@pytest.mark.parametrize("fault", ["nobody waits", "waits before a slot alone", "another device is waited for"])
def test_a_slot_that_ends_before_its_work_does_not_pass(gated, fake_time, stand_in, monkeypatch, fault):
    module = stand_in("xpu", StandIn())
    calls = []

    def waits(_device=None):
        calls.append(1)
        if fault == "waits before a slot alone" and len(calls) % 2:
            fake_time.synchronize()

    monkeypatch.setattr(module, "synchronize", waits)
    if fault == "another device is waited for":
        monkeypatch.setattr(module, "devices", 2)
    outcome = gated(GATE, "--sd-gpu")
    assert outcome.ret != 0
    assert outcome.parseoutcomes().get("passed", 0) == 0


BACKEND = """
import sys, time
import torch
from torch.utils import backend_registration

class Module:
    waited, until, states, asked = 0, 0.0, [3], []
    def is_available(self): return True
    def device_count(self): return 1
    def current_device(self): return 0
    def is_initialized(self): return True
    def _is_in_bad_fork(self): return False
    def get_device_name(self): return "Stand-in 9000"
    def manual_seed_all(self, seed): self.states[0] = seed
    def get_rng_state(self, device): return self.states[device]
    def set_rng_state(self, state, device): self.states[device] = state
    def submit(self, seconds): Module.until = max(Module.until, time.perf_counter()) + seconds
    def synchronize(self, device=None):
        Module.waited += 1
        time.sleep(max(0.0, Module.until - time.perf_counter()))

module = Module()
backend_registration._setup_privateuseone_for_python_backend("sdx", backend_module=module)
"""

REAL_GATE = """
import torch
import pytest

@pytest.mark.sd_latency(speedup=2.0, tolerance=0.3)
def test_engine(sd_latency):
    result = sd_latency(lambda: torch.sdx.submit(0.02), baseline=lambda: torch.sdx.submit(0.08))
    assert result.latency_s >= 0.02
    assert result.baseline_latency_s >= 0.08
    assert result.device == "Stand-in 9000"
    assert result.peak_memory_bytes is None
    assert torch.sdx.waited > 20

def test_seeds_are_put_back():
    from pytest_sdspeed.device.seeds import hold_seeds

    with hold_seeds(11):
        assert torch.sdx.states == [11]
    assert torch.sdx.states == [3]
    assert not torch.cuda.is_initialized()
"""


@pytest.mark.slow
def test_a_backend_of_torch_that_is_none_of_the_known_is_measured(tmp_path):
    pytest.importorskip("torch.utils.backend_registration")
    import torch

    if not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch takes no backend from Python")
    (tmp_path / "conftest.py").write_text(BACKEND)
    (tmp_path / "test_engine.py").write_text(textwrap.dedent(REAL_GATE))
    # A process of its own: a backend cannot be taken back.
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-q", "--sd-gpu", "--sd-max-blocks=4", "-p", "no:cacheprovider"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_"))}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sdx is untried on hardware" in done.stdout


def test_without_an_accelerator_it_is_said_what_was_looked_for(gated, monkeypatch):
    import torch

    if torch.version.cuda or torch.version.hip:
        pytest.skip("this torch is built with CUDA or ROCm")
    install(monkeypatch, None, None)
    outcome = gated(GATE, "--sd-gpu")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*--sd-gpu needs a CUDA GPU: torch * is a build without CUDA, ROCm, XPU and MPS. Without --sd-gpu*"])
    forget()


@pytest.mark.slow
def test_a_refusal_comes_before_what_only_measuring_needs_is_imported(tmp_path):
    import torch

    if torch.version.hip or find_kind() not in (None, "cuda"):
        pytest.skip("hides CUDA GPUs only")
    (tmp_path / "test_engine.py").write_text("import pytest\n" + GATE)
    code = (
        "import sys, pytest\ncode = pytest.main(['-p', 'no:randomly', '-p', 'no:cacheprovider', *sys.argv[1:]])\n"
        "print('LOADED', *sorted({'torch', 'diffusers', 'transformers', 'scipy'} & set(sys.modules)))\nsys.exit(code)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"CUDA_VISIBLE_DEVICES": ""}

    def loaded(*arguments):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
        return done, set(done.stdout.split("LOADED")[1].split())

    refused, names = loaded("--sd-gpu")
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--sd-gpu needs a CUDA GPU: torch " in refused.stderr
    # Only a build with CUDA must be asked itself.
    assert names == ({"torch"} if torch.version.cuda else set())
    planted, names = loaded("--sd-max-blocks=2", "--collect-only")
    assert planted.returncode == 0, planted.stdout
    assert "scipy" in names
