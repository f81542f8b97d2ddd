"""A value that came out empty is no value: it ends the run before the wrong thing is measured."""

import pytest
from test_plugin_usage import ENGINE, usage_error

from pytest_sdspeed.plugin.state import run_of

VALUES = {
    "weights": "pretrained, random, tiny",
    "tolerance": "a fraction from 0 to below 1",
    "budget": "seconds, more than 0",
    "max-blocks": "a whole number, 2 or more",
    "inconclusive": "fail, warn, skip",
    "seed": "a whole number from 0 to 2**62",
    "clip": "a folder, or a hub id",
    "history": "off, warn, fail",
    "tables": "a table file, or a folder of them",
    "history-alias": "OLD=NEW, what was called so before and what it is called today",
    "against": "requirements (diffusers==0.41.0), a checkout, a Python interpreter, or a git reference",
}


def refused(pytester, *arguments):
    with pytest.raises(pytest.UsageError) as refusal:
        pytester.parseconfigure(*arguments)
    return str(refusal.value)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("value", ["", " "], ids=["empty", "blank"])
def test_an_empty_value_is_a_usage_error_that_names_what_is_valid(pytester, name, value):
    said = refused(pytester, f"--sd-{name}={value}")
    assert said.startswith(f"--sd-{name}=: the value is empty")
    assert f"; valid: {VALUES[name]}. See http" in said


@pytest.mark.parametrize("name", VALUES)
def test_an_empty_value_of_the_ini_file_is_one_too(pytester, name):
    twin = f"sdspeed_{name.replace('-', '_')}"
    pytester.makeini(f"[pytest]\n{twin} =\n")
    # Nothing measures here: the file is wrong all the same.
    said = refused(pytester)
    assert said.startswith(f"{twin}=: the value is empty")
    assert f"; valid: {VALUES[name]}. See http" in said


def test_an_empty_value_is_not_hidden_by_another_or_by_an_override(pytester):
    (pytester.path / "tables").mkdir()
    assert refused(pytester, "--sd-tables=tables", "--sd-tables=").startswith("--sd-tables=: the value is empty; valid: ")
    assert refused(pytester, "-o", "sdspeed_budget=").startswith("sdspeed_budget=: the value is empty; valid: ")


def test_an_empty_version_says_that_a_merge_base_may_have_come_out_empty(gated):
    usage_error(
        gated(ENGINE, "--sd-against="), "--sd-against=: *git merge-base*comes out empty: fetch the history, as with fetch-depth: 0*"
    )


@pytest.mark.parametrize("name", ["gpu", "confirm", "against_control"])
def test_a_switch_is_on_or_off(pytester, name):
    pytester.makeini(f"[pytest]\nsdspeed_{name} =\n")
    said = refused(pytester)
    assert said.startswith(f"sdspeed_{name}: ")
    assert said.endswith("; valid: true, false")


@pytest.mark.parametrize("switch", ["--sd-gpu=", "--sd-confirm=", "--sd-against-control="])
def test_a_switch_takes_no_value(pytester, switch):
    assert "ignored explicit argument ''" in refused(pytester, switch)


def test_a_file_that_is_named_empty_is_not_written(gated, pytester):
    pytester.makeini("[pytest]\nsdspeed_report =\nsdspeed_record =  \n")
    before = {path.name for path in pytester.path.iterdir()}
    gated(ENGINE, "--sd-report= ", "--sd-record=").assert_outcomes(passed=1)
    written = {path.suffix for path in pytester.path.iterdir() if path.name not in before}
    assert not written & {".html", ".toml"}


def test_the_command_line_takes_an_empty_value_of_the_ini_file_back(pytester):
    pytester.makeini("[pytest]\nsdspeed_budget =\n")
    assert run_of(pytester.parseconfigure("--sd-budget=60")).options.budget_s == 60
