"""Stored counts: they read back, and none is used for a row that was changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sdspeed.dry.limits import compute_limit
from pytest_sdspeed.lint import counts as stored
from pytest_sdspeed.lint.counts import Counts, dump_counts, fingerprint, load_counts
from pytest_sdspeed.model.accounts import Account, Work
from pytest_sdspeed.tables import load_tables

WORK = (Work("mm", "float16", 10**12, 10**6, 50), Work("add", "float16", 0, 100, 7))


@pytest.fixture
def row():
    (table,) = (one for one in load_tables() if one.name == "inference")
    return table.row("fp16")


@pytest.fixture
def counts_file(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "COUNTS", tmp_path / "counts.json")
    load_counts.cache_clear()
    yield tmp_path / "counts.json"
    load_counts.cache_clear()


def test_what_is_written_reads_back_by_its_fingerprint(row, counts_file):
    account = Account(operations=57, flops=5 * 10**13, peak_bytes=3, weight_bytes=2, parameters=1, work=WORK)
    counted = Counts.of(row, account, "tf32", {"denoiser": 1})
    failed = Counts(fingerprint="0" * 16, reason="no configuration")
    counts_file.write_text(dump_counts({"b/failed": failed, "a/fp16": counted}))
    assert dict(load_counts()) == {counted.fingerprint: counted, failed.fingerprint: failed}
    assert counted.account.operations == 57
    assert compute_limit(counted.account, "NVIDIA A100", "tf32").certain_s == compute_limit(account, "NVIDIA A100", "tf32").certain_s


def test_without_a_file_nothing_is_counted(counts_file):
    assert load_counts() == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 49},
        {"height": 256},
        {"images": 2},
        {"model": "another/model"},
        {"dtype": "bfloat16"},
        {"call": {"max_sequence_length": 64}},
        {"prompt": "longer"},
    ],
)
def test_another_recipe_is_another_fingerprint(row, changed):
    assert fingerprint(replace(row, recipe=replace(row.recipe, **changed))) != fingerprint(row)


def test_another_stack_or_order_is_another_fingerprint(row):
    prints = {
        fingerprint(replace(row, optimizations=stack))
        for stack in ((), ("fp16",), ("fp16", "sdpa"), ("sdpa", "fp16"), ("scheduler(steps=4)",))
    }
    assert len(prints) == 5


def test_what_is_documented_of_a_row_is_no_part_of_its_fingerprint(row):
    other = replace(row, setup="x", latency_s=1.0, speedup=9.0, notes="y", recipe=replace(row.recipe, seed=5, repeats=3, more_prompts=()))
    assert fingerprint(other) == fingerprint(row)


def test_the_stored_counts_are_of_rows_as_they_are_now():
    prints = {fingerprint(row) for table in load_tables() for row in table.rows}
    stale = set(load_counts()) - prints
    assert not stale, f"{len(stale)} stored counts are of no row any more: count them again"
