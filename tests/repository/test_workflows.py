"""What GitHub and pre-commit read: all of it parses, and what it names is there."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FILES = [*sorted(GITHUB.rglob("*.yml")), ROOT / ".pre-commit-config.yaml"]
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"]


def name(path):
    return path.relative_to(ROOT).as_posix()


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def runs(path):
    return [step["run"] for step in steps(path) if "run" in step]


def tox_environments():
    """Those of tox.ini, with the ones that its env_list makes of the base."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    named = {section.removeprefix("testenv:") for section in parser.sections() if section.startswith("testenv:")}
    return named | set(re.split(r"[\s,]+", parser["tox"]["env_list"].strip()))


def asked_of_tox(command):
    """The environments that a command names to tox."""
    for arguments in re.findall(r"\btox\b(?! *(?:&|\|))([^&|;\n]*)", command):
        for names in re.findall(r"(?:^|\s)-e[ =]?(\S+)", arguments):
            yield from names.split(",")


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_file_parses(path):
    assert isinstance(read(path), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_a_workflow_has_events_and_jobs_with_a_time_limit(path):
    workflow = read(path)
    # YAML 1.1 reads the key `on` as true.
    assert workflow.get("on", workflow.get(True))
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] > 0
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_the_token_of_a_workflow_may_write_nothing_but_the_comment(path):
    """Without a word the token has what the repository's settings give: perhaps everything."""
    given = {key for key, value in read(path)["permissions"].items() if value != "read"}
    assert given <= ({"pull-requests"} if path.name == "pull-request.yml" else set())


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_a_step_that_calls_tox_names_an_environment_of_tox_ini(path):
    assert {one for command in runs(path) for one in asked_of_tox(command)} <= tox_environments()


def test_the_environments_of_ci_are_found():
    asked = {one for command in runs(GITHUB / "workflows" / "ci.yml") for one in asked_of_tox(command)}
    assert {"bench", "package"} <= asked
    assert list(asked_of_tox("python -m pip install tox && python -m tox -e a,b -- -q && tox -ec")) == ["a", "b", "c"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_a_script_that_a_step_runs_is_there(path):
    scripts = [script for command in runs(path) for script in re.findall(r"python3? (\S+\.py)\b", command)]
    assert all((ROOT / script).is_file() for script in scripts)


def test_only_the_job_that_publishes_may_prove_who_it_is():
    jobs = read(GITHUB / "workflows" / "release.yml")["jobs"]
    trusted = {job for job, settings in jobs.items() if "id-token" in settings.get("permissions", {})}
    assert trusted == {"publish"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert jobs["publish"]["needs"] == "build"
    # Nothing is built, and no code of this repository runs, where the identity is at hand.
    assert all("run" not in step for step in jobs["publish"]["steps"])


@pytest.mark.parametrize("path", FORMS, ids=name)
def test_a_form_for_issues_has_what_github_asks_of_it(path):
    form = read(path)
    assert form["name"]
    assert form["description"]
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
    kinds = {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["type"] in kinds and field["attributes"]["label"] for field in form["body"])
    for field in form["body"]:
        options = field["attributes"].get("options", [])
        assert bool(options) == (field["type"] in {"dropdown", "checkboxes"})
        labels = [option["label"] if isinstance(option, dict) else option for option in options]
        # YAML reads a bare Yes or No as a truth value, which GitHub refuses.
        assert all(isinstance(label, str) for label in labels)


def test_the_form_for_wrong_verdicts_asks_for_the_run():
    form = (GITHUB / "ISSUE_TEMPLATE" / "wrong_verdict.yml").read_text(encoding="utf-8")
    for asked in ("False pass", "False failure", "--benchmark-json", "--sd-report", "Versions"):
        assert asked in form


def test_hooks_of_commits_use_the_versions_of_the_environment():
    (source,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert source["repo"] == "local"
    assert {hook["language"] for hook in source["hooks"]} == {"system"}
    assert [hook["entry"].split()[0] for hook in source["hooks"]] == ["ruff", "ruff", "mypy", "lint-imports"]


def test_what_the_guide_for_contributors_runs_is_there():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL))
    scripts = re.findall(r"(?:^|\s)((?:tests|benchmarks|docs)/[\w/]+\.(?:py|sh))", commands)
    assert len(scripts) > 5
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    asked = set(asked_of_tox(guide))
    assert {"power", "history", "trace", "package"} <= asked <= tox_environments()
    assert all((ROOT / folder).is_dir() for folder in re.findall(r"`(benchmarks/\w+)/?`", guide))
