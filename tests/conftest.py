"""Shared by all tests: pytester, and a clock that only the measured callables move."""

import gc
import itertools
import os
import pkgutil
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from fakes import FakeClock
from remembered import remember_what_stays

import pytest_sdspeed
from pytest_sdspeed.store.ci import VARIABLES

# pytester forgets the modules that a run inside imports: extension modules cannot be imported twice, and a patch would hit a stale module.
for module in pkgutil.walk_packages(pytest_sdspeed.__path__, "pytest_sdspeed."):
    if module.name != "pytest_sdspeed.pipelines.traced":
        import_module(module.name)

remember_what_stays()

# Two processes of tests on two cores would wait for each other's threads far longer than one thread works; and so would those they start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# The command pytest-benchmark reads this file too, also where the tests' own dependencies are not installed.
if find_spec("hypothesis"):
    from hypothesis import settings

    # The same examples on every run: a gate's own tests must not be a lottery. To look for faults, SDSPEED_EXAMPLES=20000 draws as many others.
    examples = os.environ.get("SDSPEED_EXAMPLES")
    settings.register_profile("repeatable", derandomize=True)
    settings.register_profile("searching", max_examples=int(examples or 1), deadline=None)
    settings.load_profile("searching" if examples else "repeatable")

pytest_plugins = ["pytester", "small_pipelines"]


@pytest.fixture(scope="session", autouse=True)
def untraced_processes():
    """What tests start is not traced for coverage: that doubles the time of a process, which goes into importing torch."""
    for variable in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        os.environ.pop(variable, None)


COVERED_BY_QUICK_TESTS = {"dry", "pipelines", "plugin"}
"""Rooms whose slow tests reach few lines that their quick ones do not."""


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collecting is not traced for coverage either: this file has imported every module already."""
    tracer = sys.gettrace()
    if not type(tracer).__module__.startswith("coverage"):
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A room is covered by its own tests, some by quick ones alone: no others are traced, which doubles the time of what Python does."""
    tracer, room = sys.gettrace(), Path(pytest_sdspeed.__file__).with_name(item.path.parent.name)
    traced = room.is_dir() and not (room.name in COVERED_BY_QUICK_TESTS and item.get_closest_marker("slow"))
    if traced or not type(tracer).__module__.startswith("coverage"):
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture(autouse=True)
def runs_of_their_own(monkeypatch):
    """The runs inside write no summary of the run around them, are no attempts of it, and no workers, which would measure nothing."""
    for variable in ("GITHUB_STEP_SUMMARY", "PYTEST_XDIST_WORKER", *VARIABLES):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def no_hooks_that_torch_forgot():
    """torch forgets to take a hook of every module with named arguments off its second list, and then warns of hooks at each compilation."""
    hooks = sys.modules.get("torch.nn.modules.module")
    if hooks and not hooks._global_forward_hooks:
        hooks._global_forward_hooks_with_kwargs.clear()
        hooks._global_forward_hooks_always_called.clear()


@pytest.fixture(autouse=True)
def quiet_machine(request, monkeypatch):
    """The runs inside say nothing of what else runs on this machine, unless a test asks for it."""
    if "real_load" not in request.fixturenames and request.path.stem != "test_load":
        monkeypatch.setattr("pytest_sdspeed.device.load.LoadWatch.describe", lambda _watch: "")


RUNS = itertools.count()


@pytest.fixture(autouse=True)
def short_collections(request, monkeypatch):
    """A campaign collects garbage around every generation: what was there before the test, and what its campaigns leave, is not walked through."""
    if {"pytester", "make", "make_small", "make_one_block"} & set(request.fixturenames) and next(RUNS) % 150 == 149:
        # What the runs inside left behind is let go of now and then.
        gc.unfreeze()
        gc.collect()
    gc.freeze()
    if "real_collector" not in request.fixturenames:
        monkeypatch.setattr(gc, "unfreeze", lambda: None)
        # Counting walks through all of it. Nothing, so that a campaign leaves out what the test has made before it.
        monkeypatch.setattr(gc, "get_freeze_count", lambda: 0)


@pytest.fixture(autouse=True)
def same_classes():
    """Put back what a conftest of a run inside replaced for good: such a run is in this process."""
    from pytest_sdspeed.device import canary, memory
    from pytest_sdspeed.measure import clock
    from pytest_sdspeed.setups.setup import Setup

    owners = [Setup, memory.ResidentMemory, memory, canary, clock]
    before = [dict(vars(owner)) for owner in owners]
    yield
    for owner, kept in zip(owners, before, strict=True):
        for name, value in [*vars(owner).items()]:
            if name not in kept:
                delattr(owner, name)
            elif value is not kept[name]:
                setattr(owner, name, kept[name])


@pytest.fixture
def fake_time(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr("pytest_sdspeed.measure.clock.WallClock", lambda _synchronize: clock)
    # Its work is real and takes no time on this clock.
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
    monkeypatch.setattr("builtins.sd_fake_time", clock, raising=False)
    return clock


@pytest.fixture
def gated(pytester, fake_time, monkeypatch):
    """Runs a test file on the fake clock: ``engine(seconds, pictures)`` makes a callable that takes that long.

    The run has no other plugins, unless they are named (``"-p", "xdist"``) or ``autoload`` asks for all.
    """

    def run(source, *arguments, conftest="", autoload=False):
        pytester.makeconftest(
            """
            import builtins, random
            import numpy as np
            import pytest

            NOISE = random.Random(1)

            def engine(seconds, pictures=None, cv=0.003):
                def generate():
                    builtins.sd_fake_time.spend(seconds * NOISE.gauss(1, cv))
                    return pictures
                return generate

            def picture(seed=0, side=32):
                return np.random.default_rng(seed).random((1, side, side, 3), dtype=np.float32)

            """
            + conftest
        )
        pytester.makepyfile(f"import numpy as np\nimport pytest\nfrom conftest import engine, picture\n\n{source}")
        # Warnings stay warnings: the runs inside are users' runs, not this project's own.
        arguments = ("-p", "no:randomly", "-W", "default", "-rs", *arguments)
        if autoload:
            return pytester.runpytest_inprocess(*arguments)
        own = (part for plugin in ("benchmark", "sdspeed") if f"no:{plugin}" not in arguments for part in ("-p", plugin))
        with monkeypatch.context() as patched:
            # Finding and loading all plugins that are installed takes longer than most of these runs.
            patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return pytester.runpytest_inprocess(*own, *arguments)

    return run


@pytest.fixture(scope="module")
def once():
    """Makes something for the first test of a file that asks for it, and keeps it for the others: ``once("run", make)``."""
    made = {}

    def find(name, make):
        if name not in made:
            made[name] = make()
        return made[name]

    return find


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """An empty bucket in memory, and an empty cache."""
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return MemoryFileSystem()


@pytest.fixture
def fetched(monkeypatch):
    """Names of the files that are fetched from a bucket."""
    from fsspec.implementations.memory import MemoryFileSystem

    names, cat_file = [], MemoryFileSystem.cat_file

    def watched(self, path, *arguments, **options):
        names.append(path.rpartition("/")[2])
        return cat_file(self, path, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", watched)
    return names
