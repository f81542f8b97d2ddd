"""Runs the steps of this repository's action here, one after the other, as a runner of GitHub does.

Its shell steps run as they are. Of the actions that it uses, what they do to files and outputs is done by stand-ins.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ACTION = ROOT / "action.yml"
_CONTEXT = re.compile(r"\b(?:inputs|steps|github|runner)(?:\.[\w-]+)+")
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)

PYTEST = """
import json, os, pathlib, shutil, sys
given = sys.argv[2:]
pathlib.Path(os.environ["FAKE"], "given.json").write_text(json.dumps(given))
if os.environ.get("FAKE_RUN"):
    named = dict(word.split("=", 1) for word in given if word.startswith("--") and "=" in word)
    pathlib.Path(named["--sd-report"]).write_text("<html>")
    shutil.copy(os.environ["FAKE_RUN"], named["--benchmark-json"])
    pathlib.Path(".benchmarks").mkdir(exist_ok=True)
    shutil.copy(os.environ["FAKE_RUN"], ".benchmarks")
sys.exit(int(os.environ["FAKE_CODE"]))
"""
"""Stands in for pytest: it notes its arguments, stores the run that it is given, and ends as it is told."""
PYTHON = """#!/bin/sh
case "$2 $3" in
"pytest_sdspeed clean") exit ;;
"pytest "*)
    [ -z "$FAKE_KILL" ] || kill -9 $PPID
    shift
    exec "REAL" "$FAKE/pytest.py" "$@" ;;
esac
exec "REAL" "$@"
"""
"""Stands in for Python: it is the real one but for pytest, and for deleting old pictures, of which there are none."""


def read_action():
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))


@dataclass
class Step:
    """How a step ended: ``success``, ``failure`` or ``skipped``, its outputs, and what it wrote."""

    outcome: str
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    code: int = 0
    summary: str = ""


class Runner:
    """A machine with a checkout, a cache and a place for artifacts.

    Attributes:
        github: the context ``github``; environment: what every step has.
        cache: key -> folder, the oldest first; artifacts: name -> the files in it.
        steps: how each step of the last run ended.
    """

    def __init__(self, folder, **environment):
        self.workspace, self.cache, self.artifacts, self.steps = folder / "work", {}, {}, {}
        self._folder, self._runs = folder, 0
        for name in ("work", "temp", "fake", "cache"):
            (folder / name).mkdir(exist_ok=True)
        self.python = folder / "fake" / "python"
        self.python.write_text(PYTHON.replace("REAL", sys.executable))
        self.python.chmod(0o755)
        (folder / "fake" / "pytest.py").write_text(PYTEST)
        self.github = {
            "token": "ghs_0123456789abcdef",
            "ref": "refs/pull/7/merge",
            "event_name": "pull_request",
            "run_id": "99",
            "run_attempt": "1",
            "event": {},
        }
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "FAKE": str(folder / "fake"),
            "FAKE_CODE": "0",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_JOB": "speed",
            "GITHUB_REPOSITORY": "octo/engine",
            "GITHUB_RUN_ID": "99",
            "GITHUB_SERVER_URL": "https://github.test",
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(folder / "temp"),
            **environment,
        }

    def run(self, **inputs):
        """Run the action; the exit code that the job ends with."""
        action = read_action()
        known = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
        self.steps, failed = {}, 0
        inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert inputs.keys() <= known.keys()
        self._inputs = {name: self._fill(value) for name, value in known.items()} | {"python": str(self.python)} | inputs
        for step in action["runs"]["steps"]:
            condition = step.get("if", "success()")
            wanted = self._evaluate(condition if "always()" in condition else f"success() && ({condition})", failed)
            done = self._run_step(step) if wanted else Step("skipped")
            self.steps[step["id"]] = done
            if done.outcome == "failure" and not step.get("continue-on-error"):
                failed = done.code
        return failed

    def given(self):
        """The arguments of pytest."""
        return json.loads((self._folder / "fake" / "given.json").read_text())

    def log(self):
        return "".join(step.log for step in self.steps.values())

    # Expressions

    def _fill(self, value):
        return _EXPRESSION.sub(lambda found: self._print(self._evaluate(found[1])), str(value))

    def _print(self, value):
        return {True: "true", False: "false", None: ""}.get(value, str(value)) if isinstance(value, (bool, type(None))) else str(value)

    def _evaluate(self, expression, failed=0):
        python = _CONTEXT.sub(lambda found: f"look({found[0]!r})", expression).replace("&&", " and ").replace("||", " or ")
        names = {
            "look": self._look,
            "always": lambda: True,
            "success": lambda: not failed,
            "format": lambda text, *more: text.format(*more),
        }
        return eval(python.strip(), {"__builtins__": {}}, names)

    def _look(self, path):
        first, *names = path.split(".")
        if first == "steps":
            step = self.steps.get(names[0], Step(""))
            return step.outputs.get(names[2], "") if names[1] == "outputs" else step.outcome
        found = {"inputs": getattr(self, "_inputs", {}), "github": self.github, "runner": {"os": "Linux"}}[first]
        for name in names:
            found = found.get(name, "") if isinstance(found, dict) else ""
        return found

    # Steps

    def _run_step(self, step):
        if "uses" in step:
            given = {name: self._fill(value) for name, value in step["with"].items()}
            return getattr(self, "_" + re.sub(r"\W", "_", step["uses"].partition("@")[0]))(given)
        self._runs += 1
        files = {name: self._folder / "temp" / f"{name}-{self._runs}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        script = self._folder / "temp" / f"step-{self._runs}.sh"
        script.write_text(step["run"])
        environment = {**self.environment, **{name: self._fill(value) for name, value in step.get("env", {}).items()}}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.workspace,
            env={**environment, **{name: str(file) for name, file in files.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return Step(
            "failure" if done.returncode else "success", outputs, done.stdout, done.returncode, files["GITHUB_STEP_SUMMARY"].read_text()
        )

    def _actions_cache_restore(self, given):
        found = [key for key in self.cache if key.startswith((given["key"], given["restore-keys"]))]
        if found:
            shutil.copytree(self.cache[found[-1]], self.workspace / given["path"], dirs_exist_ok=True)
        return Step("success")

    def _actions_cache_save(self, given):
        target = self._folder / "cache" / str(len(self.cache))
        self.cache[given["key"]] = shutil.copytree(self.workspace / given["path"], target)
        return Step("success")

    def _actions_upload_artifact(self, given):
        found = [path for path in given["path"].split() if (self.workspace / path).is_file()]
        self.artifacts[given["name"]] = found
        return Step("success", {"artifact-url": "https://github.test/artifacts/5"} if found else {})
