"""Equal setups are counted once in a run, whatever their tables and rows are called."""

from dataclasses import replace

import pytest

from pytest_sdspeed.model import Account
from pytest_sdspeed.run.setup_counts import SetupCounts, make_key
from pytest_sdspeed.setups.catalog import Catalog
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.tables import open_tables


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def choose(registry):
    """A function that resolves a row, with changes to its recipe."""
    catalog = Catalog(open_tables((), registry.metrics), registry, gpu=True, device=lambda: "NVIDIA A100")

    def choose(table, setup, **changes):
        found = catalog.choose(table, setup, "test")
        return replace(found, recipe=replace(found.recipe, **changes))

    return choose


@pytest.fixture
def counted(monkeypatch):
    """Names of the setups that are counted, whose accounts differ."""
    asked = []

    def count(resolved, _stack, _registry):
        asked.append(f"{resolved.table.name}/{resolved.setup}")
        return Account(operations=len(asked))

    monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup", count)
    return asked


def test_rows_of_two_tables_that_draw_the_same_share_one_account(registry, choose, counted):
    counts = SetupCounts(registry)
    one, other = choose("flux_compile_h100", "flux_compile_h100_eager"), choose("flux_memory_rtx4090", "flux_memory_rtx4090_nf4")
    same = replace(other, recipe=replace(one.recipe, repeats=9))
    assert counts.count(one, ()) is counts.count(same, ())
    assert counted == ["flux_compile_h100/flux_compile_h100_eager"]


@pytest.mark.parametrize(
    "changes", [{"steps": 29}, {"seed": 1}, {"prompt": "a dog"}, {"call": {"max_sequence_length": 64}}, {"dtype": "float16"}]
)
def test_what_an_account_depends_on_is_counted_apart(registry, choose, counted, changes):
    counts = SetupCounts(registry)
    one, other = (choose("flux_compile_h100", "flux_compile_h100_eager", **found) for found in ({}, changes))
    assert counts.count(one, ()) != counts.count(other, ())
    assert len(counted) == 2


def test_an_option_at_its_default_is_the_same_if_it_is_spelled_out(registry, choose):
    resolved = choose("fbcache_b200", "fbcache_b200_compile")
    default, spelled, other = (
        make_key(resolved, registry.stack([label], "test", resolved.recipe))
        for label in ("first_block_cache", f"first_block_cache(threshold={registry.optimizations()['first_block_cache'].options['threshold']})",
                      "first_block_cache(threshold=0.5)")
    )  # fmt: skip
    assert default == spelled != other


def test_the_order_of_a_stack_makes_another_account(registry, choose):
    resolved = choose("flux_compile_h100", "flux_compile_h100_eager")
    stack = registry.stack(["vae_tiling", "vae_slicing"], "test", resolved.recipe)
    assert make_key(resolved, stack) != make_key(resolved, stack[::-1])


def test_what_raises_is_counted_again_so_that_each_message_names_its_own_row(registry, choose, monkeypatch):
    def fail(resolved, _stack, _registry):
        raise ValueError(resolved.setup)

    monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup", fail)
    counts = SetupCounts(registry)
    one = choose("flux_compile_h100", "flux_compile_h100_eager")
    for resolved in (one, replace(one, setup="other")):
        with pytest.raises(ValueError, match=resolved.setup):
            counts.count(resolved, ())


def test_parameters_are_counted_once_too(registry, choose, monkeypatch):
    asked = []
    monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup_parameters", lambda *given: asked.append(given) or {"": 7})
    counts = SetupCounts(registry)
    one = choose("flux_compile_h100", "flux_compile_h100_eager")
    assert counts.count_parameters(one, ()) == counts.count_parameters(replace(one, setup="other"), ()) == {"": 7}
    assert len(asked) == 1
