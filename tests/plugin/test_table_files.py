"""Table files as tests: named, found in folders, or built in; each row a test, and what is broken said before anything is measured."""

import json
from pathlib import Path

import pytest
from children import PLUGINS, WORKERS
from distributed_project import OPTIONS, write_project
from tables_text import VALID

import pytest_sdspeed.tables

QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default")


@pytest.fixture
def collected(pytester):
    """Return the ids of the tests that a command line collects."""

    def collect(*arguments):
        result = pytester.runpytest_inprocess(*QUIET, "--collect-only", "-q", *arguments)
        assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), result.errlines
        return [line for line in result.outlines if "::" in line]

    return collect


def usage_error(result, *said):
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{one}*" for one in said])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def write(pytester, name, text=VALID):
    path = pytester.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_named_file_has_a_test_for_each_row(pytester, collected):
    write(pytester, "mine.toml")
    assert collected("mine.toml") == [f"mine.toml::{row}" for row in ("baseline", "tf32", "fp16", "combined")]
    assert collected("mine.toml::fp16", "mine.toml::tf32") == ["mine.toml::fp16", "mine.toml::tf32"]
    assert collected("mine.toml", "-k", "fp16 or combined") == ["mine.toml::fp16", "mine.toml::combined"]
    assert collected("mine.toml", "-m", "sd_latency") == collected("mine.toml")
    assert collected("mine.toml", "-m", "not sd_latency") == []


def test_a_file_in_another_folder_is_found_from_where_the_command_was_given(pytester, collected):
    write(pytester, "tables/mine.toml")
    assert collected("tables/mine.toml::fp16") == ["tables/mine.toml::fp16"]


def test_other_toml_files_of_a_folder_are_none_of_its_tests(pytester, collected):
    write(pytester, "mine.toml")
    write(pytester, "pyproject.toml", "[tool.other]\nkey = 1\n")
    write(pytester, "inside/mine.sdspeed.toml", VALID.replace('name = "mine"', 'name = "found"'))
    assert collected() == [f"inside/mine.sdspeed.toml::{row}" for row in ("baseline", "tf32", "fp16", "combined")]


def test_a_table_that_is_an_option_too_is_read_once(pytester, collected):
    path = write(pytester, "mine.toml")
    assert len(collected("mine.toml", f"--sd-tables={path}")) == 4


def test_the_built_in_tables_are_tests_of_an_installed_package(collected):
    ids = collected("--pyargs", "pytest_sdspeed.tables")
    folder = Path(pytest_sdspeed.tables.__file__).parent
    assert {one.partition("::")[0].rpartition("/")[2] for one in ids} == {path.name for path in folder.glob("*.toml")}
    tables = [pytest_sdspeed.tables.load_table(path) for path in folder.glob("*.toml")]
    assert len(ids) == sum(len(table.rows) + len(table.claims) for table in tables)
    assert {one.rpartition("/")[2] for one in collected("--pyargs", "pytest_sdspeed.tables", "-k", "miniature and distilled")} == {
        f"miniature.toml::{row}" for row in ("distilled", "distilled_tiny_vae", "distilled_feature_cache_2")
    }


@pytest.mark.parametrize("argument", ["mine.toml", "mine.toml::fp16", "mine.toml::nosuch"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VALID.replace("latency_s = 3.51", "latency_s = -1"), "mine.toml: rows[[]2].latency_s: must be greater than 0, not -1"),
        ("schema = [", "mine.toml: *not*TOML*"),
        ("", "mine.toml: schema: *"),
        (
            VALID.replace('name = "mine"', 'name = "inference"'),
            "mine.toml: name: 'inference' for device 'NVIDIA A100' is also in *inference.toml",
        ),
    ],
)
def test_a_broken_file_that_is_named_ends_the_run_with_file_and_key(pytester, argument, text, said):
    write(pytester, "mine.toml", text)
    usage_error(pytester.runpytest_inprocess(*QUIET, argument), said)


@pytest.mark.parametrize("further", [(), ("-k", "fp16"), ("--collect-only",)])
def test_a_broken_file_that_is_found_ends_the_run_with_file_and_key(pytester, further):
    write(pytester, "mine.sdspeed.toml", VALID.replace("latency_s = 3.51", "latency_s = -1"))
    pytester.makepyfile(test_other="def test_other(): pass")
    usage_error(pytester.runpytest_inprocess(*QUIET, *further), "mine.sdspeed.toml: rows[[]2].latency_s: must be greater than 0, not -1")


def test_two_tables_of_one_name_are_refused(pytester):
    write(pytester, "a.sdspeed.toml")
    write(pytester, "b.sdspeed.toml")
    usage_error(pytester.runpytest_inprocess(*QUIET), "b.sdspeed.toml: name: 'mine' for device 'NVIDIA A100' is also in *a.sdspeed.toml")


def test_an_unknown_optimization_of_a_named_file_is_a_usage_error(pytester):
    write(pytester, "mine.toml", VALID.replace('["tf32"]', '["ft32"]'))
    usage_error(pytester.runpytest_inprocess(*QUIET, "mine.toml"), "'ft32'")


@pytest.mark.parametrize("name", ["latency", "setup"])
def test_a_row_whose_fixture_means_something_else_is_refused(pytester, name):
    write(pytester, "mine.toml", VALID.replace('setup = "combined"', f'setup = "{name}"'))
    usage_error(pytester.runpytest_inprocess(*QUIET, "mine.toml"), f"mine.toml: rows[[]3].setup: '{name}' is a name that no setup can have")


def test_a_row_that_is_not_there_and_a_file_that_is_not_there_are_usage_errors(pytester):
    write(pytester, "mine.toml")
    usage_error(pytester.runpytest_inprocess(*QUIET, "mine.toml::nosuch"), "not found: *mine.toml::nosuch")
    usage_error(pytester.runpytest_inprocess(*QUIET, "yours.toml"), "file or directory not found: yours.toml")


@pytest.mark.slow
def test_folders_without_a_table_are_collected_without_loading_anything(pytester):
    write(pytester, "pyproject.toml", "[tool.other]\nkey = 1\n")
    pytester.makepyfile(
        "import sys\ndef test_it():\n    assert not {'pytest_sdspeed.plugin.table_files', 'pytest_sdspeed.run.session'} & set(sys.modules)"
    )
    pytester.runpytest_subprocess(*PLUGINS, *QUIET).assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_rows_of_files_are_measured_as_those_of_tests(pytester, workers):
    write_project(pytester)
    (pytester.path / "test_it.py").unlink()
    for name in ("alpha", "beta"):
        (pytester.path / "tables" / f"{name}.toml").rename(pytester.path / f"{name}.sdspeed.toml")
    options = [one for one in OPTIONS if not one.startswith("--sd-tables")]
    result = pytester.runpytest_subprocess(*options, workers, "--benchmark-json=out.json")
    result.assert_outcomes(passed=6)
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert {(one["fullname"], one["group"].partition(" on ")[0]) for one in stored} == {
        (f"{table}.sdspeed.toml::{row}", table)
        for table, rows in (("alpha", ("quick", "quickest")), ("beta", ("quick", "quicker")))
        for row in ("baseline", *rows)
    }
    assert all(one["extra_info"]["sdspeed"]["verdict"] in ("pass", None) for one in stored)


@pytest.mark.slow
def test_a_row_of_a_file_that_is_too_slow_fails(pytester):
    write_project(pytester)
    table = pytester.path / "tables" / "alpha.toml"
    write(pytester, "mine.toml", table.read_text().replace("speedup = 1.5", "speedup = 2.5").replace('"alpha"', '"mine"'))
    options = [one for one in OPTIONS if not one.startswith("--sd-tables")]
    result = pytester.runpytest_subprocess(*options, "-n0", "mine.toml")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*mine.toml::quick FAILED*", "quick on *: x1.50 * over baseline; documented x2.50 *"])


@pytest.mark.slow
def test_a_broken_file_that_workers_find_ends_the_run(pytester):
    write(pytester, "mine.sdspeed.toml", VALID.replace("latency_s = 3.51", "latency_s = -1"))
    usage_error(
        pytester.runpytest_subprocess(*WORKERS, *QUIET, "-n2"), "mine.sdspeed.toml: rows[[]2].latency_s: must be greater than 0, not -1"
    )
