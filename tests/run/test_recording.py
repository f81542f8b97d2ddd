"""Recording a reference: what was measured comes back as a table for this device, with how it was spread and where it comes from."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
from fakes import MACHINE, RECIPE, baseline_result, result

from pytest_sdspeed.judge.speed import intervals
from pytest_sdspeed.model import CONTROL, ImageGate, Interval, Machine, Row, Spread, Table
from pytest_sdspeed.run.recording import write_record
from pytest_sdspeed.tables import load_table, load_tables


def row(setup, speedup, baseline="baseline", **facts):
    return Row(setup=setup, optimizations=(setup,), baseline=baseline, recipe=RECIPE, speedup=speedup, **facts)


def table(name="inference", **facts):
    rows = (
        row("baseline", 1.0, latency_s=5.27),
        row("tf32", 1.27, latency_s=4.15),
        row("fp16", 1.5, latency_s=3.51, tolerance=0.1, image=ImageGate(psnr=30.0), notes="as published"),
    )
    known = {"title": "A title", "source": "https://example.org/page", "device": "NVIDIA A100", "rows": rows, "notes": ("A note.",)}
    return Table(**{"name": name, **known, **facts})


TF32 = result("tf32", speedup=1.28123456, low=1.27, high=1.29, expected=1.27, floor=1.2065, blocks=12)
FP16 = result(verdict="fail", reasons=("slower than its floor",))
FACTS = {"date": "2026-11-23T08:29:34+00:00", "host": "lab", "command": "pytest --sd-record h200.toml", "commit": "abc", "branch": "main"}


@pytest.fixture
def record(tmp_path):
    def write(results, *tables, machine=MACHINE):
        path = tmp_path / "h200.toml"
        return path, list(write_record(path, results, tables or (table(),), machine, FACTS).lines)

    return write


def test_a_recorded_table_reads_back(record):
    path, lines = record([baseline_result(), TF32, FP16])
    back = load_table(path)
    assert lines == [f"sd record: {path}: 3 rows of 'inference' on NVIDIA H200"]
    assert (back.name, back.device, back.title, back.source) == ("inference", "NVIDIA H200", "A title", "https://example.org/page")
    assert [(row.setup, row.speedup, row.latency_s) for row in back.rows] == [
        ("baseline", 1.0, 1.93),
        ("tf32", 1.2812, None),
        ("fp16", 1.31, None),
    ]
    documented = table().rows[2]
    assert replace(back.rows[2], spread=None) == replace(documented, speedup=1.31, latency_s=None)


def test_a_recorded_row_says_how_it_was_spread(record):
    outer, inner, own = [(1.0, 1.0), (1.0, 1.0)] * 3, [(1.0, 1.0), (1.1, 1.1)] * 3, [(0.8, 0.8), (0.8, 0.88)] * 3
    samples = {"baseline": outer, CONTROL: inner, "fp16": own}
    path, _ = record([result(samples_s=samples, control=Interval(0.954, 0.94, 1.02))])
    baseline, fp16 = load_table(path).rows
    ratios = intervals.log_ratios([outer, inner], [own])
    assert fp16.spread == Spread(blocks=6, low=1.29, high=1.33, sd=round(statistics.stdev(ratios), 6), quartiles_s=(0.8, 0.8, 0.82))
    assert (baseline.spread.blocks, baseline.spread.low, baseline.spread.high) == (6, 0.94, 1.02)
    assert baseline.spread.sd == round(math.log(1.1) * math.sqrt(0.3), 6)
    assert baseline.spread.quartiles_s == (1.0, 1.0, 1.025)


def test_a_recorded_table_says_where_and_with_what(record):
    path, _ = record([FP16, TF32])
    told = {name: FACTS[name] for name in ("date", "host", "command", "commit")}
    measured = {"kind": "cuda", "weights": "random", "seed": "0", "blocks": "12", "version_torch": "2.13.0"}
    assert load_table(path).recorded == told | measured


def test_what_is_not_known_of_a_run_is_left_out(record, tmp_path):
    path = tmp_path / "bare.toml"
    write_record(path, [TF32], [table()], MACHINE)
    assert load_table(path).recorded.keys() == {"kind", "date", "weights", "seed", "blocks", "version_torch"}


def test_a_recorded_table_stands_beside_the_documented_one(record):
    documented = next(one for one in load_tables() if one.name == "inference")
    baseline = baseline_result()
    path, _ = record([baseline, TF32, FP16], documented)
    assert [one.device for one in load_tables([path]) if one.name == "inference"] == ["NVIDIA A100", "NVIDIA H200"]


def test_a_table_recorded_on_a_cpu_runs_without_a_gpu(record):
    path, _ = record([TF32], machine=Machine(kind="cpu", device="AMD EPYC", versions={}))
    assert load_table(path).on_cpu


@pytest.mark.parametrize("setup", [table_row.setup for one in load_tables() for table_row in one.rows if one.name == "distillation"][1:])
def test_one_call_is_recorded_even_where_the_documented_latency_sums_up_several(record, setup):
    documented = next(one for one in load_tables() if one.name == "distillation")
    assert documented.rows[0].recipe.repeats == 3
    path, _ = record([result(setup, table="distillation", image={})], documented)
    back = load_table(path)
    assert {one.recipe.repeats for one in back.rows} == {1}
    assert back.rows[0].latency_s == 1.93


def test_a_powerless_picture_gate_does_not_keep_a_row_out(record):
    path, _ = record([result(image_verdict="powerless", reasons=("gate has no power",))])
    assert load_table(path).row("fp16").speedup == 1.31


@pytest.mark.parametrize(
    "results",
    [
        [],
        [baseline_result()],
        [result("engine", table=None, baseline="reference")],
        [result("mine")],
        [result(table="elsewhere")],
    ],
    ids=["nothing", "only a baseline", "callables", "a setup that is no row", "an unknown table"],
)
def test_without_a_row_nothing_is_written(record, results):
    path, lines = record(results)
    assert lines == [f"sd record: nothing to record; {path} was not written"]
    assert not path.exists()


def test_a_ratio_over_another_baseline_is_not_that_of_the_row(record):
    path, _ = record([TF32, result(baseline="tf32", speedup=1.1), result(baseline="reference", speedup=7.0)])
    assert [one.setup for one in load_table(path).rows] == ["baseline", "tf32"]


def slots(*arms):
    return {arm: [(1.0, 1.0)] * 6 for arm in (*arms, CONTROL)}


def test_every_baseline_that_a_row_was_measured_against_comes_along(record):
    rows = (
        row("b1", 1.0, "b1"),
        row("x1", 2.0, "b1"),
        row("b4", 1.0, "b4"),
        row("x4", 2.0, "b4"),
        row("b16", 1.0, "b16"),
        row("x16", 2.0, "b16"),
    )
    results = [
        result("x1", baseline="b1", baseline_latency_s=1.0, samples_s=slots("x1", "b1")),
        result("x4", baseline="b4", baseline_latency_s=4.0, samples_s=slots("x4", "b4")),
        result("b16", baseline="b16", speedup=1.0),
    ]
    path, _ = record(results, table(rows=rows))
    assert [(one.setup, one.latency_s) for one in load_table(path).rows] == [("b1", 1.0), ("x1", None), ("b4", 4.0), ("x4", None)]


def test_several_tables_make_several_files(record, tmp_path):
    path, lines = record([TF32, result("fp16", table="stack")], table(), table("stack"), table("attention"))
    assert not path.exists()
    assert sorted(file.name for file in tmp_path.glob("*.toml")) == ["h200-inference.toml", "h200-stack.toml"]
    assert {load_table(file).name for file in tmp_path.glob("*.toml")} == {"inference", "stack"}
    assert len(lines) == 2


def test_one_recordable_table_of_two_takes_the_path_itself(record, tmp_path):
    path, lines = record(
        [TF32, result("fp16", table="stack", verdict="invalid", control=Interval(1.02, 1.01, 1.03))], table(), table("stack")
    )
    assert [file.name for file in tmp_path.glob("*.toml")] == [path.name]
    assert lines[0].startswith("sd record: stack: fp16 left out: its A/A control broke")


@pytest.mark.parametrize("measured_on", ["NVIDIA A100", "NVIDIA H200", None])
def test_of_tables_that_share_a_name_the_one_that_was_measured_is_recorded_once(record, tmp_path, measured_on):
    own = table(device="NVIDIA H200", recorded={"kind": "cuda"}, title="Recorded before")
    path, lines = record([replace(TF32, documented_on=measured_on)], table(), own)
    assert len(lines) == 1
    assert [file.name for file in tmp_path.glob("*.toml")] == [path.name]
    assert load_table(path).title == ("Recorded before" if measured_on == "NVIDIA H200" else "A title")


def test_the_last_of_several_results_of_one_row_is_recorded(record):
    path, _ = record([result(speedup=1.32), result(speedup=1.3)])
    assert load_table(path).row("fp16").speedup == 1.3
