"""A project whose setups draw nothing and take their time and memory by meters of each process: campaigns under pytest-xdist, without pipelines."""

from __future__ import annotations

from children import OWN_CLOCK, WORKERS

CONFTEST = f"""{OWN_CLOCK}
import os
import random
import signal
from contextlib import contextmanager

import numpy as np

from pytest_sdspeed import Optimization
from pytest_sdspeed.model import Profile
from pytest_sdspeed.device import memory
from pytest_sdspeed.setups.setup import Setup

memory.ResidentMemory.peak_bytes = lambda self: 4096
SECONDS = {{"baseline": 1.5, "quick": 1.0, "quicker": 0.75, "quickest": 0.5}}
NOISE = {{}}


def draw(self, case):
    if self.name == os.environ.get("KILL_IN"):
        os.kill(os.getpid(), signal.SIGKILL)
    noise = NOISE.setdefault((self.resolved.table.name, self.name), random.Random(self.name))
    CLOCK.spend(SECONDS[self.name] * noise.gauss(1, 0.003))
    return np.random.default_rng(case.seed).random((1, 32, 32, 3), dtype=np.float32)


@contextmanager
def slot(self):
    yield


Setup.draw, Setup.slot, Setup.build = draw, slot, lambda self: None
Setup.weight_bytes, Setup.profile = lambda self: 0, lambda self, case: Profile()


def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="plain", summary="nothing", changes=frozenset(), apply=lambda *_: None))


def engine(seconds):
    noise = random.Random(seconds)
    return lambda: CLOCK.spend(seconds * noise.gauss(1, 0.003))
"""

TABLE = """
schema = 1
name = "{name}"
title = "Made up"
source = "https://example.org/{name}"
device = "cpu"

[recipe]
model = "miniature"
prompt = "a vase"
height = 32
width = 32
steps = 2
scheduler = "ddim"

[[rows]]
setup = "baseline"
optimizations = []
speedup = 1
"""
ROW = """
[[rows]]
setup = "{setup}"
optimizations = ["plain"]
speedup = {speedup}
image = {{psnr = 30}}
"""
TESTS = """
import pytest
from conftest import engine


@pytest.mark.sd_latency(table="alpha")
def test_alpha(sd_latency, sd_setup):
    sd_latency(sd_setup)


@pytest.mark.sd_latency(table="beta")
def test_beta(sd_latency, sd_setup):
    sd_latency(sd_setup)


@pytest.mark.sd_latency(speedup=1.5)
@pytest.mark.parametrize("seconds", [1.3], ids=["mine"])
def test_engine(sd_latency, seconds):
    sd_latency(engine(seconds), baseline=engine(1.5))


def test_other():
    pass
"""
OPTIONS = (*WORKERS, "-p", "no:cacheprovider", "-W", "default", "--sd-tables=tables", "-v", "-rs")


def write_project(pytester):
    """Write the project: two tables with a campaign each, a callable that is too slow, and a test that measures nothing."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)
    folder = pytester.mkdir("tables")
    rows = {"alpha": [("quick", 1.5), ("quickest", 3)], "beta": [("quick", 1.5), ("quicker", 2)]}
    for name, documented in rows.items():
        text = "".join(ROW.format(setup=setup, speedup=speedup) for setup, speedup in documented)
        (folder / f"{name}.toml").write_text(TABLE.format(name=name) + text)
