"""Rows are counted once and stored: what is counted again is the same, rows that share have the work of the row they share with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import stored_counts
from builtin_tables import ALL

from pytest_sdspeed.errors import NO_ARCHITECTURE, UnknownNameError
from pytest_sdspeed.lint import counts as stored
from pytest_sdspeed.lint.counts import Counts, fingerprint, load_counts
from pytest_sdspeed.model.accounts import Account, Work
from pytest_sdspeed.tables import load_tables

TABLES = {table.name: table for table in load_tables()}
FP16 = TABLES["inference"].row("fp16")
STEP = Account(work=(Work("mm", "float16", 100, 10, 2), Work("add", "float16", 0, 5, 3)))
WHOLE = Account(
    work=(
        Work("mm", "float16", 100, 10, 8),
        Work("mm", "float16", 300, 20, 1),
        Work("add", "float16", 0, 5, 12),
        Work("gelu", "float16", 0, 7, 1),
    )
)


@pytest.fixture
def counts_file(tmp_path, monkeypatch):
    for module in (stored, stored_counts):
        monkeypatch.setattr(module, "COUNTS", tmp_path / "counts.json")
    load_counts.cache_clear()
    yield tmp_path / "counts.json"
    load_counts.cache_clear()


def test_work_is_put_together_by_operation_and_type_and_steps_are_added():
    found = stored_counts.aggregate(replace(WHOLE, per_step=STEP), more=10)
    flops = {one.operation: (one.flops * one.count, one.bytes_moved * one.count, one.count) for one in found.work}
    assert set(flops) == {"mm", stored_counts.OTHER}
    assert flops["mm"][2] == 8 + 1 + 10 * 2
    assert 0 <= (8 * 100 + 300 + 10 * 200) - flops["mm"][0] < flops["mm"][2]
    assert flops[stored_counts.OTHER][2] == 13 + 10 * 3
    assert stored_counts.aggregate(WHOLE).work[0].count == 9


def test_what_changes_only_when_something_is_computed_is_left_out():
    stack = ("fp16", 'compile(mode="max-autotune")', "channels_last", "group_offload", "feature_cache_2")
    assert stored_counts.leave_out(replace(FP16, optimizations=stack)).optimizations == ("fp16", "feature_cache_2")
    assert stored_counts.leave_out(FP16) == FP16


@pytest.mark.parametrize(("more", "weights"), [("compile", 5), ("model_offload", None), ("cuda_graphs", 5)])
def test_a_row_that_shares_has_the_work_and_no_peak(more, weights):
    row = replace(FP16, optimizations=("fp16", more))
    found = stored_counts.share(row, Counts.of(FP16, replace(WHOLE, weight_bytes=5, peak_bytes=9, parameters=2)))
    assert (found.work, found.peak_bytes, found.weight_bytes, found.parameters) == (WHOLE.work, None, weights, 2)
    assert found.fingerprint == fingerprint(row) != fingerprint(FP16)


def test_rows_of_equal_work_are_counted_once_and_the_rest_goes_on_after_an_end(counts_file, monkeypatch):
    counted = []

    def count(table, row):
        counted.append((table.name, row.setup))
        return None if row.setup == "tf32" else Counts.of(row, WHOLE)

    monkeypatch.setattr(stored_counts, "count", count)
    first = {name: how for name, _, _, how in stored_counts.count_all(["inference"], again=False)}
    assert list(first) == ["inference/baseline", "inference/tf32", "inference/fp16", "inference/combined"]
    stored_counts.store({"inference/fp16": Counts.of(FP16, WHOLE)})
    load_counts.cache_clear()
    before = len(counted)
    again = {name: how for name, _, _, how in stored_counts.count_all(["inference"], again=False)}
    assert again["inference/fp16"] == "stored"
    assert [setup for _, setup in counted[before:]] == ["baseline", "tf32", "combined"]


def test_one_object_serves_all_rows_that_are_the_same(counts_file):
    one = Counts.of(FP16, WHOLE)
    stored_counts.store({"b/x": one, "a/y": one, "c/z": Counts(fingerprint="0", reason="torchao is not installed")})
    assert list(json.loads(counts_file.read_text())) == ["a/y", "c/z"]


def test_a_row_that_cannot_be_counted_says_why(monkeypatch):
    def refuse(*_):
        raise UnknownNameError(NO_ARCHITECTURE, "some/model", ["known"])

    monkeypatch.setattr(stored_counts, "count_setup", refuse)
    found = stored_counts.count(TABLES["inference"], FP16)
    assert (found.reason, found.work) == ("no configuration of some/model is known here", ())

    def exhaust(*_):
        raise MemoryError("too large")

    monkeypatch.setattr(stored_counts, "count_setup", exhaust)
    assert stored_counts.count(TABLES["inference"], FP16) is None


def test_what_is_stored_is_of_rows_that_there_are():
    rows = {fingerprint(row) for _, row in stored_counts.list_rows()}
    assert set(load_counts()) <= rows


CHECKED = ["fal_sd15_a100/fal_sd15_a100_sdpa", "quick_tour_t4/quick_tour_t4_fp32"]


@pytest.mark.slow
@pytest.mark.skipif(not ALL, reason="counts full-size models: takes a minute; SDSPEED_TEST_ATLAS=1 asks for it")
@pytest.mark.parametrize("name", CHECKED)
def test_a_row_that_is_counted_again_is_as_stored(name):
    assert stored_counts.check(name)


@pytest.mark.slow
def test_a_stored_count_that_was_changed_is_found(monkeypatch):
    table = TABLES["inference"]
    monkeypatch.setattr(stored_counts, "count", lambda _table, row: Counts.of(row, WHOLE))
    monkeypatch.setattr(stored_counts, "load_counts", lambda: {fingerprint(FP16): Counts.of(FP16, WHOLE)})
    assert stored_counts.check("inference/fp16")
    monkeypatch.setattr(stored_counts, "load_counts", lambda: {fingerprint(FP16): Counts.of(FP16, replace(WHOLE, work=WHOLE.work[:1]))})
    assert not stored_counts.check("inference/fp16")
    assert table.row("fp16") is FP16
