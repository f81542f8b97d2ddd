"""Many built-in tables: no fixtures for rows that nobody names, no table parsed by a plugin that nobody uses, and three ways to each row."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from builtin_tables import FIRST
from children import PLUGINS
from tables_text import VALID

from pytest_sdspeed.errors import NO_ARCHITECTURE, UnknownNameError
from pytest_sdspeed.model import Row, Table
from pytest_sdspeed.plugin.requests import skip_unknown_model
from pytest_sdspeed.plugin.state import PLAN
from pytest_sdspeed.run.plan import Plan
from pytest_sdspeed.run.session import describe_setups
from pytest_sdspeed.setups.catalog import ResolvedSetup
from pytest_sdspeed.setups.names import BUILTIN_SETUPS
from pytest_sdspeed.tables import is_builtin, load_tables, loader

QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default")
LATER = next(table for table in load_tables() if table.name not in FIRST)


def listed(pytester, *arguments):
    """Name the fixtures of setups that a run has."""
    said = pytester.runpytest_inprocess(*QUIET, "--fixtures", "-q", *arguments).outlines
    names = {line.partition(" ")[0] for line in said if line.startswith("sd_")}
    return {name.removeprefix("sd_") for name in names} - {"latency", "account", "setup", "claim"}


@pytest.fixture
def mine(pytester):
    path = pytester.path / "mine.toml"
    path.write_text(VALID.replace('setup = "tf32"', 'setup = "my_tf32"'))
    return path


def test_a_run_with_a_users_table_has_its_fixtures_and_those_of_no_other_table(pytester, mine):
    pytester.makepyfile("def test_nothing(): pass")
    assert listed(pytester) == set(BUILTIN_SETUPS)
    assert listed(pytester, f"--sd-tables={mine}") == {*BUILTIN_SETUPS, "my_tf32"}


def test_a_named_file_brings_the_fixtures_of_its_own_rows(pytester, mine):
    assert listed(pytester, "mine.toml") == {*BUILTIN_SETUPS, "my_tf32"}
    assert listed(pytester, LATER.path) == {*BUILTIN_SETUPS, *(row.setup for row in LATER.rows)}


def test_what_registers_too_much_is_found():
    assert set(describe_setups([LATER])) == {row.setup for row in LATER.rows}
    assert set(describe_setups(load_tables())) > set(describe_setups([LATER]))
    assert not set(describe_setups(load_tables())) & set(BUILTIN_SETUPS)


def test_a_row_of_a_later_table_is_reached_by_its_file_by_the_package_and_by_sd_setup(pytester):
    row = LATER.rows[-1].setup
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.sd_latency(table={LATER.name!r})\ndef test_it(sd_latency, sd_setup):\n    sd_latency(sd_setup)\n"
    )
    for arguments in ([f"{LATER.path}::{row}"], ["--pyargs", "pytest_sdspeed.tables", "-k", row], ["test_" + "*.py", "-k", row]):
        given = [one if "*" not in one else next(pytester.path.glob(one)).name for one in arguments]
        result = pytester.runpytest_inprocess(*QUIET, "--collect-only", "-q", *given)
        assert any(line.endswith((f"::{row}", f"[{row}]")) for line in result.outlines), result.outlines


def test_a_row_that_has_no_fixture_is_refused_with_the_ways_to_reach_it(pytester):
    row = LATER.rows[-1].setup
    pytester.makepyfile(f"def test_it(sd_latency, sd_{row}): pass")
    result = pytester.runpytest_inprocess(*QUIET)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*::test_it: the rows of table '{LATER.name}' have no fixtures: *sd_setup*or run pytest {LATER.path}::{row}"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "names"), [((), []), (("--sd-seed=1",), []), (("--sd-tables=mine.toml",), ["mine"])])
@pytest.mark.usefixtures("mine")
def test_a_plugin_that_is_not_used_opens_no_table_but_the_users(pytester, arguments, names):
    pytester.makeconftest(
        """
        import json, sys

        OPENED = []
        sys.addaudithook(lambda event, given: OPENED.append(str(given[0])) if event == "open" else None)


        def pytest_unconfigure(config):
            print("OPENED", json.dumps([path for path in OPENED if path.endswith(".toml")]))
        """
    )
    pytester.makepyfile("def test_nothing(): pass")
    said = pytester.runpytest_subprocess(*PLUGINS, *QUIET, *arguments).outlines
    opened = json.loads(next(line for line in said if line.startswith("OPENED")).removeprefix("OPENED "))
    assert [Path(path).stem for path in opened] == names


@pytest.fixture
def read(pytester, monkeypatch):
    """Run pytest, and name the tables that it reads."""
    names = []

    def load(path, metrics=(), load=loader.load_table):
        names.append(Path(path).stem)
        return load(path, metrics)

    def run(*arguments):
        result = pytester.runpytest_inprocess(*QUIET, *arguments)
        return sorted(names), result

    monkeypatch.setattr(loader, "load_table", load)
    return run


TABLED = """
    import pytest

    @pytest.fixture
    def sd_my_engine():
        return lambda: None

    @pytest.mark.sd_latency(table={name!r})
    def test_row(sd_latency, {setup}):
        sd_latency({setup})

    @pytest.mark.sd_latency(speedup=1.3)
    def test_own(sd_latency, sd_my_engine):
        sd_latency(sd_my_engine, baseline=sd_my_engine)
    """


@pytest.mark.parametrize(
    ("name", "setup", "arguments"),
    [("inference", "sd_fp16", ()), (LATER.name, "sd_setup", ()), ("mine", "sd_my_tf32", ("--sd-tables=mine.toml",))],
)
@pytest.mark.usefixtures("mine")
def test_a_run_reads_the_table_that_its_tests_name_and_no_other(pytester, read, name, setup, arguments):
    pytester.makepyfile(TABLED.format(name=name, setup=setup))
    found, result = read("--collect-only", "-q", *arguments)
    assert (found, result.ret) == ([name], pytest.ExitCode.OK)


@pytest.mark.parametrize("dry", [(), ("--sd-dry",)])
def test_a_run_that_records_reads_no_table_beside_those_of_its_results(pytester, read, dry):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sd_latency(table="miniature")
        def test_row(sd_latency, sd_distilled):
            pytest.skip("not here")
        """
    )
    found, result = read("--sd-record=here.toml", *dry)
    assert found == ["miniature"]
    result.stdout.fnmatch_lines(["sd record: nothing to record; *here.toml was not written"])


def test_an_unknown_table_is_explained_with_the_names_of_all_and_none_is_read(pytester, read):
    pytester.makepyfile(TABLED.format(name="inferense", setup="sd_fp16"))
    found, result = read("--collect-only", "-q")
    assert (found, result.ret) == ([], pytest.ExitCode.USAGE_ERROR)
    known = ", ".join(sorted(table.name for table in load_tables()))
    assert f"unknown table 'inferense'; did you mean 'inference'? valid: {known}" in result.stderr.str()


def test_tables_of_the_package_are_told_from_those_of_users(mine):
    from pytest_sdspeed.tables import load_table

    assert all(map(is_builtin, load_tables()))
    assert not is_builtin(load_table(mine))


@pytest.mark.parametrize(
    ("path", "kind", "skips"),
    [(LATER.path, NO_ARCHITECTURE, True), ("mine.toml", NO_ARCHITECTURE, False), (LATER.path, "optimization", False)],
)
def test_a_model_without_configuration_skips_a_row_of_the_package_and_fails_one_of_a_user(path, kind, skips, recipe):
    row = Row(setup="x", optimizations=(), baseline="x", recipe=recipe, speedup=1.0)
    table = Table(name="t", title="", source="", device="NVIDIA A100", rows=(row,), path=str(path))
    resolved = ResolvedSetup(table=table, setup="x", optimizations=(), recipe=recipe, row=row, baseline="x")

    plan = [None, None], Plan(setups=(resolved,))
    item = SimpleNamespace(stash={PLAN: plan}, get_closest_marker=lambda _name: None)
    error = UnknownNameError(kind, "some/model", ["known"])
    if skips:
        with pytest.raises(pytest.skip.Exception, match="no configuration of some/model is known here"):
            skip_unknown_model(item, error)
    else:
        skip_unknown_model(item, error)
