"""One setup, published twice: inside a table, across tables, and what is not one setup."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table


def page(name, latency, stack="quantize", **further):
    return table(row("base", "latency_s = 100"), row("nf4", f"latency_s = {latency}", stack), name=name, **further)


def test_two_pages_of_one_setup():
    both = page("bitsandbytes", "32.570"), page("memory", "32.602")
    assert found(*both) == [("two-figures", "memory/nf4", "rows[1].latency_s")]
    (message,) = messages(*both)
    assert "32.570 (bitsandbytes/nf4), 32.602 (memory/nf4) s, 0.098% apart" in message


@pytest.mark.parametrize("latency", ["32.57", "32.6", "33"])
def test_figures_that_round_to_each_other_are_one(latency):
    assert found(page("one", "32.5702"), page("two", latency)) == []


def test_many_pages_of_one_setup_are_one_finding():
    sources = [page(f"source_{index}", latency) for index, latency in enumerate(("24.85", "24.94", "26.36", "23.40"))]
    assert len(found(*sources)) == 1
    assert "published 4 times" in messages(*sources)[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"device": "NVIDIA H100"},
        {"steps": 28},
        {"model": "org/other"},
        {"unit": "denoising"},
        {"stack": "quantize compile"},
        {"stack": "quantize first_block_cache"},
    ],
)
def test_what_differs_is_another_setup(changed):
    assert found(page("one", "32.570"), page("two", "12.602", **changed)) == []


@pytest.mark.parametrize("changed", [{"stack": "quantize sdpa"}, {"stack": "bf16 quantize"}, {"model": "mirror/MODEL"}, {"unit": "stage"}])
def test_what_is_said_in_other_words_is_the_same_setup(changed):
    assert rules(page("one", "32.570"), page("two", "12.602", **changed)) == ["two-figures"]


@pytest.mark.parametrize(
    "recipe",
    [
        "images = 4",
        "height = 512",
        "frames = 8",
        'pipeline = "FluxFillPipeline"',
        "guidance = 1",
        'scheduler = "HeunDiscreteScheduler"',
        "call = {max_sequence_length = 512}",
        'dtype = "float32"',
    ],
)
def test_another_recipe_is_another_setup(recipe):
    other = table(row("base", f"latency_s = 50; recipe = {{{recipe}}}"), row("fast", "latency_s = 40"), name="other")
    assert found(table(row("base", "latency_s = 100"), row("quick", "latency_s = 90")), other) == []


def test_one_setup_twice_in_one_table():
    assert rules(
        table(row("base", "latency_s = 42.74"), row("again", "latency_s = 44.61", "", base="again"), row("fast", "latency_s = 40"))
    ) == ["two-figures"]


def test_rows_that_cannot_be_built_and_differ_by_their_names_alone_are_not_compared():
    engine = {"unsupported": '"another engine"'}
    rows = [
        row("base", "latency_s = 25"),
        row("slow", "latency_s = 15", "engine", **engine),
        row("fast", "latency_s = 8", "engine", **engine),
    ]
    assert found(table(*rows)) == []


def test_memory_is_compared_too():
    one, other = (
        table(row("base", f"latency_s = 5; memory_gb = {memory}"), row("fast", "latency_s = 4"), name=name)
        for name, memory in (("a", "60.10"), ("b", "60.09"))
    )
    assert found(one, other) == [("two-figures", "b/base", "rows[0].memory_gb")]


def test_speed_ups_without_times_are_compared_against_equal_baselines():
    def ratio(name, speedup, stack=""):
        return table(row("base", "", stack), row("cached", f"speedup = {speedup}", "first_block_cache"), name=name)

    assert rules(ratio("a", "2.0"), ratio("b", "2.5")) == ["two-figures"]
    assert found(ratio("a", "2.0"), ratio("b", "2.04")) == []
    assert found(ratio("a", "2.0"), ratio("b", "2.5", "compile")) == []


@pytest.mark.parametrize(
    ("figure", "said", "differ"),
    [
        ("memory_gb = 60.10", "memory_gb = 60.09", True),
        ("memory_gb = 16.403", "memory_gb = 18.765", True),
        ("memory_gb = 28.09", "memory_gb = 28", False),
        ("latency_s = 10.2967", "latency_s = 10.2", True),
        ("latency_s = 10.2967", "latency_s = 10.3", False),
        ("latency_s = 243.312", "latency_s = 180", True),
        ("tflops = 59.523", "tflops = 74.395", True),
        ("load_gb = 3.5", "load_gb = 3.50", False),
    ],
)
def test_what_is_stated_beside_a_figure(figure, said, differ):
    one = table(row("base", f'speedup = 1; {figure}; stated = [{{where = "prose", {said}}}]'), row("fast", "speedup = 1.1"))
    assert rules(one) == (["two-figures"] if differ else [])


@pytest.mark.parametrize(
    ("where", "text", "differ"),
    [
        ("prose", "", True),
        ("prose", 'text = "~90 seconds"', False),
        ("in about 90 seconds", "", False),
        ("prose", 'text = "~70 seconds"', False),
    ],
)
def test_what_is_approximate_has_no_zeros(where, text, differ):
    said = ", ".join(filter(None, (f'where = "{where}"', "latency_s = 90", text)))
    one = table(row("base", f"latency_s = 93.896; stated = [{{{said}}}]"), row("fast", "speedup = 1.1"))
    assert rules(one) == (["two-figures"] if differ else [])


def test_an_approximate_figure_that_is_another_one():
    one = table(
        row("base", 'latency_s = 112.398; stated = [{where = "page", latency_s = 90, text = "~90 seconds"}]'), row("fast", "speedup = 1.1")
    )
    assert rules(one) == ["two-figures"]


def test_one_column_with_two_figures_and_no_figure_of_the_row():
    def column(first, second):
        return table(
            row("base", f'stated = [{{where = "{first}", memory_gb = 6.7}}, {{where = "{second}", memory_gb = 22.18}}]'),
            row("fast", "speedup = 1.1"),
        )

    assert rules(column("mem_plain_GB, all runs but one", "mem_plain_GB, one run")) == ["two-figures"]
    assert found(column("allocated", "reserved")) == []


def test_a_mean_beside_a_median_is_no_second_figure():
    timings = "spread = {timings_s = [1.5886, 1.603, 1.6177]}"
    stated = 'stated = [{where = "column mean", latency_s = 1.604}]'
    for further in (timings, 'notes = ""'):
        assert found(table(row("base", f"latency_s = 1.603; {further}; {stated}"), row("fast", "speedup = 1.1"))) == []
        assert rules(
            table(row("base", f"latency_s = 1.603; {further}; {stated.replace('1.604', '1.704')}"), row("fast", "speedup = 1.1"))
        ) == ["two-figures"]


def test_the_row_whose_figure_is_stated_is_named():
    one = table(row("base", 'latency_s = 3.00; stated = [{where = "docs", latency_s = 2.27}]'), row("nvfp4", "latency_s = 2.27"))
    assert messages(one)[0].endswith("it is the figure of 'nvfp4'")


def test_findings_are_about_the_tables_that_are_named():
    one, other = page("one", "32.570"), page("two", "32.602")
    assert found(one, other, about=["one"]) == [("two-figures", "one/nf4", "rows[1].latency_s")]
    assert found(one, other, about=[]) == []
