"""What containers and machines of CI lack: a home, an entry in passwd, a terminal, a locale. A run measures, stores and reports all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from children import PLUGINS

CONFTEST = """
import os

def gone(*_asked):
    raise KeyError("getpwuid(): uid not found: 54321")

if "SD_NOBODY" in os.environ:
    import pwd
    pwd.getpwuid = gone

from pytest_sdspeed.measure import clock

class Clock:
    seconds = 0.0

    def __init__(self, _synchronize):
        pass

    def now(self):
        return Clock.seconds

    def synchronize(self):
        pass

clock.WallClock = Clock

def work():
    Clock.seconds += 1.0
"""

GATE = """
import pytest
from conftest import work

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.1)
@pytest.mark.parametrize("named", ["caf\\u00e9"])
def test_engine(sd_latency, named):
    sd_latency(lambda: work(), baseline=lambda: work())
"""

MACHINES = {
    "no home and no entry in passwd": {"SD_NOBODY": "1"},
    "a home that cannot be written": {"HOME": "/proc/self/nowhere", "XDG_CACHE_HOME": "/proc/self/nowhere"},
    "the locale C": {"HOME": "/", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
}
BARE = (
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "USER",
    "LOGNAME",
    "TERM",
    "COLUMNS",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "PYTHONUTF8",
    "MPLCONFIGDIR",
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="these are situations of containers")
@pytest.mark.parametrize("machine", MACHINES)
def test_a_run_on_a_bare_machine_measures_stores_and_reports(tmp_path, machine):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_engine.py").write_text(GATE)
    environ = {name: value for name, value in os.environ.items() if name not in BARE and not name.startswith(("PYTEST_", "GITHUB_"))}
    environ |= MACHINES[machine] | {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    options = [*PLUGINS, "--sd-max-blocks=3", "--sd-report=report.html", "--benchmark-autosave"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, check=False, env=environ, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    (stored,) = tmp_path.glob(".benchmarks/*/*.json")
    (bench,) = json.loads(stored.read_text(encoding="utf-8"))["benchmarks"]
    assert bench["extra_info"]["sdspeed"]["verdict"] == "pass"
    assert "caf" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "caf" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert b"Traceback" not in done.stdout + done.stderr
