"""What goes wrong while a run is stored loses nothing: not what was stored before, not another run, not what this one has to say."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from children import PLUGINS
from pytest_benchmark.storage.file import FileStorage

from pytest_sdspeed.history.loading import load_histories
from pytest_sdspeed.store.atomic import write_whole
from pytest_sdspeed.store.whole import WholeStorage

pytestmark = pytest.mark.slow

ENGINE = """
@pytest.mark.sd_latency(speedup={expected})
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""
GOOD, BAD = ENGINE.format(expected=1.5), ENGINE.format(expected=1.7)
SAVED = ("--benchmark-save=x", "--benchmark-json=out.json", "--sd-report=report.html", "--junitxml=junit.xml")
IN_THE_WAY = """
            def pytest_benchmark_update_commit_info():
                import pathlib, shutil
                shutil.rmtree(".benchmarks", ignore_errors=True)
                pathlib.Path(".benchmarks").write_text("in the way")
"""
PROCESS = """
import os, random, resource, sys, time
sys.path.insert(0, {tests!r})
import pytest
import pytest_sdspeed.measure.clock
from fakes import FakeClock

TIME, NOISE = FakeClock(), random.Random(1)
pytest_sdspeed.measure.clock.WallClock = lambda *_synchronize: TIME

def engine(seconds):
    return lambda: TIME.spend(seconds * NOISE.gauss(1, 0.003))

"""
FULL = """
def pytest_benchmark_update_commit_info():
    # Python would cut the bytecode that it keeps of a module just as short, and trust it ever after.
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
HANGING = """
def pytest_benchmark_update_commit_info():
    os.fsync = lambda _descriptor: time.sleep(600)
"""
SAVING = """
import sys, time
from pathlib import Path
from pytest_benchmark.logger import Logger
from pytest_benchmark.storage.file import FileStorage
from pytest_sdspeed.store.whole import WholeStorage

def lost(where, error):
    raise error

folder, who = Path(sys.argv[1]), sys.argv[2]
storage = WholeStorage(FileStorage(folder, Logger(Logger.QUIET), "machine"), lost)
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    storage.save({"who": who, "number": number, "filling": "x" * 50_000}, "same")
"""


class Heard(list):
    """Collects what a storage says it lost."""

    def __call__(self, where, error):
        self.append((str(where), error))


class Quiet:
    """A logger that says nothing."""

    def info(self, *_arguments, **_options):
        pass


def storage_of(folder):
    """A storage, and what it lost."""
    heard = Heard()
    return WholeStorage(FileStorage(folder, Quiet(), "machine"), heard), heard


def stored(pytester):
    return sorted(path.name for path in pytester.path.glob(".benchmarks/*/*"))


@pytest.fixture
def process(pytester):
    """Starts a run in a process of its own, on a fake clock; ``conftest`` is put into its conftest."""

    def start(conftest, *arguments):
        pytester.makeconftest(PROCESS.format(tests=str(Path(__file__).parents[1])) + conftest)
        pytester.makepyfile(f"import pytest\nfrom conftest import engine\n{GOOD}")
        command = [sys.executable, "-m", "pytest", *PLUGINS, "-p", "no:cacheprovider", *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


# What cannot be stored is said, and costs nothing else


def test_a_run_that_is_stored_says_nothing_and_passes(gated, pytester):
    found = gated(GOOD, *SAVED)
    assert found.ret == 0
    found.stdout.no_fnmatch_line("sd run:*")
    (name,) = stored(pytester)
    assert name == "0001_x.json"
    (saved,) = pytester.path.glob(".benchmarks/*/*")
    assert json.loads(saved.read_text())["benchmarks"][0]["extra_info"]["sdspeed"]["verdict"] == "pass"


@pytest.mark.parametrize(("source", "outcome"), [(GOOD, {"passed": 1}), (BAD, {"failed": 1})])
def test_a_folder_that_cannot_be_written_costs_the_stored_run_alone(gated, pytester, source, outcome):
    found = gated(source, *SAVED, conftest=IN_THE_WAY)
    found.assert_outcomes(**outcome)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(
        ["sd speed-ups: callables*", f"sd run: not stored in {pytester.path}/.benchmarks: *", "sd report: report.html"]
    )
    found.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert (pytester.path / "report.html").exists()
    assert len(list(ET.parse(pytester.path / "junit.xml").iter("testcase"))) == 1
    assert json.loads((pytester.path / "out.json").read_text())["benchmarks"]


def test_a_json_file_that_cannot_be_written_costs_no_stored_run(gated, pytester):
    found = gated(GOOD, "--benchmark-save=x", "--benchmark-json=nowhere/out.json")
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["sd run: not stored in nowhere/out.json: No such file or directory"])
    assert stored(pytester) == ["0001_x.json"]


def test_what_json_cannot_hold_is_said(gated, pytester):
    other = "def test_other(benchmark):\n    benchmark.extra_info[1, 2] = 3\n    benchmark(lambda: None)\n"
    found = gated(GOOD + other, "--benchmark-save=x", "--benchmark-max-time=0.01", "--benchmark-min-rounds=1")
    found.assert_outcomes(passed=2)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["sd run: not stored in *: TypeError: keys must be *"])
    assert stored(pytester) == []


def test_a_database_that_does_not_answer_is_said_without_its_password(gated):
    conftest = """
            def pytest_collection_finish(session):
                class Database:
                    def save(self, output_json, save):
                        raise ConnectionError("no answer")
                    def __str__(self):
                        return "https://me:secret@host"
                storage = session.config.pluginmanager.getplugin("pytest-benchmark").storage
                storage._storage = Database()
    """
    found = gated(GOOD, "--benchmark-save=x", conftest=conftest)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(["sd run: not stored in https://[*][*][*]@host: ConnectionError: no answer"])


def test_a_full_disk_leaves_no_half_of_a_run(process, pytester):
    done = process(FULL, *SAVED)
    said, _ = done.communicate(timeout=300)
    assert done.returncode == 1, said
    assert "1 passed" in said
    assert "sd speed-ups: callables" in said
    assert said.count("File too large") == 2
    assert (pytester.path / "report.html").exists()
    assert stored(pytester) == []
    assert not (pytester.path / "out.json").exists()


def test_a_killed_run_leaves_what_was_stored_before(gated, process, pytester):
    gated(GOOD, *SAVED).assert_outcomes(passed=1)
    (earlier,) = pytester.path.glob(".benchmarks/*/*")
    before = earlier.read_bytes()
    killed = process(HANGING, "--benchmark-save=x")
    while len(stored(pytester)) < 2 and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert earlier.read_bytes() == before
    (history,), (problem,) = load_histories(pytester.path / ".benchmarks")
    assert len(history.runs) == 1
    assert f"0002_x.json.{killed.pid}.part: left by a run that was killed" in problem
    gated(GOOD, *SAVED).assert_outcomes(passed=1)
    assert "0002_x.json" in stored(pytester)


# Files


def test_processes_that_save_at_once_all_survive(tmp_path):
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVING, str(tmp_path), str(who)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for who in range(4)
    ]
    for saver in savers:
        assert saver.stdout.readline() == "ready\n"
    for saver in savers:
        saver.stdin.write("\n")
        saver.stdin.flush()
    for saver in savers:
        saver.communicate(timeout=120)
        assert saver.returncode == 0
    files = sorted((tmp_path / "machine").iterdir())
    assert [file.name for file in files] == [f"{number:04}_same.json" for number in range(1, 101)]
    runs = {(run["who"], run["number"]) for run in (json.loads(file.read_text()) for file in files)}
    assert len(runs) == 100


def test_a_name_that_another_run_took_meanwhile_is_not_written_over(tmp_path, monkeypatch):
    storage, heard = storage_of(tmp_path)
    storage.save({"run": 1}, "x")
    monkeypatch.setattr(FileStorage, "query", lambda *_arguments: [])
    with pytest.raises(AssertionError):
        FileStorage(tmp_path, Quiet(), "machine").save({"run": 2}, "x")
    storage.save({"run": 2}, "x")
    assert [json.loads(file.read_text()) for file in sorted(tmp_path.glob("machine/*"))] == [{"run": 1}, {"run": 2}]
    assert heard == []


@pytest.mark.parametrize(("latest", "following"), [("0041_y.json", "0042"), ("9999_y.json", "10000"), ("10000_x.json", "10001")])
def test_numbers_go_on_after_the_latest(tmp_path, latest, following):
    storage, heard = storage_of(tmp_path)
    storage.get(latest).write_text("{}")
    storage.get("20260101_report.json").write_text("{}")
    storage.save({}, "x")
    assert (tmp_path / "machine" / f"{following}_x.json").exists()
    assert heard == []


def test_it_is_otherwise_the_storage_of_pytest_benchmark(tmp_path):
    storage, _ = storage_of(tmp_path)
    plain = FileStorage(tmp_path, Quiet(), "machine")
    run = {"benchmarks": [], "text": "\u00e9", "numbers": [1, 2.5]}
    storage.save(run, "ours")
    plain.save(run, "theirs")
    ours, theirs = storage.query()
    assert (ours.read_bytes(), str(storage), storage.path) == (theirs.read_bytes(), str(plain), plain.path)
    assert [run["text"] for _, run in storage.load()] == ["\u00e9"] * 2


@pytest.mark.parametrize("where", ["write", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, where):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    storage, heard = storage_of(tmp_path)
    storage.save({"run": 1}, "x")
    old = tmp_path / "out.json"
    old.write_text("old")
    monkeypatch.setattr(*(("os.fsync", full) if where == "write" else ("pathlib.Path.replace", full)))
    storage.save({"run": 2}, "x")
    with pytest.raises(OSError, match="No space"):
        write_whole(old, b"new")
    assert old.read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["0001_x.json", "out.json"]
    assert [(place, error.errno) for place, error in heard] == [(str(tmp_path), 28)]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(gated):
    found = gated(GOOD, f"--benchmark-json={os.devnull}")
    assert found.ret == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_link_stays_a_link(gated, pytester):
    (pytester.path / "out.json").symlink_to("real.json")
    assert gated(GOOD, "--benchmark-json=out.json").ret == 0
    assert (pytester.path / "out.json").is_symlink()
    assert json.loads((pytester.path / "real.json").read_text())["benchmarks"]
