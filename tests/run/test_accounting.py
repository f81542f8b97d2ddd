"""Accounts of setups and callables."""

import pytest
import torch

from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.run.accounting import count_callable, count_setup
from pytest_sdspeed.setups.catalog import Catalog
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.tables import open_tables

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def count_row(table, row):
    registry = Registry()
    catalog = Catalog(open_tables((), registry.metrics), registry, gpu=True, device=lambda: "NVIDIA A100")
    resolved = catalog.choose(table, row, "test")
    return count_setup(resolved, registry.stack(resolved.optimizations, "test", resolved.recipe))


@pytest.mark.slow
def test_an_account_has_the_weights_of_its_pipeline_alone():
    baseline, distilled = count_row("distillation", "baseline"), count_row("distillation", "distilled")
    assert distilled.weight_bytes < baseline.weight_bytes
    assert distilled.peak_bytes < baseline.peak_bytes
    assert distilled.flops < baseline.flops


@pytest.mark.slow
def test_a_traced_model_is_refused():
    with pytest.raises(UnsupportedError, match=r"torch\.jit\.trace"):
        count_row("legacy", "traced_unet")


def test_a_callable_is_counted_and_what_it_prepares_is_not():
    def draw(device):
        x = torch.randn(3, 3, device=device)
        return lambda: (x @ x).sum().item()

    account = count_callable(draw)
    assert (account.operations, account.host_syncs, account.flops) == (2, 1, 54)
    assert count_callable(lambda device: torch.randn(3, device=device).sum().item()).operations == 2
    assert count_callable(draw) == account
