"""What the action for GitHub is made of: shell that shellcheck accepts, no input inside of it, and files that are there."""

import re
import shutil
import subprocess
import tomllib

import pytest
import yaml
from actions import ACTION, ROOT, read_action

SCRIPTS = sorted((ROOT / ".github" / "actions").glob("*.sh"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = {
    "actions/checkout@v5",
    "actions/setup-python@v6",
    "actions/upload-artifact@v4",
    "actions/cache/restore@v4",
    "actions/cache/save@v4",
}


def blocks(path):
    """The shell of a file's steps: a name for each, and its text."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    jobs = found["jobs"] if "jobs" in found else {"action": found["runs"]}
    return {f"{path.name}:{job}:{number}": step["run"] for job in jobs for number, step in enumerate(jobs[job]["steps"]) if "run" in step}


SHELL = {name: text for path in (ACTION, *WORKFLOWS) for name, text in blocks(path).items()}


def shellcheck(text):
    """What shellcheck says of a script; an expression of GitHub's is a word in it."""
    words = re.sub(r"\$\{\{.*?\}\}", "word", text)
    command = ["shellcheck", "--shell=bash", "-"]
    return subprocess.run(command, input=words, capture_output=True, text=True, check=False).stdout


needs_shellcheck = pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")


@needs_shellcheck
@pytest.mark.parametrize("name", SHELL)
def test_shell_in_yaml_is_sound(name):
    assert shellcheck(SHELL[name]) == ""


@needs_shellcheck
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script):
    assert shellcheck(script.read_text(encoding="utf-8")) == ""


@needs_shellcheck
def test_a_planted_fault_in_shell_is_found():
    assert "SC2086" in shellcheck("rm -rf $RUNNER_TEMP/x y")


def interpolated(path):
    """Shell of a file that an expression is put into."""
    return [name for name, text in blocks(path).items() if "${{" in text]


def test_no_input_is_put_into_shell(tmp_path):
    assert interpolated(ACTION) == []
    planted = tmp_path / "action.yml"
    planted.write_text(
        ACTION.read_text(encoding="utf-8").replace('run: exit "${EXIT_CODE', 'run: echo ${{ inputs.name }}; exit "${EXIT_CODE')
    )
    assert len(interpolated(planted)) == 1


def test_every_script_is_run_and_is_there():
    run = re.findall(r"\$GITHUB_ACTION_PATH/(\S+\.sh)", "\n".join(blocks(ACTION).values()))
    assert sorted(ROOT / path for path in run) == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_gets_every_variable_that_it_reads(script):
    (step,) = [step for step in read_action()["runs"]["steps"] if script.name in step.get("run", "")]
    read = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", script.read_text(encoding="utf-8")))
    assert {name for name in read if not name.startswith(("GITHUB_", "RUNNER_"))} == step["env"].keys() - {"SDSPEED_TOKEN", "ARGUMENTS"}


def test_steps_name_steps_and_outputs_that_there_are():
    action = read_action()
    text = ACTION.read_text(encoding="utf-8")
    steps = {step["id"]: step for step in action["runs"]["steps"]}
    written = {name: set(re.findall(r'echo "([a-z-]+)=', path.read_text())) for path in SCRIPTS for name in [path.stem]}
    written["upload"] = {"artifact-url"}
    for step, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", text):
        assert output in written[step]
    assert set(re.findall(r"steps\.([\w-]+)\.", text)) <= steps.keys()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == action["inputs"].keys()
    assert all(one["description"] for one in (*action["inputs"].values(), *action["outputs"].values()))


def test_a_failure_of_a_step_around_the_run_fails_no_check_and_the_last_step_always_tells():
    steps = read_action()["runs"]["steps"]
    assert {step["id"] for step in steps if not step.get("continue-on-error")} == {"prepare", "run", "verdict"}
    assert (steps[-1]["id"], steps[-1]["if"]) == ("verdict", "always()")
    assert all(step["shell"] == "bash" for step in steps if "run" in step)


def test_actions_are_pinned_as_in_the_workflows():
    used = {step["uses"] for step in read_action()["runs"]["steps"] if "uses" in step}
    assert used <= PINNED
    others = {
        step["uses"]
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    }
    assert {one.partition("@")[0]: one for one in used | others if one in PINNED}.keys() == {one.partition("@")[0] for one in PINNED}
    assert "./" in others


def test_the_example_gives_the_action_inputs_that_it_has():
    (step,) = [
        step
        for job in yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text())["jobs"].values()
        for step in job["steps"]
        if step.get("uses") == "./"
    ]
    assert step["with"].keys() <= read_action()["inputs"].keys()
    workflow = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert workflow["concurrency"]["cancel-in-progress"] is True


def test_the_sdist_has_the_action():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"/action.yml", "/.github"} <= set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
