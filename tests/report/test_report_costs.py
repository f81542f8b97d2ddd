"""Columns on costs: they appear where a table documents them, and say what was measured and what passes."""

from __future__ import annotations

import pytest
from fakes import baseline_result, failed, result, tf32

from pytest_sdspeed.report import markdown, text
from pytest_sdspeed.report.page.html import render_page

GIB = 2**30
LARGE = {
    "peak_memory_bytes": int(5.3 * GIB),
    "peak_reserved_bytes": 6 * GIB,
    "load_memory_bytes": 3 * GIB,
    "documented_costs": {"peak_memory_bytes": 5.0 * GIB},
    "cost_bounds": {"peak_memory_bytes": 5.25 * GIB},
}


def test_a_campaign_without_documented_costs_has_the_columns_of_before():
    known = {name: LARGE[name] for name in ("peak_memory_bytes", "peak_reserved_bytes", "load_memory_bytes")}
    assert text.choose_columns([result(**known)]) == text.COLUMNS


def test_the_column_of_one_row_is_a_column_of_all_and_unknown_is_empty():
    rows = [baseline_result(), result(**LARGE), tf32()]
    assert text.choose_columns(rows) == (*text.COLUMNS[:-1], "memory", "verdict")
    assert [cells[-2] for cells in text.format_rows(rows)] == ["", "5.30 of 5.25 GiB (6.00 reserved)", ""]


def test_a_baseline_that_no_test_asked_for_has_as_many_cells():
    lines = text.format_table([result(**LARGE)])
    assert lines[1].split()[-2:] == ["memory", "verdict"]
    assert lines[2].split()[0] == "baseline"


@pytest.mark.parametrize(
    ("figure", "value", "bound", "column", "cell"),
    [
        ("load_memory_bytes", 300 * 2**20, 320.0 * 2**20, "loaded", "300.00 of 320.00 MiB"),
        ("iterations_per_s", 12.34, None, "iterations", "12.3 it/s"),
        ("first_s", 8.0, 9.0, "first picture", "8.00 of 9.00 s"),
        ("compile_s", 8.0, 9.0, "compile", "8.00 of 9.00 s"),
        ("warm_compile_s", 1.25, 2.0, "warm compile", "1.25 of 2.00 s"),
        ("recompilations", 0, 0.0, "recompilations", "0"),
        ("first_s", None, 9.0, "first picture", ""),
    ],
)
def test_every_cost_has_its_column(figure, value, bound, column, cell):
    row = result(**{figure: value, "documented_costs": {figure: 1.0}, "cost_bounds": {} if bound is None else {figure: bound}})
    assert text.choose_columns([row])[-2] == column
    assert text.format_rows([row])[-1][-2] == cell


def test_the_step_summary_and_the_page_have_them():
    rows = [failed(**LARGE)]
    assert "| memory |" in markdown.write_summary(rows)
    page = render_page(rows)
    assert page.count("5.30 of 5.25 GiB (6.00 reserved)") == 1
    assert 'colspan="8"' in page


def test_the_page_has_memory_that_a_gpu_told_though_no_table_documents_it():
    page = render_page([result(peak_memory_bytes=5 * GIB, peak_reserved_bytes=6 * GIB, load_memory_bytes=3 * GIB)])
    assert "5.00 GiB (6.00 reserved)" in page
    assert "3.00 GiB" in page
    assert 'colspan="6"' in render_page([result(peak_memory_bytes=5 * GIB)])


def test_a_result_over_a_bound_is_not_too_slow_and_one_with_too_many_bytes_is_too_large():
    large, late = failed(**LARGE), failed(first_s=10.0, cost_bounds={"first_s": 9.0})
    assert (large.too_large, large.too_slow, large.exceeded) == (True, False, ("peak_memory_bytes",))
    assert (late.too_large, late.too_slow, late.exceeded) == (False, False, ("first_s",))
    assert failed(first_s=None, cost_bounds={"first_s": 9.0}).too_slow
