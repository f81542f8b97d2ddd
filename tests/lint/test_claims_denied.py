"""Claims that the documented figures of their own table deny."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table

from pytest_sdspeed.lint import Counts, fingerprint, lint_tables

ROWS = (
    row("base", "latency_s = 3.00; memory_gb = 31.1"),
    row("nvfp4", "latency_s = 2.27; memory_gb = 20.6"),
    row("compiled", "latency_s = 1.68; memory_gb = 20.6"),
    row("untimed", "speedup = 1.5"),
)


def claimed(*lines, rows=ROWS):
    return table(*rows, claims=["\n".join(['text = "It is so."', *lines])])


@pytest.mark.parametrize(
    ("claim", "denied"),
    [
        (['faster = ["compiled", "nvfp4", "base"]'], False),
        (['faster = ["nvfp4", "compiled"]'], True),
        (['slower = ["base", "compiled"]'], False),
        (['slower = ["compiled", "base"]'], True),
        (['faster = ["compiled", "base"]', "by = 1.8"], False),
        (['faster = ["compiled", "base"]', "by = 1.80"], True),
        (['faster = ["compiled", "base"]', "by = 2"], True),
        (['faster = ["compiled", "base"]', "by = 1.5"], False),
        (['faster = ["untimed", "base"]', "by = 1.5"], False),
        (['faster = ["untimed", "base"]', "by = 1.7"], True),
        (['less_memory = ["nvfp4", "base"]'], False),
        (['less_memory = ["base", "nvfp4"]'], True),
        (['less_memory = ["nvfp4", "compiled"]'], False),
        (['less_memory = ["nvfp4", "base"]', "by = 0.67"], False),
        (['less_memory = ["nvfp4", "base"]', "by = 0.5"], True),
    ],
)
def test_a_claim_is_held_against_the_documented_figures(claim, denied):
    assert rules(claimed(*claim)) == (["claim"] if denied else [])


def test_a_claim_is_named_with_its_rows():
    one = claimed('faster = ["nvfp4", "compiled"]')
    assert found(one) == [("claim", "page/", "claims[0].faster")]
    assert messages(one) == ["'It is so.': 'nvfp4' would be faster against 'compiled', and 1.68 s / 2.27 s is x0.7401"]


def test_what_has_no_figures_is_not_checked_and_said():
    one = claimed('less_memory = ["untimed", "base"]')
    unchecked = [(each.setup, each.reason) for each in lint_tables([one], {}).unchecked if each.rule == "claim"]
    assert unchecked == [("untimed and base", "no peaks of memory are documented for both")]


@pytest.mark.parametrize(("by", "denied"), [("0.49", True), ("0.561", True), ("0.562", False), ("0.5", True), ("0.57", False)])
def test_parameters_are_those_that_were_counted(by, denied):
    one = claimed('parameters = ["nvfp4", "base"]', f"by = {by}", 'part = "denoiser"')
    sizes = {"base": 859_520_964, "nvfp4": 482_346_884}
    counts = {
        fingerprint(each): Counts(fingerprint=fingerprint(each), parts={"denoiser": sizes[each.setup]})
        for each in one.rows
        if each.setup in sizes
    }
    assert rules(one, counts=counts) == (["claim"] if denied else [])
