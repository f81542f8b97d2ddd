"""Stand-ins for accelerators that no test machine has: a module like ``torch.xpu``, whose work is done when somebody waits for it."""

from __future__ import annotations

import torch
from fakes import FakeClock

from pytest_sdspeed.device import accelerator, switches


class Allocator:
    """What torch's module of an accelerator tells of memory."""

    now = peak = 0

    def allocate(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)

    def reset_peak_memory_stats(self):
        self.peak = self.now

    def memory_allocated(self):
        return self.now

    def max_memory_allocated(self):
        return self.peak


class StandIn(Allocator):
    """What torch's module of an accelerator has, with a clock and an allocator of its own.

    Attributes:
        begun: whether the process uses it.
        waited: the devices that were waited for, in order; None is the current one.
        states: state of the random generator of each device.
    """

    def __init__(self, *, clock=None, devices=1, begun=True):
        self.clock, self.devices, self.begun = clock or FakeClock(), devices, begun
        self.waited, self.states, self.emptied = [], [0] * devices, 0
        self.index = 0

    def submit(self, seconds, size=0):
        """Begin to use it; the work takes its time when it is waited for, and ``size`` bytes meanwhile."""
        self.begun = True
        self.clock.submit(seconds)
        self.peak = max(self.peak, self.now + size)

    def is_available(self):
        return self.devices > 0

    def device_count(self):
        return self.devices

    def is_initialized(self):
        return self.begun

    def _is_in_bad_fork(self):
        return False

    def current_device(self):
        return self.index

    def set_device(self, index):
        self.index = index

    def get_device_name(self):
        return "Intel(R) Arc(TM) B580"

    def synchronize(self, device=None):
        self.waited.append(device)
        self.clock.synchronize()

    def empty_cache(self):
        self.emptied += 1

    def manual_seed_all(self, seed):
        self.states = [seed] * self.devices

    def get_rng_state(self, device):
        return self.states[device]

    def set_rng_state(self, state, device):
        self.states[device] = state


class Metal:
    """What ``torch.mps`` has: one device, no word of whether it is used, of its name, or of peaks."""

    def __init__(self, *, devices=1, forked=False):
        self.devices, self.forked = devices, forked
        self.waited, self.state = [], 0
        self.pools = self.used = 0

    def device_count(self):
        return self.devices

    def is_available(self):
        return self.devices > 0

    def _is_in_bad_fork(self):
        return self.forked

    def synchronize(self):
        self.waited.append(None)

    def manual_seed(self, seed):
        self.state = seed

    def get_rng_state(self, _device):
        return self.state

    def set_rng_state(self, state, _device):
        self.state = state

    def take(self, size):
        """Allocate and free again: the pools keep what they took."""
        self.pools = max(self.pools, self.used + size)

    def empty_cache(self):
        self.pools = self.used

    def driver_allocated_memory(self):
        return self.pools


def install(monkeypatch, kind, module):
    """Let torch have this accelerator, and no other; None is a build without any."""
    accelerator._has_device.cache_clear()
    switches._list_torch_flags.cache_clear()
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind) if kind else None)
    if kind:
        monkeypatch.setattr(torch, kind, module, raising=False)
        monkeypatch.setattr(torch, "get_device_module", lambda device=None: getattr(torch, torch.device(device or kind).type))
        monkeypatch.setattr(torch.accelerator, "device_count", module.device_count)
    return module


def forget():
    """Forget what was found of a stand-in."""
    accelerator._has_device.cache_clear()
    switches._list_torch_flags.cache_clear()


def refuse(monkeypatch, *names):
    """Make functions of ``torch.cuda`` raise: who calls them begins to use CUDA, or asks for what is not there."""

    def fail(*_arguments, **_options):
        raise AssertionError("torch.cuda was called")

    for name in names or CONTEXTUAL:
        monkeypatch.setattr(torch.cuda, name, fail)


CONTEXTUAL = (
    "_lazy_init",
    "init",
    "synchronize",
    "empty_cache",
    "current_device",
    "set_device",
    "get_device_name",
    "get_device_capability",
    "memory_allocated",
    "max_memory_allocated",
    "reset_peak_memory_stats",
    "mem_get_info",
    "get_rng_state",
    "set_rng_state",
    "Event",
    "device_count",
    "is_available",
)
