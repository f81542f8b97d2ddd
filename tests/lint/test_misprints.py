"""Misprints: no numbers, and figures that are impossible beside their neighbors."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table

from pytest_sdspeed.lint.misprints import is_number


@pytest.mark.parametrize("text", ["12,.79", "1.2.3", "3..5", "12,79,1", "4.5o6", "1,23.4"])
def test_what_is_no_number(text):
    assert not is_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "OOM",
        "OOM after 2nd iteration",
        "OOM x4",
        "failed",
        "-",
        "~30 s",
        "4 s",
        "2.34s",
        "2.5x",
        "x2.5",
        "5-300x",
        "+37.88%",
        "57,458M \u25bc37.7%",
        "PSNR: 21.77",
        "FP8 on H100",
        "bit-identical",
        "1024x1024",
        "~1GiB",
        "3/4",
    ],
)
def test_what_is_a_number_with_what_may_stand_around_it_or_words(text):
    assert is_number(text)


def rates(*figures, images=(1, 4, 16)):
    """A compiled row for each batch, beside its baseline."""
    rows = []
    for count, rate in zip(images, figures, strict=True):
        rows += [
            row(f"b{count}", f"iterations_per_s = {rate}; recipe = {{images = {count}}}", "", base=f"b{count}"),
            row(f"c{count}", "speedup = 1.1", "compile", base=f"b{count}"),
        ]
    return table(*rows, unit="denoising")


def test_rates_fall_with_the_batch():
    assert found(rates(6.9, 1.79, 0.427)) == []
    assert found(rates(21.66, 21.9, 3.04)) == [], "a host that is waited for draws two as fast as one"


def test_seconds_per_iteration_under_iterations_per_second():
    assert found(rates(6.9, 1.79, 2.34)) == [("misprint", "page/b16", "rows[4].iterations_per_s")]
    assert "as seconds per iteration it would be 0.4274 it/s" in messages(rates(6.9, 1.79, 2.34))[0]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("images = 8", ["misprint"]),
        ("height = 2048", ["misprint"]),
        ("frames = 49", ["misprint"]),
        ("height = 512, images = 2", []),
        ("steps = 100", []),
    ],
)
def test_more_work_is_not_faster(recipe, expected):
    one = table(
        row("base", "latency_s = 6.40"),
        row("fast", "latency_s = 5.9"),
        row("large", f"latency_s = 4.06; recipe = {{{recipe}}}", "", base="large"),
    )
    assert rules(one) == expected


def sized(ours, recipe, theirs="6.40"):
    """Two batches or sizes of one stack, each with a row that is compared with it."""
    return table(
        row("base", f"latency_s = {theirs}"),
        row("fast", "speedup = 1.1"),
        row("large", f"latency_s = {ours}; recipe = {{{recipe}}}", "", base="large"),
        row("quick", "speedup = 1.1", "fast", base="large"),
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [("6.41", "6.40", []), ("6.40", "6.40", ["misprint"]), ("6.4", "6.4", []), ("0.031", "0.031", [])],
)
def test_the_time_of_another_batch_was_copied(ours, theirs, expected):
    assert rules(sized(ours, "images = 4", theirs)) == expected


@pytest.mark.parametrize(
    ("ours", "recipe", "expected"),
    [
        ("28.0", "images = 4", []),
        ("82.0", "images = 4", ["misprint"]),
        ("80.0", "height = 2048", ["misprint"]),
        ("40.0", "height = 2048", []),
        ("40.0", "frames = 2", []),
    ],
)
def test_more_work_is_not_far_slower_than_there_is_more(ours, recipe, expected):
    assert rules(sized(ours, recipe)) == expected


def test_seconds_per_iteration_in_a_row_of_a_larger_batch():
    assert found(rates(6.9, 0.559, 0.427)) == [("misprint", "page/b4", "rows[2].iterations_per_s")]
    assert (
        "x12.34 the time for at most x4 the work; as seconds per iteration it would be 1.789 it/s" in messages(rates(6.9, 0.559, 0.427))[0]
    )
    assert "the same to the last digit" in messages(rates(6.91, 1.79, 1.79))[0]


def test_a_latency_outside_of_its_own_timings():
    def timed(latency):
        return table(row("base", f"latency_s = {latency}; spread = {{timings_s = [1.0565, 1.0567, 1.0597]}}"), row("fast", "speedup = 1.1"))

    assert (rules(timed("1.058")), rules(timed("1.508"))) == ([], ["misprint"])
