"""A row of a table's file that is held to another table of that name: its test says so, whatever the file's own name promises."""

import json

import pytest
from distributed_project import CONFTEST, OPTIONS, ROW, TABLE

pytestmark = pytest.mark.slow

ARGUMENTS = [one for one in OPTIONS if not one.startswith("--sd-tables")]
RECORDED = '[recorded]\nkind = "cpu"\n\n[[rows]]\nsetup = "baseline"'


def write(pytester, name, speedup, device="cpu", *, recorded=False):
    text = TABLE.format(name="alpha").replace('device = "cpu"', f'device = "{device}"')
    if recorded:
        text = text.replace('[[rows]]\nsetup = "baseline"', RECORDED)
    (pytester.path / name).write_text(text + ROW.format(setup="quick", speedup=speedup))


def run(pytester, *arguments):
    """The notes of the row that was measured, and its verdict."""
    result = pytester.runpytest_subprocess(*ARGUMENTS, "-n0", "--benchmark-json=out.json", *arguments)
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    (row,) = [one["extra_info"]["sdspeed"] for one in stored if one["name"] == "quick"]
    return [note for note in row["notes"] if "is held to" in note], row["verdict"], result


@pytest.fixture(autouse=True)
def project(pytester):
    pytester.makeconftest(CONFTEST)
    write(pytester, "documented.toml", 1.2)


def test_a_reference_of_another_device_that_does_not_count_is_named(pytester):
    write(pytester, "other.toml", 2.5, "Other CPU", recorded=True)
    notes, verdict, result = run(pytester, "other.toml", "--sd-tables=documented.toml")
    (note,) = notes
    assert verdict == "pass"
    assert note.startswith("quick is held to documented.toml, documented on cpu, and not to ")
    assert f"{pytester.path / 'other.toml'}: of tables of one name" in note
    result.stdout.fnmatch_lines(["*quick is held to documented.toml*"])


def test_the_reference_of_this_device_that_counts_instead_is_named(pytester):
    from pytest_sdspeed.device.machine import describe_cpu

    write(pytester, "here.toml", 1.5, describe_cpu().device, recorded=True)
    notes, verdict, _ = run(pytester, "documented.toml", "--sd-tables=here.toml")
    assert [note.partition(", and")[0] for note in notes] == [f"quick is held to here.toml, recorded on {describe_cpu().device}"]
    assert verdict == "pass"


@pytest.mark.parametrize("more", [(), ("--sd-tables=documented.toml",)])
def test_a_file_whose_own_rows_count_says_nothing(pytester, more):
    write(pytester, "other.toml", 2.5, "Other CPU", recorded=True)
    assert run(pytester, "documented.toml", *more)[:2] == ([], "pass")


def test_a_reference_of_another_device_is_asked_if_there_is_no_other_table(pytester):
    write(pytester, "other.toml", 2.5, "Other CPU", recorded=True)
    assert run(pytester, "other.toml")[:2] == ([], "fail")
