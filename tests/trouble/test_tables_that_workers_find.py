"""Tables that workers find in folders: the controller, which collects nothing, knows them too."""

import json

import pytest
from distributed_project import OPTIONS, write_project

pytestmark = pytest.mark.slow

ARGUMENTS = [one for one in OPTIONS if not one.startswith("--sd-tables")]


@pytest.fixture
def project(pytester):
    """A folder with two tables, and no Python but what stands for pipelines."""
    write_project(pytester)
    (pytester.path / "test_it.py").unlink()
    inside = pytester.mkdir("inside")
    for name in ("alpha", "beta"):
        (pytester.path / "tables" / f"{name}.toml").rename(inside / f"{name}.sdspeed.toml")
    return pytester


def test_what_they_measure_of_these_is_recorded(project):
    result = project.runpytest_subprocess(*ARGUMENTS, "-n2", "--sd-record=rec.toml", "--sd-max-blocks=8")
    result.assert_outcomes(passed=6)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["sd record: rec-alpha.toml: 3 rows of 'alpha' on *", "sd record: rec-beta.toml: 3 rows of 'beta' on *"])
    assert sorted(path.name for path in project.path.glob("rec*.toml")) == ["rec-alpha.toml", "rec-beta.toml"]


def test_a_row_that_is_lost_with_its_worker_is_told_with_what_it_was_held_to(project, monkeypatch):
    monkeypatch.setenv("KILL_IN", "quicker")
    result = project.runpytest_subprocess(*ARGUMENTS, "-n2", "--benchmark-json=out.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["quicker * invalid"])
    stored = json.loads((project.path / "out.json").read_text())["benchmarks"]
    assert {one["name"] for one in stored} >= {"quick", "quickest"}


def test_a_broken_one_is_said_once_by_its_worker(project):
    path = project.path / "inside" / "beta.sdspeed.toml"
    path.write_text(path.read_text().replace("speedup = 1.5", "speedup = -1"))
    result = project.runpytest_subprocess(*ARGUMENTS, "-n2", "--sd-record=rec.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*beta.sdspeed.toml: rows[[]1].speedup: must be greater than 0, not -1*"])
    assert list(project.path.glob("rec*.toml")) == []
