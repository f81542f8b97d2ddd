"""What is no reference stays out of the file, and says why; the file that was there stays whole."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import MACHINE, SLOW, baseline_result, failed, result, tf32
from test_recording import table

from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.model import Interval
from pytest_sdspeed.run.recording import LEAST_BLOCKS, too_rough, write_reference
from pytest_sdspeed.store.records import to_json as stored
from pytest_sdspeed.tables import load_table

SEE = f". See {DOCUMENTATION}/guides/record-a-reference/#what-is-left-out"
MORE = "--sd-max-blocks and --sd-budget give it more"
HERE = {"documented_on": "NVIDIA H200"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "h200.toml"


def write(path, *results, tables=None):
    """Record; the lines without their lead and the page of the documentation, and whether the record is complete."""
    made = write_reference(path, results, tables or [table()], MACHINE)
    return [line.removeprefix("sd record: ").removesuffix(SEE) for line in made.lines], made.complete


def setups(path):
    return [row.setup for row in load_table(path).rows]


REFUSED = {
    "black pictures": (
        {"verdict": "fail", "image_verdict": "fail", "reasons": ("black", "constant")},
        "its pictures fail: black; constant",
    ),
    "raised": (
        {"verdict": "fail", "raised": "fp16 raised ValueError: no", "reasons": ("fp16 raised ValueError: no", SLOW)},
        "it raised: fp16 raised ValueError: no",
    ),
    "inconclusive": (
        {"verdict": "inconclusive", "reasons": ("about 11 more blocks (38 s) would decide it: --sd-budget 128 --sd-max-blocks 31",)},
        "its verdict is inconclusive: about 11 more blocks (38 s) would decide it: --sd-budget 128 --sd-max-blocks 31",
    ),
    "broken control": (
        {"verdict": "invalid", "control": Interval(1.02, 1.01, 1.03), "reasons": ("A/A control",)},
        "its A/A control broke (x1.02 [1.01, 1.03]): stop what else uses this machine and rerun",
    ),
    "throttled": (
        {"verdict": "invalid", "reasons": ("the GPU throttled in 7 blocks",)},
        "its verdict is invalid: the GPU throttled in 7 blocks",
    ),
    "too large": (
        {"verdict": "fail", "memory_share": 0.95, "memory_bound": 0.9, "reasons": ("95.0% of its baseline's",)},
        "it needs too much memory: 95.0% of its baseline's",
    ),
    "slower than recorded here": (
        {"verdict": "fail", "reasons": (SLOW,), "recorded_in": "h200.toml", **HERE},
        "a regression is no reference: x1.31 [1.29, 1.33] is under the floor x1.43 of h200.toml; to accept it, run without that table",
    ),
    "slower than documented for this device": (
        {"verdict": "fail", "reasons": (SLOW,), **HERE},
        "a regression is no reference: x1.31 [1.29, 1.33] is under the floor x1.43, which holds on this device",
    ),
    "slower than any CPU": (
        {"verdict": "fail", "reasons": (SLOW,), "documented_on": "cpu"},
        "a regression is no reference: x1.31 [1.29, 1.33] is under the floor x1.43, which holds on this device",
    ),
    "slower than its marker says": (
        {"verdict": "fail", "reasons": (SLOW,), "documented_on": None},
        "a regression is no reference: x1.31 [1.29, 1.33] is under the floor x1.43, which holds on this device",
    ),
    "two processes disagree": (
        {"confirmation": stored(failed(speedup=1.2, low=1.19, high=1.21))},
        "two processes disagree, x1.20 [1.19, 1.21] and x1.31 [1.29, 1.33]: run again",
    ),
    "few blocks": ({"blocks": 4}, f"4 blocks are too few, a reference has {LEAST_BLOCKS}: {MORE}"),
    "wide interval": (
        {"high": 1.31 * 1.03},
        f"its interval is too wide to hold another run to: 3.0% either side, half the tolerance is 2.5%: more blocks narrow it, {MORE}",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_no_reference_is_left_out_and_named(path, fault):
    facts, why = REFUSED[fault]
    lines, complete = write(path, baseline_result(), tf32(), result(**facts))
    assert lines == [f"inference: fp16 left out: {why}", f"{path}: 2 rows of 'inference' on NVIDIA H200"]
    assert complete
    assert setups(path) == ["baseline", "tf32"]


@pytest.mark.parametrize("fault", REFUSED)
def test_a_record_without_a_row_is_not_written_and_leaves_what_was_there(path, fault):
    path.write_text("mine")
    lines, complete = write(path, baseline_result(), result(**REFUSED[fault][0]))
    assert lines[-1] == f"nothing to record; {path} was not written"
    assert not complete
    assert path.read_text() == "mine"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("documented_on", ["NVIDIA A100", "NVIDIA H20", "NVIDIA H200 NVL"])
def test_a_row_under_the_floor_of_another_device_is_recorded(path, documented_on):
    _, complete = write(path, failed(documented_on=documented_on))
    assert complete
    assert load_table(path).row("fp16").speedup == 1.31


def test_a_row_under_the_floor_of_another_device_in_both_processes_is_recorded(path):
    assert write(path, failed(confirmation=stored(failed())))[1]


@pytest.mark.parametrize("second", [{"raised": "it broke"}, {"image_verdict": "fail"}])
def test_a_row_that_failed_otherwise_in_the_new_process_is_not_recorded(path, second):
    assert not write(path, failed(confirmation=stored(failed()), **second))[1]


def test_any_model_of_a_device_is_that_device(path):
    sxm = replace(MACHINE, device="NVIDIA A100-SXM4-80GB")
    made = write_reference(path, [failed(device=sxm.device)], [table()], sxm)
    assert "a regression is no reference" in made.lines[0]


def test_one_refused_result_of_a_row_is_enough(path):
    lines, _ = write(path, result(verdict="fail", image_verdict="fail", reasons=("black",)), result(), tf32())
    assert lines[0] == "inference: fp16 left out: its pictures fail: black"
    assert setups(path) == ["baseline", "tf32"]


def test_the_rows_of_a_refused_baseline_are_left_out_and_named(path):
    lines, complete = write(path, baseline_result(verdict="fail", image_verdict="fail", reasons=("black",)), tf32())
    assert lines == [
        "inference: baseline left out: its pictures fail: black",
        "inference: tf32 left out: its baseline baseline is left out",
        f"nothing to record; {path} was not written",
    ]
    assert not complete


def test_the_last_row_that_is_left_out_names_the_page_on_them(path):
    made = write_reference(path, [baseline_result(), tf32(blocks=3), result(blocks=3)], [table()], MACHINE)
    assert [line.endswith(SEE) for line in made.lines] == [False, True, False]
    assert not any(SEE in line for line in write_reference(path, [tf32()], [table()], MACHINE).lines)


# How much a figure must rest on


@pytest.mark.parametrize(("blocks", "half", "fine"), [(5, 0.025, True), (4, 0.001, False), (5, 0.0251, False), (20, 0.0251, False)])
def test_a_reference_rests_on_enough_blocks_and_a_narrow_interval(blocks, half, fine):
    assert (too_rough(blocks, Interval(2.0, 1.9, 2.0 * (1 + half - 1e-9)), 0.05) is None) is fine


# The file


def test_a_file_is_not_replaced_by_one_that_lacks_a_row_of_it(path):
    assert write(path, tf32(), result())[1]
    before = path.read_text()
    lines, complete = write(path, tf32(), result(blocks=3))
    assert lines[-1] == (
        f"{path}: not replaced: it holds fp16, which this run did not record; record into another file, or delete this one"
    )
    assert not complete
    assert path.read_text() == before


def test_a_file_is_replaced_by_one_with_the_same_rows_and_by_that_of_another_table(path):
    write(path, tf32(), result())
    assert write(path, tf32(), result(speedup=1.32))[1]
    assert load_table(path).row("fp16").speedup == 1.32
    assert write(path, result(table="stack"), tables=[table("stack")])[1]
    assert load_table(path).name == "stack"


@pytest.mark.parametrize("step", ["open", "replace"])
def test_a_file_that_cannot_be_written_stays_as_it_was(path, monkeypatch, step):
    path.write_text("mine")
    whole = getattr(Path, step)

    def full(self, *arguments, **more):
        if self.suffix == ".part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, *arguments, **more)

    monkeypatch.setattr(Path, step, full)
    lines, complete = write(path, tf32())
    assert lines == [f"{path}: could not be written: No space left on device"]
    assert not complete
    assert path.read_text() == "mine"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_stays_a_link(path, tmp_path):
    target = tmp_path / "elsewhere.toml"
    target.write_text("mine")
    path.symlink_to(target)
    write(path, tf32())
    assert path.is_symlink()
    assert setups(target) == ["baseline", "tf32"]


def test_what_is_no_file_is_written_to_not_replaced():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    lines, complete = write(Path("/dev/full"), tf32())
    assert lines == ["/dev/full: could not be written: No space left on device"]
    assert not complete
    assert Path("/dev/full").is_char_device()
