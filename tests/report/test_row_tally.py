"""What is said of the rows that a run was asked for: every row has a figure, a reason, or a name."""

from __future__ import annotations

import pytest

from pytest_sdspeed.report.row_tally import RowFate, format_duration, format_tally


def asked(**tables):
    return {f"test_{table}[{row}]": (table, row) for table, rows in tables.items() for row in rows.split()}


def fate(table, setup, fate_, reason=""):
    return f"test_{table}[{setup}]", RowFate(table=table, setup=setup, fate=fate_, reason=reason)


def test_one_table_whose_rows_all_have_a_figure_needs_no_words():
    assert format_tally(asked(a="x y"), dict([fate("a", "x", "figure"), fate("a", "y", "figure")]), "measured", 3) == []
    assert format_tally({}, {}, "measured", 3) == []


def test_reasons_are_grouped_and_those_of_most_rows_come_first():
    fates = [
        fate("a", "x", "figure"),
        fate("a", "y", "unsupported", "another engine"),
        fate("b", "x", "unsupported", "another engine"),
        fate("b", "y", "unsupported", "several GPUs"),
        fate("b", "z", "skipped", "xformers is not installed"),
        fate("c", "x", "elsewhere", "run with --sd-gpu"),
    ]
    assert format_tally(asked(a="x y", b="x y z", c="x"), dict(fates), "counted", 125) == [
        "sd rows: 6 of 3 tables in 2 min 5 s: 1 counted, 3 that this project cannot build, 1 skipped, 1 for another kind of device",
        "skipped, 1 row: xformers is not installed: b::z",
        "unsupported, 2 rows: another engine: a::y, b::x",
        "unsupported, 1 row: several GPUs: b::y",
    ]


def test_a_row_that_did_not_run_is_named():
    assert format_tally(asked(a="x y"), dict([fate("a", "x", "figure")]), "rehearsed", 1) == [
        "sd rows: 2 of 1 table in 1 s: 1 rehearsed, 1 not run",
        "not run: a::y",
    ]


def test_a_row_that_failed_without_a_figure_is_none_that_was_measured():
    lines = format_tally(asked(a="x y"), dict([fate("a", "x", "figure"), fate("a", "y", "failed")]), "measured", 1)
    assert lines == ["sd rows: 2 of 1 table in 1 s: 1 measured, 1 failed without a figure", "failed without a figure: a::y"]


def test_many_rows_are_named_by_their_tables():
    rows = " ".join(f"r{number}" for number in range(5))
    fates = [fate(table, row, "skipped", "no GPU") for table in "ab" for row in rows.split()]
    assert format_tally(asked(a=rows, b=rows), dict(fates), "measured", 1)[1:] == ["skipped, 10 rows: no GPU: a (5), b (5)"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.6, "1 h 0 min"), (7380, "2 h 3 min")]
)
def test_durations(seconds, said):
    assert format_duration(seconds) == said
