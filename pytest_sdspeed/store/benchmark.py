"""Store runs through pytest-benchmark, with their pictures beside its files."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from pytest_sdspeed.compatibility import find_json_path
from pytest_sdspeed.model import CONTROL
from pytest_sdspeed.store import pictures
from pytest_sdspeed.store.ci import read_ci_run
from pytest_sdspeed.store.git import explain_no_commit, is_checkout
from pytest_sdspeed.store.records import to_json
from pytest_sdspeed.store.whole import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.model import AccountResult, Machine, Result

PLUGIN = "benchmark"
EXTRA = "sdspeed"
RUN = "run"
"""Key of a run's id in ``machine_info["sdspeed"]``, which all files and copies of a run share."""
DRY = "dry run"
"""Kind and name of the device of a run that counted and measured nothing."""
ACCOUNT_SUFFIX = " (account)"
"""What follows a test's name in what it counted, which is never compared with its latencies."""
NO_COMMIT = "no_commit"
"""Key of the reason why git named no commit, there too."""
CREDENTIALS = re.compile(r"//[^/@\s]+@")
_SAVING: dict[str, list[str] | None] = {
    "json": None,
    "save": None,
    "autosave": None,
    "compare": [],
    "compare_fail": None,
    "histogram": [],
    "cprofile_dump": [],
}
"""Options of pytest-benchmark that write or read stored runs, with the value that does neither."""


class ReplayClock:
    """A timer that tells pytest-benchmark the samples measured before."""

    __name__ = "sdspeed_replay"

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


def is_measuring_off(option: Any) -> bool:
    """Tell whether pytest-benchmark was told not to measure (``--benchmark-disable``).

    Under pytest-xdist it never measures.

    Args:
        option: parsed command line, with pytest-benchmark's options.
    """
    return bool(option.benchmark_disable and not option.benchmark_enable)


def use_clock(benchmark: Any, clock: ReplayClock) -> None:
    """Have a ``benchmark`` fixture that exists already take its time from a clock.

    Args:
        benchmark: the test's ``benchmark`` fixture.
        clock: replays the samples.
    """
    benchmark._timer = clock  # noqa: SLF001 - its option is read only when it is made


def store(
    benchmark: Any, clock: ReplayClock, result: Result, draw: Callable[[], object] = str
) -> None:
    """Give a result to pytest-benchmark.

    The candidate's latencies are its samples, the rest is ``extra_info["sdspeed"]``.

    Args:
        benchmark: the test's ``benchmark`` fixture, whose timer is ``clock``.
        clock: replays the samples.
        result: what was measured.
        draw: draws with the candidate once more, for ``--benchmark-cprofile``.
    """
    play(benchmark, clock, result, draw)
    benchmark.extra_info[EXTRA] = to_json(result)


def play(
    benchmark: Any, clock: ReplayClock, result: Result, draw: Callable[[], object] = str
) -> None:
    """Have pytest-benchmark time the candidate's latencies again.

    They are in the group that the test's own ``benchmark`` marker names, or else in one of table
    and device. Nothing is timed, or stored, of a result without samples. The arguments are those of
    ``store``.
    """
    samples = list_samples(result)
    left = iter(samples)

    def replay() -> None:
        seconds = next(left, None)
        # Called once more than there are samples, it is to be profiled.
        draw() if seconds is None else clock.advance(seconds)

    against = f" against {result.against.label}" if result.against else ""
    own = f"{result.table or 'callables'}{against} on {result.device}"
    benchmark.group = benchmark.group or own
    if samples:
        benchmark.pedantic(replay, rounds=len(samples), iterations=1)


def forget(plugins: Any, test: str) -> None:
    """Take out what an earlier attempt of a test has stored in this run.

    Args:
        plugins: the plugin manager of pytest.
        test: id of the test.
    """
    kept = plugins.getplugin(SESSION).benchmarks
    own = (test, test + ACCOUNT_SUFFIX)
    kept[:] = [one for one in kept if one.fullname not in own or EXTRA not in one.extra_info]


def explain_refusal(option: Any, session: Any, *, elsewhere: str) -> str | None:
    """Return why a gated test cannot be stored as pytest-benchmark is set, or None if it can.

    It is asked before anything is measured.

    Args:
        option: parsed command line, with pytest-benchmark's options.
        session: pytest-benchmark's own, the plugin ``SESSION``; None if another plugin blocks it.
        elsewhere: the option by which other processes draw, or "".
    """
    if session is None:
        return (
            "sd_latency keeps its record through pytest-benchmark, which --codspeed (or"
            " CODSPEED_ENV) switches off: run the tests that use sd_latency without it"
        )
    if option.benchmark_cprofile and elsewhere:
        return (
            f"--benchmark-cprofile profiles this process, and {elsewhere} draws in others: run"
            " without one of them"
        )
    if option.benchmark_histogram and find_spec("pygal") is None:
        return (
            "--benchmark-histogram draws with pygal, which is not installed:"
            " pip install pytest-benchmark[histogram]"
        )
    if session.compare_fail and not session.compared_mapping:
        return (
            "--benchmark-compare-fail has no stored run to compare with: give"
            " --benchmark-compare=NUMBER of one in --benchmark-storage, or store one first"
        )
    return None


def list_samples(result: Result) -> list[float]:
    """Return every slot of the candidate, seconds; for a baseline with its control slots."""
    pairs = list(result.samples_s[result.setup])
    if result.is_baseline:
        pairs += result.samples_s[CONTROL]
    return [float(duration) for pair in pairs for duration in pair]


def save_nothing(option: Any) -> None:
    """Keep pytest-benchmark from writing and comparing stored runs, whatever the command line asks.

    Args:
        option: parsed command line, before pytest-benchmark reads it.
    """
    for name, value in _SAVING.items():
        setattr(option, f"benchmark_{name}", value)


class _Run(Protocol):
    """What ``Storing`` asks of a run."""

    results: list[Result]
    accounts: list[AccountResult]
    problems: list[str]

    @property
    def machine(self) -> Machine:
        """Return the machine that measures."""
        ...


class Storing:
    """What is stored beside the results, and what could not be stored.

    It is the device, the command, the run's id, and the pictures.

    Args:
        run: the run; its machine is asked for only if something was measured.
        command: arguments of this run.
        folders: where the files of this run will be.
    """

    def __init__(self, run: _Run, command: str, folders: tuple[Path, ...]) -> None:
        self._run, self._command, self._folders = run, CREDENTIALS.sub("//***@", command), folders
        self._id, self._date = uuid4().hex, ""
        self._lost = False

    def note_loss(self, where: object, error: Exception) -> None:
        """Note that the run could not be stored.

        Args:
            where: the file, folder or database.
            error: why.
        """
        reason = (
            isinstance(error, OSError) and error.strerror
        ) or f"{type(error).__name__}: {error}"
        self._run.problems.append(
            f"sd run: not stored in {CREDENTIALS.sub('//***@', str(where))}: {reason}"
        )
        self._lost = True

    def pytest_sessionfinish(self, session: Any) -> None:
        """Fail a run that passed and could not be stored as asked; by now it would be stored."""
        if self._lost:
            session.exitstatus = session.exitstatus or 1

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Add what ``machine_info`` lacks, under ``sdspeed``."""
        if self._run.results:
            # Workers of pytest-xdist may have GPUs of several kinds.
            devices = dict.fromkeys(result.device for result in self._run.results)
            told = {
                "kind": self._run.machine.kind,
                "device": ", ".join(devices),
                "command": self._command,
            }
            machine_info[EXTRA] = told | {RUN: self._id} | self._surroundings
        elif self._run.accounts:
            told = {"kind": DRY, "device": DRY, "command": self._command}
            machine_info[EXTRA] = told | {RUN: self._id} | self._surroundings

    @cached_property
    def _surroundings(self) -> dict[str, Any]:
        return describe_surroundings()

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Write the pictures before the file that names them, and give all files of a run one date.

        This is called once for each file.
        """
        why = self._surroundings[NO_COMMIT]
        if not self._date and why is not None and is_checkout(Path.cwd()):
            # Without it, no later run can say in which commits a change falls.
            self._run.problems.append(f"sd run: stored without its commit: {why}")
        self._date = self._date or output_json["datetime"]
        output_json["datetime"] = self._date
        for folder in self._folders:
            try:
                pictures.save(
                    folder, (exhibit for result in self._run.results for exhibit in result.exhibits)
                )
            except OSError as error:
                # The figures are worth more than the pictures.
                self._run.problems.append(
                    f"sd pictures: not stored in {folder}: {error.strerror or error}"
                )


def describe_surroundings() -> dict[str, Any]:
    """Return what is stored of the CI run and the checkout that this process stands in.

    Builtins; what is unknown is None.
    """
    return {NO_COMMIT: explain_no_commit(Path.cwd()), **read_ci_run(os.environ)}


def collect_run_info(config: Any) -> dict[str, Any]:
    """Return what pytest-benchmark stores about a run as a whole.

    That is ``machine_info``, ``commit_info`` and ``datetime``.

    Args:
        config: configuration of the run, with the plugin ``Storing``.
    """
    machine = config.hook.pytest_benchmark_generate_machine_info(config=config)
    config.hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine)
    # Before the first result is there, the plugin has added nothing.
    machine[EXTRA] = machine.get(EXTRA) or describe_surroundings()
    commit = config.hook.pytest_benchmark_generate_commit_info(config=config)
    return {
        "machine_info": machine,
        "commit_info": commit,
        "datetime": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def find_run_folders(option: Any, root: Path) -> tuple[Path, ...]:
    """Return the folders of the files that pytest-benchmark was asked to write this run to.

    Args:
        option: parsed command line, with pytest-benchmark's options.
        root: folder that relative paths start from.
    """
    found = []
    if given := getattr(option, "benchmark_json", None):
        found.append((root / find_json_path(given)).parent)
    if _saves(option):
        from pytest_benchmark.utils import get_machine_id

        found.append(root / option.benchmark_storage.removeprefix("file://") / get_machine_id())
    return tuple(dict.fromkeys(found))


def find_storage_folder(option: Any, root: Path) -> Path | None:
    """Return the folder that runs are stored in and compared with; None if that is a database.

    Args:
        option: parsed command line, with pytest-benchmark's options.
        root: folder that a relative path starts from.
    """
    address = str(option.benchmark_storage).removeprefix("file://")
    return None if "://" in address else root / address


def _saves(option: Any) -> bool:
    """Tell whether this run is saved in a folder, rather than in a database or not at all."""
    wanted = getattr(option, "benchmark_save", None) or getattr(option, "benchmark_autosave", None)
    return bool(wanted) and "://" not in getattr(option, "benchmark_storage", "").removeprefix(
        "file://"
    )


def explain_unwritable_storage(option: Any, root: Path) -> str | None:
    """Return what keeps pytest-benchmark from saving this run, or None if nothing does.

    It is asked before anything is measured.

    Args:
        option: parsed command line, with pytest-benchmark's options.
        root: folder that relative storage paths start from.
    """
    if not _saves(option):
        return None
    address = option.benchmark_storage
    folder = root / address.removeprefix("file://")
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        return (
            f"--benchmark-storage={address}: {nearest} is a file, not a folder: move it away or"
            " choose another storage"
        )
    if not os.access(nearest, os.W_OK):
        return (
            f"--benchmark-storage={address}: {nearest} is read-only: make it writable or choose"
            " another storage"
        )
    return None
