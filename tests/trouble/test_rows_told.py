"""A run over many tables says at its end what became of each row: figures, reasons, and what did not run."""

from __future__ import annotations

import pytest
from distributed_project import CONFTEST, OPTIONS, write_project

UNSUPPORTED = """
[[rows]]
setup = "other_engine"
optimizations = ["tensorrt"]
speedup = 3
unsupported = "TensorRT is another engine"
"""
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default", "--sd-tables=tables", "-rs")


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the project of two tables on a clock of its own, in this process."""

    def call(*arguments, change=lambda text: text, conftest=CONFTEST):
        write_project(pytester)
        pytester.makeconftest(conftest)
        table = pytester.path / "tables" / "alpha.toml"
        table.write_text(change(table.read_text().replace("schema = 1", "schema = 2") + UNSUPPORTED))
        with monkeypatch.context() as patched:
            patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return pytester.runpytest_inprocess("-p", "benchmark", "-p", "sdspeed", *QUIET, *arguments)

    return call


def told(result):
    lines = result.outlines
    start = next((at for at, line in enumerate(lines) if line.startswith("sd rows: ")), None)
    return (
        []
        if start is None
        else [line for line in lines[start : start + 4] if line.startswith(("sd rows", "skipped,", "unsupported,", "failed ", "not run"))]
    )


def test_rows_that_cannot_be_built_are_listed_and_not_counted_as_measured(run):
    first, second = told(run("-k", "alpha or beta"))
    assert first.startswith("sd rows: 7 of 2 tables in ")
    assert first.endswith(": 6 measured, 1 that this project cannot build")
    assert second == "unsupported, 1 row: TensorRT is another engine: alpha::other_engine"


def test_a_row_that_fails_its_gate_was_measured(run):
    result = run("-k", "alpha or beta", change=lambda text: text.replace("speedup = 1.5", "speedup = 2.5"))
    result.assert_outcomes(failed=1, passed=5, skipped=1, deselected=2)
    assert told(result)[0].endswith(": 6 measured, 1 that this project cannot build")


def test_rows_that_a_run_did_not_come_to_are_named(run):
    result = run("-k", "alpha or beta", "-x", change=lambda text: text.replace("speedup = 1.5", "speedup = 2.5"))
    first, *_, last = told(result)
    assert first.endswith(": 2 measured, 5 not run")
    assert last == "not run: alpha::quickest, alpha::other_engine, beta::baseline, beta::quick, beta::quicker"


@pytest.mark.parametrize("tests", ["beta", "test_engine"])
def test_one_table_whose_rows_are_all_measured_gets_no_line(run, tests):
    assert told(run("-k", tests)) == []


def test_a_row_that_breaks_has_no_figure(run):
    broken = CONFTEST.replace("def draw(self, case):", "def draw(self, case):\n    assert self.name != 'quicker', 'broken'")
    first, second = told(run("-k", "beta", conftest=broken))
    assert first.endswith(": 2 measured, 1 failed without a figure")
    assert second == "failed without a figure: beta::quicker"


@pytest.mark.slow
def test_workers_tell_the_same(pytester):
    write_project(pytester)
    table = pytester.path / "tables" / "alpha.toml"
    table.write_text(table.read_text().replace("schema = 1", "schema = 2") + UNSUPPORTED)
    first, second = told(pytester.runpytest_subprocess(*OPTIONS, "-n2", "-k", "alpha or beta"))
    assert first.endswith(": 6 measured, 1 that this project cannot build")
    assert second == "unsupported, 1 row: TensorRT is another engine: alpha::other_engine"
