"""Runs of ``--sd-against`` inside: two real processes, on a clock that only what is measured moves."""

import json
import os
import subprocess

from checkouts import FAKE_CLOCK
from children import PLUGINS


def compare(pytester, *arguments, test, conftest=""):
    """Run a test against the version in the folder ``old``; a module of each side is named ``engine``."""
    pytester.makepyfile(fake_clock=FAKE_CLOCK)
    pytester.makepyfile(test_work=test)
    pytester.makeconftest(conftest)
    return pytester.runpytest(*PLUGINS, "--sd-against=old", "--benchmark-json=out.json", *arguments)


def stored(pytester):
    """Test -> its record."""
    benchmarks = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return {bench["name"]: bench["extra_info"]["sdspeed"] for bench in benchmarks}


def workers():
    """Processes of this user that execnet has started."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "exec(eval(sys.stdin.readline()))" in line and f" {os.getpid()} " in line]
