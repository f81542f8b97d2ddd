"""A table whose rows draw nothing and take their time by a clock that only they move, with claims: runs that judge sentences."""

from __future__ import annotations

import textwrap

CONFTEST = """
from contextlib import contextmanager

from pytest_sdspeed import Optimization
from pytest_sdspeed.device import memory
from pytest_sdspeed.model import Profile
from pytest_sdspeed.setups.setup import Setup

memory.ResidentMemory.peak_bytes = lambda self: 4096
SECONDS = {seconds}
PICTURES = {pictures}
CV = {cv}
NOISES = dict()


def draw(self, case, output="np"):
    noise = NOISES.setdefault(self.name, random.Random(self.name + "{seed}"))
    builtins.sd_fake_time.spend(SECONDS[self.name] * noise.gauss(1, CV))
    if self.name in {broken}:
        raise RuntimeError("planted")
    return picture(1000 * PICTURES.get(self.name, 0) + case.seed) * (self.name not in {black})


@contextmanager
def slot(self):
    yield


Setup.draw, Setup.slot, Setup.build = draw, slot, lambda self: None
Setup.weight_bytes, Setup.profile, Setup.check = lambda self: 0, lambda self, case: Profile(), lambda self: None
Setup.measure_loaded = lambda self: None


def pytest_sdspeed_register(registry):
    for name in ("plain", "plainer", "plainest"):
        registry.add_optimization(Optimization(name=name, summary="nothing", changes=frozenset(), apply=lambda *_: None))
"""

HEAD = """
schema = 2
name = "said"
title = "Made up"
source = "https://example.org/said"
device = "cpu"

[recipe]
model = "miniature"
prompt = "a vase"
height = 32
width = 32
steps = 2

[[rows]]
setup = "baseline"
optimizations = []
speedup = 1

[[rows]]
setup = "quick"
optimizations = ["plain"]
speedup = 1.5
image = {psnr = 30}

[[rows]]
setup = "quicker"
optimizations = ["plainer"]
speedup = 2
image = {psnr = 30}

[[rows]]
setup = "elsewhere"
optimizations = ["another engine"]
speedup = 3
unsupported = "it needs another engine"
"""

JUDGE = """
@pytest.mark.sd_latency(table="said")
def test_claims(sd_claim):
    sd_claim()
"""
SECONDS = {"baseline": 1.5, "quick": 1.0, "quicker": 0.75, "elsewhere": 0.5}


def claim(says, text="It is said."):
    """A claim as TOML."""
    return f'\n[[claims]]\ntext = "{text}"\n{says}\n'


def judge(gated, pytester, claims, *arguments, source=JUDGE, seconds=None, pictures=None, broken=(), black=(), cv=0.003, seed=1, head=HEAD):
    """Run the tests of claims of a table whose rows take these seconds."""
    (pytester.path / "said.toml").write_text(head + claims)
    conftest = CONFTEST.format(
        seconds={**SECONDS, **(seconds or {})}, pictures=pictures or {}, broken=broken, black=black, cv=cv, seed=seed
    )
    return gated(source, "-p", "no:cacheprovider", "--sd-tables=said.toml", *arguments, conftest=textwrap.indent(conftest, 12 * " "))
