"""The files for Slurm in the documentation, with a stand-in for ``srun`` that starts the tasks of ``--multi-prog`` as Slurm does."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from documentation import blocks
from test_code_blocks import commands, wrong

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

SRUN = """
import os, shlex, subprocess, sys
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
assert options["ntasks"] == "2" and options["gpus-per-task"] == "1" and options["kill-on-bad-exit"] == "0"
running = []
for line in open(sys.argv[sys.argv.index("--multi-prog") + 1]):
    task, *command = shlex.split(line)
    command = [word.replace("%t", task) for word in command]
    environment = {**os.environ, "SLURM_PROCID": task, "CUDA_VISIBLE_DEVICES": task}
    running.append(subprocess.Popen(command, env=environment))
sys.exit(max(one.wait() for one in running))
"""
PYTEST = """
import json, os, sys
task = os.environ["CUDA_VISIBLE_DEVICES"]
open(f"given-{task}.json", "w").write(json.dumps(sys.argv[1:]))
sys.exit(int(os.environ["CODES"][int(task)]))
"""


def block(title):
    (found,) = [one for one in blocks() if one.title == title]
    return found


@pytest.mark.parametrize("codes", ["00", "10", "04"])
def test_each_task_has_its_gpu_and_its_files_and_the_job_ends_as_the_worst(tmp_path, codes):
    for name, source in (("srun", SRUN), ("pytest", PYTEST)):
        (tmp_path / name).write_text(f"#!{sys.executable}\n{source}")
        (tmp_path / name).chmod(0o755)
    for title in ("speed.sbatch", "speed.conf"):
        (tmp_path / title).write_text(block(title).text)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CODES": codes}
    done = subprocess.run(["bash", "speed.sbatch"], cwd=tmp_path, env=environment, check=False, timeout=60)
    assert done.returncode == int(max(codes))
    given = [json.loads((tmp_path / f"given-{task}.json").read_text()) for task in "01"]
    assert not set(given[0]) & set(given[1]) - {"--sd-gpu"}
    assert all(f"--benchmark-json=speed-{task}.json" in words for task, words in enumerate(given))


def test_its_commands_name_what_there_is_and_its_first_lines_ask_for_as_much_as_srun():
    script = block("speed.sbatch")
    lines = [line.split(maxsplit=1)[1] for line in block("speed.conf").text.splitlines()]
    made = type(script)(script.file, "sh", "", "\n".join(lines))
    assert [problem for words in commands(made) for problem in wrong(words)] == []
    asked, started = (re.findall(r"--(\S+-per-task|ntasks)=(\S+)", line) for line in script.text.splitlines()[1:])
    assert dict(asked) == dict(started)
    assert len(lines) == int(dict(asked)["ntasks"])
