"""``pytest benchmarks`` has every row of every built-in table exactly once; what has no figure is said, and nothing is missing silently."""

from __future__ import annotations

import re
import runpy
import shutil
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from builtin_tables import ALL

from pytest_sdspeed.tables import load_tables

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default")
TEST = re.compile(r"test_(\w+)\.py::test_(\w+)\[(\w+)\]$")


@pytest.fixture
def collected(pytester, monkeypatch):
    """Copy the benchmarks, change them, and list the rows that ``pytest benchmarks`` collects: table and setup."""

    def collect(change=lambda _folder: None, *arguments):
        folder = pytester.path / "benchmarks"
        folder.mkdir()
        for file in BENCHMARKS.glob("test_*.py"):
            shutil.copy(file, folder)
        change(folder)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        result = pytester.runpytest_inprocess(
            "-p", "benchmark", "-p", "sdspeed", *QUIET, "--import-mode=importlib", "--collect-only", "-q", "benchmarks", *arguments
        )
        assert result.ret == pytest.ExitCode.OK, result.outlines
        return Counter(found.groups()[1:] for line in result.outlines if (found := TEST.search(line)))

    return collect


def rows():
    return Counter((table.name, row.setup) for table in load_tables() for row in table.rows)


def test_every_row_of_every_built_in_table_is_collected_exactly_once(collected):
    assert collected() == rows()


def test_so_it_is_on_a_counting_device_and_in_a_rehearsal(collected):
    assert collected(lambda _: None, "--sd-dry") == rows()


def test_a_table_that_loses_its_file_is_taken_over(collected):
    assert collected(lambda folder: (folder / "test_stack.py").unlink()) == rows()


def test_a_table_with_two_files_is_found(collected):
    def twice(folder):
        (folder / "test_more.py").write_text((folder / "test_inference.py").read_text())

    assert collected(twice) - rows() == Counter(("inference", row) for table, row in rows() if table == "inference")


def test_a_file_that_hides_a_table_is_found(collected):
    def hidden(folder):
        (folder / "test_fastest.py").write_text("def test_nothing(): pass\n")

    assert rows() - collected(hidden) == Counter(one for one in rows() if one[0] == "fastest")


@pytest.mark.parametrize(
    ("table", "given", "runs"), [("fastest", "option", False), ("fastest", "ini", False), ("fastest", "", True), ("legacy", "option", True)]
)
def test_the_goals_are_no_page_that_a_gpu_is_held_to(table, given, runs):
    asked = []
    config = SimpleNamespace(getoption=lambda _: given == "option" or None, getini=lambda _: given == "ini")
    make_test = runpy.run_path(str(BENCHMARKS / "test_atlas.py"))["make_test"]
    with nullcontext() if runs else pytest.raises(pytest.skip.Exception, match="a goal, which no page documents"):
        make_test(table)(SimpleNamespace(config=config), asked.append, "setup")
    assert asked == (["setup"] if runs else [])


@pytest.mark.slow
@pytest.mark.skipif(not ALL, reason="every row of every table: takes an hour or more; SDSPEED_TEST_ATLAS=1 asks for it")
@pytest.mark.parametrize("option", ["--sd-weights=tiny", "--sd-dry"])
def test_every_row_is_rehearsed_and_counted_or_says_why_not(pytester, option):
    result = pytester.runpytest_subprocess(*QUIET, str(BENCHMARKS), option, "-c", str(BENCHMARKS.parent / "pyproject.toml"))
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) == 0
    assert outcomes["passed"] + outcomes["skipped"] == rows().total()
    result.stdout.no_fnmatch_line("not run:*")
