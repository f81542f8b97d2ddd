"""Names of before: a renamed or moved test keeps its history, and a slip is said."""

from dataclasses import replace

import pytest
from fakes import RECIPE, baseline_result, result, tf32
from stored import benchmark, write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.history.aliases import Renaming, parse_aliases
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.model import HistoryKey

ENGINE = {"table": None, "recipe": None, "weights": None}
SAMPLES = [{"baseline": [[2, 2]], "control": [[2, 2]], "fp16": [[1.5, 1.5 + n / 100]]} for n in range(9)]


def engine(number=0, **facts):
    return result(samples_s=SAMPLES[number], **{**ENGINE, **facts})


def lengths(folder, *aliases):
    """Name of each row -> its runs; and what was said."""
    found = load_from([Folder(folder)], Renaming(parse_aliases(aliases)))
    names = {(one.recipe if one.table is None else f"{one.table}::{one.setup}"): len(one.runs) for one in found.histories}
    return names, list(found.problems)


def today(name, *aliases):
    """What a test is called today."""
    key = HistoryKey(table=None, setup="candidate", baseline="baseline", device="d", recipe=name)
    return Renaming(parse_aliases(aliases)).rename(key).recipe


def test_a_renamed_test_keeps_its_history(tmp_path):
    write_run(tmp_path, [benchmark(engine(0), "test_a.py::test_old")], 1)
    write_run(tmp_path, [benchmark(engine(1), "test_a.py::test_new")], 2)
    assert lengths(tmp_path) == ({"test_a.py::test_old": 1, "test_a.py::test_new": 1}, [])
    assert lengths(tmp_path, "test_a.py::test_old=test_a.py::test_new") == ({"test_a.py::test_new": 2}, [])


def test_a_moved_file_keeps_the_histories_of_its_tests_and_their_parameters(tmp_path):
    for number, file in enumerate(("old/test_a.py", "new/test_b.py")):
        tests = [f"{file}::test_x[512]", f"{file}::test_x[1024-a/b]", f"{file}::TestC::test_y"]
        write_run(tmp_path, [benchmark(engine(number), test) for test in tests], number + 1)
    names, said = lengths(tmp_path, "old/test_a.py=new/test_b.py")
    assert names == {"new/test_b.py::test_x[512]": 2, "new/test_b.py::test_x[1024-a/b]": 2, "new/test_b.py::TestC::test_y": 2}
    assert said == []


def test_a_renamed_setup_of_a_table_keeps_its_history_and_so_does_a_renamed_table(tmp_path):
    other = {"baseline": [[2, 2]], "control": [[2, 2]], "half": [[1.5, 1.5]]}
    write_run(tmp_path, [result(), baseline_result()], 1)
    write_run(tmp_path, [result("half", table="speed", samples_s=other)], 2)
    assert lengths(tmp_path, "inference=speed", "speed::fp16=speed::half") == ({"speed::half": 2, "speed::baseline": 1}, [])
    assert lengths(tmp_path, "inference::fp16=speed::half")[0] == {"speed::half": 2, "inference::baseline": 1}


def test_a_renamed_baseline_is_the_baseline_of_its_rows_too(tmp_path):
    write_run(tmp_path, [result()], 1)
    write_run(tmp_path, [result(baseline="plain", samples_s={"plain": [[2, 2]], "control": [[2, 2]], "fp16": [[1.5, 1.5]]})], 2)
    assert lengths(tmp_path, "inference::baseline=inference::plain") == ({"inference::fp16": 2}, [])


def test_a_renamed_callable_keeps_its_history(tmp_path):
    write_run(tmp_path, [benchmark(engine(0), "test_a.py::test_x")], 1)
    fast = {"baseline": [[2, 2]], "control": [[2, 2]], "fast": [[1.5, 1.5]]}
    write_run(tmp_path, [benchmark(result("fast", samples_s=fast, **ENGINE), "test_a.py::test_x")], 2)
    assert lengths(tmp_path, "fp16=fast") == ({"test_a.py::test_x": 2}, [])


def test_another_recipe_under_the_same_name_stays_another_history(tmp_path):
    write_run(tmp_path, [result()], 1)
    write_run(tmp_path, [result("tf32", recipe=replace(RECIPE, steps=5), samples_s={**SAMPLES[0], "tf32": [[1, 1]]})], 2)
    found = load_from([Folder(tmp_path)], Renaming(parse_aliases(["inference::fp16=inference::tf32"])))
    assert [(one.setup, len(one.runs)) for one in found.histories] == [("tf32", 1), ("tf32", 1)]


@pytest.mark.parametrize(
    ("name", "aliases", "expected"),
    [
        ("a::x", ["a::x=a::y", "a::y=a::z"], "a::z"),
        ("a::x[1]", ["a::x=a::y", "a=b"], "b::y[1]"),
        ("a::x[1]", ["a=b", "b::x=b::y"], "b::y[1]"),
        ("tests/a.py::x", ["tests=tests/unit"], "tests/unit/a.py::x"),
        ("tests/unit/a.py::x", ["tests=tests/unit"], "tests/unit/a.py::x"),
        ("tests/a.py::x", ["tests/=unit/"], "unit/a.py::x"),
        ("a.py::x[k=1]", ["a.py::x[k=1]=a.py::x[k=2]"], "a.py::x[k=2]"),
        ("a.py::x[k=2]", ["a.py::x[k=1]=a.py::x[k=3]"], "a.py::x[k=2]"),
        ("a.py::x_more", ["a.py::x=a.py::y"], "a.py::x_more"),
        ("a.pyc::x", ["a.py=b.py"], "a.pyc::x"),
        ("a.py::x", [r"a.py=sub\b.py"], "sub/b.py::x"),
        ("a.py::x", ["a.py=b.py", "a.py::x=c.py::x"], "c.py::x"),
    ],
)
def test_what_is_called_what(name, aliases, expected):
    assert today(name, *aliases) == expected
    assert today(name, *reversed(aliases)) == expected
    assert today(expected, *aliases) == expected


@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        (["a"], "valid: OLD=NEW"),
        (["a="], "valid: OLD=NEW"),
        (["=a"], "valid: OLD=NEW"),
        (["a=a"], "valid: OLD=NEW"),
        (["a=b=c"], "valid: OLD=NEW"),
        ([""], "valid: OLD=NEW"),
        (["a=b", "a=c"], "a is b already"),
        (["a=b", "b=a"], "a=b -> b=a -> a=b: a circle"),
        (["a=b", "b=c", "c=a"], "a circle"),
        (["a=b", "b::x=a::x"], "a circle"),
    ],
    ids=str,
)
def test_what_is_no_alias_is_refused(aliases, said):
    with pytest.raises(UsageMistakeError, match="--sd-history-alias") as caught:
        parse_aliases(aliases)
    assert said in str(caught.value)


def test_the_same_alias_twice_is_one():
    assert len(parse_aliases(["a=b", "a=b"])) == 1


def test_an_alias_that_matches_nothing_is_said_once_with_what_is_close(tmp_path):
    for number in (1, 2):
        write_run(tmp_path, [benchmark(engine(number), "test_a.py::test_old"), tf32()], number)
    names, said = lengths(tmp_path, "test_a.py::test_odl=test_a.py::test_new", "inference::tf32=inference::tf33")
    assert names == {"test_a.py::test_old": 2, "inference::tf33": 2}
    (line,) = said
    assert line.startswith("sd history: --sd-history-alias=test_a.py::test_odl=test_a.py::test_new: no stored run is called ")
    assert line.endswith("test_a.py::test_odl; close: test_a.py::test_old")


def test_nothing_is_said_while_nothing_is_stored(tmp_path):
    assert lengths(tmp_path, "a=b") == ({}, [])


def test_two_tests_that_ran_side_by_side_are_not_made_one(tmp_path):
    """A wrong alias would hide a change of either behind the other's level."""
    for number in (1, 2):
        write_run(tmp_path, [benchmark(engine(0), "a.py::x"), benchmark(engine(1), "a.py::y")], number)
    write_run(tmp_path, [benchmark(engine(2), "a.py::x")], 3)
    names, said = lengths(tmp_path, "a.py::x=a.py::y")
    assert names == {"a.py::x": 3, "a.py::y": 2}
    assert said == [
        "sd history: --sd-history-alias: a.py::x and a.py::y were measured side by side in 2 runs: they are two rows, and stay so"
    ]


def test_the_commands_take_aliases(tmp_path, capsys):
    write_run(tmp_path, [benchmark(engine(0), "a.py::x")], 1)
    write_run(tmp_path, [benchmark(engine(1), "b.py::x")], 2)
    assert main(["history", str(tmp_path), "--sd-history-alias", "a.py=b.py"]) == 0
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("fp16")]) == 1
    assert main(["report", str(tmp_path), str(tmp_path / "page.html"), "--sd-history-alias=a.py=b.py"]) == 0
    for command in ("history", "report"):
        with pytest.raises(SystemExit, match="2"):
            main([command, str(tmp_path), "--sd-history-alias=a=b", "--sd-history-alias=b=a"])
        assert "a circle" in capsys.readouterr().err
