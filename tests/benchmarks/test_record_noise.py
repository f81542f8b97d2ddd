"""Recording noise: slots and busy phases on a fake clock, the file and the errors of the command."""

import json
import random
from functools import partial

import numpy as np
import pytest
import record_noise
import torch
from record_noise import Load, Work, busy_phases, main, passes_per_slot, record

from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.model import Machine


class FakeProcess:
    """Stands in for a busy process; ``alive`` counts those that run."""

    alive = 0

    def __init__(self, command, **_pipes):
        self.limit = float(command[-1])
        FakeProcess.alive += 1

    def kill(self):
        FakeProcess.alive -= 1

    def wait(self):
        return 0


@pytest.fixture
def clock():
    class Clock:
        seconds = 100.0

        def __call__(self):
            return self.seconds

        def spend(self, seconds):
            self.seconds += seconds

    return Clock()


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(FakeProcess, "alive", 0)
    monkeypatch.setattr("record_noise.subprocess.Popen", FakeProcess)
    return FakeProcess


@pytest.fixture
def small(monkeypatch):
    """A cheap piece of work and no warm-up."""
    monkeypatch.setattr("record_noise.WARM_UP_S", 0.0)
    numbers = torch.ones(64, 64)
    monkeypatch.setattr("record_noise.cpu_work", lambda: Work("matrix product", partial(torch.mm, numbers, numbers)))


def test_slots_are_counted_from_the_beginning(clock):
    seen = []
    slots = record(lambda: clock.spend(0.25), 1.0, clock=clock, progress=lambda now, duration: seen.append((now, duration)))
    assert slots == [[0.0, 0.25], [0.25, 0.25], [0.5, 0.25], [0.75, 0.25]]
    assert seen[-1] == (1.0, 0.25)


def test_a_stop_keeps_what_was_recorded_and_ends_the_load(clock, processes):
    def slot():
        clock.spend(0.25)
        if clock.seconds > 101:
            assert processes.alive == 2
            raise KeyboardInterrupt

    slots = record(slot, 60, clock=clock, load=Load(2, [(0.0, 60.0)]))
    assert len(slots) == 4
    assert processes.alive == 0


def test_an_error_ends_the_load_too(processes):
    def slot():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        record(slot, 60, load=Load(2, [(0.0, 60.0)]))
    assert processes.alive == 0


def test_the_load_runs_in_its_phases(clock, processes):
    alive = []

    def slot():
        clock.spend(0.5)
        alive.append(processes.alive)

    load = Load(3, [(1.0, 2.0), (2.0, 3.0), (4.0, 5.0)])
    record(slot, 5.0, clock=clock, load=load)
    assert alive == [0, 0, 3, 3, 3, 3, 0, 0, 3, 3]
    assert load.spans == [[1.0, 3.0], [4.0, 5.0]]
    assert processes.alive == 0


def test_busy_processes_end():
    with Load(1, [(0.0, 9.0)]) as load:
        load.switch(0.0)
        (process,) = load._running
        assert process.poll() is None
    assert process.poll() is not None


@pytest.mark.parametrize("seconds", [3.0, 20.0, 180.0])
def test_half_of_the_time_is_busy(seconds):
    chosen = [busy_phases(seconds, random.Random(seed)) for seed in range(8)]
    for phases in chosen:
        assert sum(end - start for start, end in phases) == pytest.approx(seconds / 2)
        assert phases == sorted(phases)
        assert phases[0][0] >= 0
        assert phases[-1][1] <= seconds + 1e-9
    assert len({tuple(phases) for phases in chosen}) > 1


@pytest.mark.parametrize(("once_s", "passes"), [(0.02, 10), (0.0003, 667), (0.5, 1)])
def test_a_slot_takes_about_the_seconds_asked(clock, once_s, passes):
    assert passes_per_slot(Work("sleep", lambda: clock.spend(once_s)), 0.2, clock) == passes
    assert clock.seconds >= 100 + record_noise.WARM_UP_S


def test_a_busy_moment_of_the_warm_up_does_not_shorten_the_slots(clock):
    taken = iter([3.0, 0.02, 0.02] + [5.0] * 8 + [0.02] * 1000)
    assert passes_per_slot(Work("sleep", lambda: clock.spend(next(taken))), 0.2, clock) == 10


def test_a_slot_waits_for_the_device_once():
    done = []
    Work("step", lambda: done.append("pass"), lambda: done.append("wait")).slot(3)
    assert done == ["pass", "pass", "pass", "wait"]


def test_the_miniature_is_the_default_work():
    work = record_noise.cpu_work()
    first, second = work.once().sample, work.once().sample
    assert work.name == "UNet forward pass"
    assert torch.equal(first, second)
    assert not first.requires_grad


def test_the_work_of_the_gpu_is_a_pass_of_the_full_unet_waited_for_once_a_slot(monkeypatch):
    from pytest_sdspeed.pipelines.sources import PretrainedSource

    asked, waits = [], []

    class Source:
        def __init__(self, device):
            asked.append(device)

        def load_part(self, component, model, dtype):
            asked.extend((model, dtype))
            return PretrainedSource("cpu").load_part("unet", "miniature", "float32")

    monkeypatch.setattr("pytest_sdspeed.pipelines.sources.RandomSource", Source)
    monkeypatch.setattr("torch.cuda.synchronize", lambda: waits.append(1))
    work = record_noise.gpu_work()
    work.slot(2)
    assert asked == ["cuda", "stable-diffusion-v1-5/stable-diffusion-v1-5", "float16"]
    assert waits == [1]
    assert work.once().sample.shape[0] == 2


def test_the_command_writes_a_trace(small, tmp_path, capsys):
    output = tmp_path / "noise.json"
    assert main([str(output), "--minutes", "0.005", "--seconds-per-slot", "0.01", "--threads", "1", "--load", "1"]) == 0
    trace = json.loads(output.read_text())
    slots = np.array(trace["start_s_duration_s"])
    assert slots.shape[1] == 2
    assert (slots[:, 1] > 0).all()
    assert (slots[1:, 0] >= slots[:-1, 0] + slots[:-1, 1] - 2e-6).all()
    assert trace["work"].endswith("1 threads")
    assert "x matrix product" in trace["work"]
    assert set(trace["machine"]) == {"device", "kind", "cores", "threads", "versions", "date"}
    assert trace["load"]["processes"] == 1
    assert len(trace["load"]["start_s_end_s"]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{output}: {len(slots)} slots of ")


def test_the_command_records_the_gpu_that_it_found(small, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_cuda", lambda: Machine(kind="cuda", device="NVIDIA H200", versions={}))
    monkeypatch.setattr("record_noise.gpu_work", record_noise.cpu_work)
    assert main([str(tmp_path / "noise.json"), "--gpu", "--minutes", "0.002", "--seconds-per-slot", "0.01"]) == 0
    trace = json.loads((tmp_path / "noise.json").read_text())
    assert (trace["machine"]["kind"], trace["machine"]["device"]) == ("cuda", "NVIDIA H200")
    assert "NVIDIA H200" in trace["work"]


def test_a_gpu_without_kernels_is_refused_before_anything_is_recorded(small, monkeypatch, tmp_path):
    def refuses():
        raise UnsupportedError("install a torch that was built for this GPU")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_cuda", refuses)
    monkeypatch.setattr("record_noise.gpu_work", lambda: pytest.fail("recorded"))
    with pytest.raises(UnsupportedError, match="built for this GPU"):
        main([str(tmp_path / "noise.json"), "--gpu"])
    assert list(tmp_path.iterdir()) == []


def test_a_quiet_trace_says_nothing_of_load(small, tmp_path):
    output = tmp_path / "noise.json"
    assert main([str(output), "--minutes", "0.002", "--seconds-per-slot", "0.01"]) == 0
    assert set(json.loads(output.read_text())) == {"work", "start_s_duration_s", "machine"}


def test_stopped_at_once_writes_nothing(monkeypatch, tmp_path, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("record_noise.cpu_work", interrupted)
    assert main([str(tmp_path / "noise.json")]) == 130
    assert "nothing is written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none/noise.json"], "there is no folder"),
        (["old.json"], "old.json exists: name another file"),
        (["new.json", "--gpu"], "--gpu needs a CUDA GPU, and torch"),
        (["new.json", "--minutes", "0"], "0 is not above 0"),
        (["new.json", "--minutes", "nan"], "nan is not above 0"),
        (["new.json", "--load", "0"], "0 is not 1 or more"),
        (["new.json", "--threads", "two"], "invalid"),
    ],
)
def test_wrong_use_is_explained(monkeypatch, tmp_path, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "old.json").write_text("{}")
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "old.json").read_text() == "{}"
