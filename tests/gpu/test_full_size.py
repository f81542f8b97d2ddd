"""Every built-in setup at full size, with random weights and few steps: it builds, draws, keeps to its bounds and leaves no flag behind.

What is compiled takes minutes and is measured by ``benchmarks/gpu/run_all.sh --fastest``.
"""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from builtin_tables import load_first

from pytest_sdspeed.device.flags import snapshot
from pytest_sdspeed.judge.pictures.gate import find_broken_bounds
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.setups.names import BUILTIN_SETUPS
from pytest_sdspeed.tables import load_tables

STEPS = 12
"""Four of them in full with ``feature_cache_3``: fewer are further apart than a cache is for."""

ROWS = [
    pytest.param(table, row, id=f"{table.name}-{row.setup}")
    for table in load_first()
    if not table.on_cpu
    for row in table.rows
    if "compile" not in row.optimizations
]


def short(recipe):
    return replace(recipe, steps=STEPS, images=min(recipe.images, 4))


@pytest.fixture(scope="module")
def baselines():
    """Pictures of the baselines drawn so far."""
    return {}


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_it_draws_within_its_bounds_and_leaves_no_flag_behind(table, row, make, pool, baselines):
    if not any(name == table.name for name, _ in baselines):
        # A table begins: the modules of all of them would not fit into a smaller GPU.
        pool.clear()
        gc.collect()
        torch.cuda.empty_cache()
    assert row.setup in BUILTIN_SETUPS
    before = snapshot()
    setup = make(short(row.recipe), *row.optimizations)
    drawn = setup.generate(0)
    assert snapshot() == before
    assert drawn.shape == (setup.recipe.images, 512, 512, 3)
    assert np.isfinite(drawn).all()
    assert drawn.std() > 1e-4
    base = (table.name, row.baseline)
    if row.is_baseline:
        baselines[base] = drawn
        assert not np.array_equal(setup.generate(1), drawn)
    elif base not in baselines:
        baselines[base] = make(short(row.recipe), *table.row(row.baseline).optimizations).generate(0)
    if row.image_random is not None:
        assert find_broken_bounds(compare_batches(drawn, baselines[base], every_flip=False), row.image_random) == ()


@pytest.mark.parametrize(
    ("name", "flag"), [("tf32", "torch.backends.cuda.matmul.allow_tf32"), ("cudnn_benchmark", "torch.backends.cudnn.benchmark")]
)
def test_a_flag_is_held_in_the_slot_only(name, flag, make):
    table = next(table for table in load_tables(()) if table.name == "inference")
    setup, before = make(table.rows[0].recipe, name), snapshot()
    with setup.slot():
        assert snapshot()[flag] is True
    assert snapshot() == before
