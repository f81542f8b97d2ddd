"""Tests of a CUDA GPU: without one they are skipped as a whole. On an H200 they are to take two minutes."""

from __future__ import annotations

import pytest

from pytest_sdspeed.device.machine import describe_cuda
from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import EmbeddedFirst, PretrainedSource, RandomSource
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup


@pytest.fixture(scope="session", autouse=True)
def gpu():
    """The machine."""
    try:
        return describe_cuda()
    except UnsupportedError:
        pytest.skip("needs a CUDA GPU")


@pytest.fixture(scope="session")
def source():
    return EmbeddedFirst(PretrainedSource("cuda"), RandomSource("cuda"))


@pytest.fixture(scope="module")
def pool(source):
    """Modules of one table after the other: all of them at once would fill a smaller GPU."""
    pool = Pool(source)
    yield pool
    pool.clear()


@pytest.fixture
def make(gpu, pool):
    """``make(recipe, "fp16", ...)``: a setup of that recipe and stack; skips where this machine cannot run it."""

    def setup(recipe, *names):
        made = Setup("tested", recipe, Registry().stack(names, "test", recipe), machine=gpu, pool=pool, resolved=None)
        if made.unsupported:
            pytest.skip(made.unsupported)
        return made

    return setup
