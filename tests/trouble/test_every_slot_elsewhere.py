"""Broken slots of arms that live in other processes, or that are judged there; and the memory of a process of many tests."""

from __future__ import annotations

import pytest
from against import compare, stored
from children import OWN_CLOCK, PLUGINS, WORKERS

ENGINE = """
import random

import numpy
from fake_clock import CLOCK

NOISE = random.Random(2)
PICTURE = numpy.random.default_rng(1).random((32, 32, 3), dtype=numpy.float32)

def spend():
    CLOCK.spend(0.05 * NOISE.gauss(1, 0.003))

def noisy(number):
    return numpy.clip(PICTURE + numpy.random.default_rng(number).normal(0, 0.02, PICTURE.shape), 0, 1)
"""
CALLABLE = """
CALLS_OF_{name} = []

def {name}():
    spend()
    CALLS_OF_{name}.append(1)
    calls = len(CALLS_OF_{name})
    return {drawn}
"""
OFTEN_NAN = "PICTURE * numpy.nan if calls % 2 else PICTURE"
"""Every other picture is not finite."""
DRAWN = {
    # In hand, and in the other version.
    "new": (OFTEN_NAN, "PICTURE"),
    "old": ("PICTURE", OFTEN_NAN),
    "nothing": ("PICTURE if calls % 4 else None", "PICTURE"),
    "unreadable": ("PICTURE if calls != 3 else {}", "PICTURE"),
    "changing": ("PICTURE", "noisy(calls) if calls > 1 else PICTURE"),
}
TESTS = """
import engine
import pytest

@pytest.mark.parametrize("name", ["new", "old", "nothing", "unreadable", "changing"])
def test_it(sd_latency, name):
    sd_latency(getattr(engine, name))
"""


@pytest.fixture
def against(pytester, once):
    """The result and the records of one run against another version of all these callables."""

    def run():
        for side, folder in enumerate((pytester.path, pytester.mkdir("old"))):
            callables = [CALLABLE.format(name=name, drawn=drawn[side]) for name, drawn in DRAWN.items()]
            (folder / "engine.py").write_text(ENGINE + "".join(callables))
        return compare(pytester, "-v", test=TESTS), stored(pytester)

    return once("against", run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("new", "* of * slots not finite, every other one*"),
        ("old", "*the baseline: * of * slots not finite, every other one*"),
        ("nothing", "* of * slots returned nothing, every 4th one*"),
        ("unreadable", "*1 of * slots returned no picture*a dict*"),
    ],
)
def test_slots_of_another_process_count_as_well(against, name, said):
    found, _ = against
    found.stdout.fnmatch_lines([f"*test_it[[]{name}[]] FAILED*", f"{name} of *: {said}"])


@pytest.mark.slow
def test_a_version_that_draws_another_picture_each_time_is_not_identical_to_the_other(against):
    found, records = against
    found.stdout.fnmatch_lines(
        ["*test_it[[]changing[]] PASSED*", "note: *changing*the baseline does not draw the same each time: * PSNR 3?.? dB*"]
    )
    record = records["test_it[changing]"]
    assert record["against"]["identical"] is False
    assert record["baseline_self_difference"]["differing"] > 2


FAKE = f"""{OWN_CLOCK}
import random

NOISE, spend = random.Random(3), CLOCK.spend
CLOCK.spend = lambda seconds: spend(seconds * NOISE.gauss(1, 0.003))
"""
"""A conftest by which the engines take nearly as long each time."""
ENGINES = """
import pathlib
import numpy as np
import pytest
from conftest import CLOCK

GOOD = np.random.default_rng(0).random((32, 32, 3))
CALLS = []
MARK = pathlib.Path("seen")
SECOND = MARK.exists()

def steady():
    CLOCK.spend(1.0)
    return GOOD.copy()

def broken():
    MARK.touch()
    CLOCK.spend({seconds})
    CALLS.append(1)
    return GOOD * np.nan if {when} and len(CALLS) % 2 else GOOD.copy()

@pytest.mark.sd_latency(speedup=1.5, image={{"psnr": 30}})
def test_broken(sd_latency):
    sd_latency(broken, baseline=steady)
"""


@pytest.mark.slow
def test_under_xdist_the_share_is_said_as_well(pytester):
    pytester.makeconftest(FAKE)
    pytester.makepyfile(ENGINES.format(seconds=0.5, when=True))
    found = pytester.runpytest_subprocess(*WORKERS, "-n1", "--benchmark-json=out.json")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["* slots not finite, every other one*"])
    (record,) = stored(pytester).values()
    assert record["image_verdict"] == "fail"


@pytest.mark.slow
def test_a_confirmation_counts_every_slot_too(pytester):
    # The first process is too slow and draws what is right; the second is fast and draws NaN in every other slot.
    pytester.makeconftest(FAKE)
    pytester.makepyfile(ENGINES.format(seconds="0.5 if SECOND else 1.0", when="SECOND"))
    found = pytester.runpytest_subprocess(*PLUGINS, "--sd-confirm")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*failed in a fresh process too * slots not finite, every other one*"])


@pytest.mark.slow
def test_six_tests_of_videos_take_the_memory_of_one(pytester):
    pytester.makeconftest(FAKE)
    pytester.makepyfile(
        """
        import re
        import numpy as np
        import pytest
        from conftest import CLOCK

        FRAMES = np.random.default_rng(0).integers(0, 255, (25, 120, 180, 3), dtype=np.uint8)
        RESIDENT = []

        def engine(seconds):
            def draw():
                CLOCK.spend(seconds)
                return FRAMES.astype(np.float32) / 255
            return draw

        @pytest.mark.parametrize("case", range(6))
        @pytest.mark.sd_latency(speedup=1.5)
        def test_video(sd_latency, case):
            sd_latency(engine(0.5), baseline=engine(1.0))
            RESIDENT.append(int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)

        def test_afterwards():
            # A test's pictures are 6.5 MB as floats, of each arm.
            assert RESIDENT[-1] - RESIDENT[1] < 20, RESIDENT
        """
    )
    pytester.runpytest_subprocess(*PLUGINS).assert_outcomes(passed=7)
