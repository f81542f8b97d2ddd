"""Memory: what saves it does not need more, and what draws more does not need less."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table

LADDER = {
    "base": (60.10, ""),
    "tiling": (43.58, "vae_tiling"),
    "offload": (28.87, "model_offload"),
    "four": (42.96, '[{name = "quantize", method = "bnb_nf4"}]'),
    "four_tiling": (26.42, '[{name = "quantize", method = "bnb_nf4"}, "vae_tiling"]'),
    "all": (14.15, '[{name = "quantize", method = "bnb_nf4"}, "vae_tiling", "model_offload"]'),
}
"""Of the memory ladder of HunyuanVideo."""


def ladder(**changed):
    rows = {name: (changed.get(name, memory), stack) for name, (memory, stack) in LADDER.items()}
    return table(*(row(name, f"latency_s = 863; memory_gb = {memory}", stack) for name, (memory, stack) in rows.items()))


def test_a_ladder_as_it_was_published_adds_up():
    assert found(ladder()) == []


@pytest.mark.parametrize("changed", [{"tiling": 63.58}, {"offload": 82.87}, {"all": 41.15}, {"four_tiling": 62.42}, {"base": 16.10}])
def test_a_swapped_digit_of_what_saves_memory(changed):
    assert "memory" in rules(ladder(**changed))


@pytest.mark.parametrize("changed", [{"offload": 60.10}, {"all": 26.42}, {"all": 43.58}, {"four": 60.10}])
def test_a_figure_that_was_copied_from_another_row(changed):
    (name,) = changed
    assert {setup for rule, setup, _ in found(ladder(**changed)) if rule == "memory"} >= {f"page/{name}"}


def test_the_row_whose_figure_it_is_is_named():
    assert "'base' without it has the same to the last digit" in messages(ladder(offload=60.10))[0]


def test_a_figure_of_few_digits_may_be_the_same_twice():
    assert (
        found(table(row("base", "latency_s = 5; memory_gb = 16"), row("offload", "latency_s = 5; memory_gb = 16", "model_offload"))) == []
    )


def test_figures_that_differ_by_the_allocator_are_the_same():
    assert (
        found(table(row("base", "latency_s = 5; memory_gb = 14.9453"), row("tiled", "latency_s = 5; memory_gb = 14.9460", "vae_tiling")))
        == []
    )


def test_layer_by_layer_needs_no_more_than_model_by_model():
    def offloads(sequential):
        return table(
            row("base", "latency_s = 5; memory_gb = 21.72"),
            row("model", "latency_s = 5; memory_gb = 20.21", "model_offload"),
            row("sequential", f"latency_s = 5; memory_gb = {sequential}", "sequential_offload"),
        )

    assert (rules(offloads("19.91")), rules(offloads("20.91"))) == ([], ["memory"])


def test_what_is_not_known_to_save_memory_may_need_more():
    cached = table(
        row("base", "latency_s = 32; memory_gb = 14.344"),
        row("cached", "latency_s = 24; memory_gb = 22.199", '[{name = "first_block_cache", threshold = 0.1}]'),
    )
    assert found(cached) == []


def test_rows_that_cannot_be_built_are_not_compared_by_their_stacks():
    rows = [
        row("base", "latency_s = 5; memory_gb = 14.3"),
        row("other", "latency_s = 4; memory_gb = 22.1", "vae_tiling", unsupported='"another engine"'),
    ]
    assert found(table(*rows)) == []


def test_compiling_loads_what_it_loaded_before():
    def loads(compiled):
        return table(row("base", "latency_s = 5; load_gb = 31.438"), row("compiled", f"latency_s = 4; load_gb = {compiled}", "compile"))

    assert (rules(loads("31.439")), rules(loads("20.386"))) == ([], ["memory"])


def test_more_pictures_need_no_less():
    def batches(peak, load):
        return table(
            row("base", "latency_s = 5; memory_gb = 33.851; load_gb = 31.438"),
            row("fast", "latency_s = 4", "sdpa compile"),
            row("four", f"latency_s = 20; memory_gb = {peak}; load_gb = {load}; recipe = {{images = 4}}", "", base="four"),
        )

    assert found(batches("39.49", "31.438")) == []
    assert found(batches("33.850", "31.438")) == [], "what loading takes may be the peak of both"
    assert found(batches("29.49", "28.438")) == [("memory", "page/four", "rows[2].memory_gb"), ("memory", "page/four", "rows[2].load_gb")]


def test_more_after_loading_than_at_the_peak_of_another_column():
    assert (
        rules(
            table(
                row("base", 'latency_s = 5; memory_gb = 12.2; stated = [{where = "column", load_gb = 15.0}]'), row("fast", "latency_s = 4")
            )
        )
        == ["memory", "two-figures"][:1]
    )
