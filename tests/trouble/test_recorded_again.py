"""``--sd-record`` over a file that is there: what changes and why it may, and what is not replaced."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import MACHINE, result, tf32

from pytest_sdspeed.model import Machine, Row, Table
from pytest_sdspeed.report.markdown import write_recorded
from pytest_sdspeed.run.recording import write_reference
from pytest_sdspeed.tables import dumps_table, load_table

RECIPE = result().recipe
OTHER = Machine(kind="cuda", device="NVIDIA A100", versions={"torch": "2.13.0"})


def row(setup, speedup, **facts):
    return Row(**{"setup": setup, "optimizations": (), "baseline": "baseline", "recipe": RECIPE, "speedup": speedup, **facts})


def table(**facts):
    rows = (row("baseline", 1.0, latency_s=5.0), row("tf32", 1.27), row("fp16", 1.5))
    known = {"name": "inference", "title": "A title", "source": "https://example.org", "device": "NVIDIA A100", "rows": rows}
    return Table(**{**known, **facts})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "here.toml"


def record(path, *results, tables=None, machine=MACHINE):
    measured = [replace(one, device=machine.device, documented_on="NVIDIA A100") for one in results]
    made = write_reference(path, measured, tables or [table()], machine)
    return [line.removeprefix("sd record: ") for line in made.lines], made.complete


def fp16(speedup, half=0.01, **facts):
    return result(speedup=speedup, low=speedup * (1 - half), high=speedup * (1 + half), **facts)


def test_a_first_file_says_nothing_of_changes(path):
    lines, complete = record(path, fp16(1.31))
    assert (len(lines), complete) == (1, True)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (fp16(1.305), "fp16: x1.31 -> x1.30 [1.29, 1.32], within its tolerance of 5.0%"),
        (fp16(1.29), "fp16: x1.31 -> x1.29 [1.28, 1.30], slower, within its tolerance of 5.0%"),
        (fp16(1.4), "fp16: x1.31 -> x1.40 [1.39, 1.41], faster"),
        (fp16(1.2), "fp16: x1.31 -> x1.20 [1.19, 1.21], slower: under its floor there, x1.24, to which this run was not held"),
    ],
    ids=["within", "slower within", "faster", "slower"],
)
def test_each_row_is_shown_with_its_old_and_its_new_figure_and_why_it_may(path, new, said):
    record(path, fp16(1.31))
    lines, complete = record(path, new)
    assert lines[0] == "inference: baseline: 1.93 s -> 1.93 s, +0.0%"
    assert lines[1] == f"inference: {said}"
    assert (complete, load_table(path).row("fp16").speedup) == (True, new.speedup)


def test_a_regression_that_the_file_holds_is_shown_with_both_figures_and_not_recorded(path):
    record(path, fp16(1.31))
    before = path.read_text()
    held = replace(fp16(1.1), verdict="fail", documented_on=MACHINE.device, recorded_in=str(path), floor=1.2445, reasons=("slower",))
    made = write_reference(path, [held], [table()], MACHINE)
    assert f"a regression is no reference: {held.interval} is under the floor x1.24 of {path}" in made.lines[0]
    assert path.read_text() == before


def test_the_seconds_that_a_row_may_take_longer_count(path):
    rows = (row("baseline", 1.0, latency_s=5.0), row("fp16", 1.5, tolerance_s=0.2))
    record(path, fp16(1.31), tables=[table(rows=rows)])
    assert load_table(path).row("fp16").tolerance_s == 0.2
    lines, _ = record(path, fp16(1.22), tables=[table(rows=rows)])
    assert lines[1].endswith("slower, within its tolerance of 12.0%")


def test_a_new_row_and_another_recipe_are_called_so(path):
    record(path, fp16(1.31))
    lines, _ = record(path, fp16(1.31), tf32())
    assert [line for line in lines if "tf32: new, x1.28" in line]
    longer = [replace(one, recipe=replace(RECIPE, steps=30)) for one in table().rows]
    lines, _ = record(path, fp16(1.2), tf32(), tables=[table(rows=tuple(longer))])
    assert "fp16: x1.31 -> x1.20 [1.19, 1.21], of another recipe or stack" in lines[2]


def test_a_recipe_that_is_measured_by_stages_is_no_other_recipe(path):
    record(path, fp16(1.31))
    staged = [replace(one, recipe=replace(RECIPE, unit="stage")) for one in table().rows]
    lines, _ = record(path, fp16(1.4), tables=[table(rows=tuple(staged))])
    assert lines[1].endswith("fp16: x1.31 -> x1.40 [1.39, 1.41], faster")
    assert load_table(path).row("fp16").recipe.unit == "stage"


def test_the_table_of_another_device_is_not_replaced(path):
    record(path, fp16(1.31), machine=OTHER)
    before = path.read_text()
    lines, complete = record(path, fp16(1.4))
    obstacle = "it holds 'inference' as recorded on NVIDIA A100, and this is NVIDIA H200"
    assert lines == [f"{path}: not replaced: {obstacle}; record into another file, or delete this one"]
    assert (complete, path.read_text()) == (False, before)


@pytest.mark.parametrize("device", ["NVIDIA A100", "NVIDIA H200"])
@pytest.mark.parametrize("name", ["inference", "mine"])
def test_a_table_that_somebody_wrote_is_not_replaced(path, device, name):
    path.write_text("# my notes\n" + dumps_table(table(device=device, name=name)))
    before = path.read_text()
    lines, complete = record(path, fp16(1.4), tf32())
    assert lines[-1] == (
        f"{path}: not replaced: it holds {name!r}, a table that was written and not recorded; record into another file, or delete this one"
    )
    assert (complete, path.read_text()) == (False, before)


def test_that_of_another_name_is_replaced_with_a_word(path):
    record(path, fp16(1.31))
    lines, complete = record(path, result(table="stack"), tables=[table(name="stack")])
    assert (lines[0], complete) == ("stack: takes the place of 'inference'", True)


def test_an_empty_file_takes_the_first_record(path):
    path.write_text("")
    assert record(path, fp16(1.31))[1]
    assert load_table(path).row("fp16").speedup == 1.31


def test_nothing_is_said_to_change_in_a_file_that_cannot_be_written(path, monkeypatch):
    record(path, fp16(1.31))
    whole = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *more, **named: _refuse() if self.suffix == ".part" else whole(self, *more, **named))
    lines, complete = record(path, fp16(1.4))
    assert (len(lines), complete) == (1, False)


def _refuse():
    raise OSError(28, "No space left on device")


def test_the_step_summary_has_the_lines():
    said = write_recorded(["sd record: inference: fp16: x1.31 -> x1.40 [1.39, 1.41], faster"])
    assert said.startswith("### Recorded\n\n- sd record: inference: fp16: x1.31")
