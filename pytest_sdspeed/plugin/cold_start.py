"""A new process that does nothing but start with a row: import, load, compile, draw.

The process that asks has a campaign behind it, in which all of that was done before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.plugin.child import arguments_of_child, name_test, write_nothing
from pytest_sdspeed.plugin.options import COLD_START
from pytest_sdspeed.plugin.state import COLD, run_of

if TYPE_CHECKING:
    import pytest

    from pytest_sdspeed.run.cold_starts import Started

_LATER = 2
"""Generations after the first; the faster one tells what it took beyond them."""
_HEAVY = frozenset({"torch", "diffusers", "transformers"})
"""What draws; the first import of any begins the start."""
_PHASE = "starting new processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What the new process is told, by an environment variable.

    Attributes:
        test: test that asks, as a command-line argument names it.
        table, setup: names of the row.
        folder: folder for all it writes.
        begun_s: when the process was started, seconds of the wall clock.
    """

    test: str
    table: str
    setup: str
    folder: str
    begun_s: float

    @property
    def answer(self) -> Path:
        """Its JSON file: what ``Started`` is made of."""
        return Path(self.folder, "answer.json")


# The process that asks


def start_process(item: pytest.Item, table: str, setup: str, cache: Path) -> Started:
    """Start a row in a new interpreter, with the arguments of this run.

    Args:
        item: the test that asks: where the row is collected.
        table: name of the row's table.
        setup: name of the row.
        cache: folder that its compiler caches in.
    """
    from pytest_sdspeed.measure.campaign_data import Progress
    from pytest_sdspeed.run.cold_starts import Started
    from pytest_sdspeed.run.processes import describe_end

    with (
        tempfile.TemporaryDirectory(prefix="sdspeed-", ignore_cleanup_errors=True) as folder,
        run_of(item.config).watcher(table) as watch,
    ):
        watch(Progress(phase=_PHASE, arm=setup))
        output = Path(folder, "output.txt")
        request = StartRequest(
            test=name_test(item), table=table, setup=setup, folder=folder, begun_s=time.time()
        )
        try:
            status = _run(request, item.config, output, cache)
        except OSError as error:
            return Started(error=f"no process could be started: {error}")
        try:
            return Started(**json.loads(request.answer.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            said = output.read_text(encoding="utf-8", errors="replace")
            item.add_report_section("call", "output of the new process", said)
            return Started(error=describe_end(said, status))


def _run(request: StartRequest, config: pytest.Config, output: Path, cache: Path) -> int:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")
    }
    own = {
        COLD_START: json.dumps(asdict(request)),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
    }
    with output.open("wb") as said:
        return subprocess.run(  # noqa: S603 - the command of this run, once more
            [
                *(sys.executable, "-m", "pytest"),
                *arguments_of_child(config, Path(request.folder, "cache")),
            ],
            cwd=config.invocation_params.dir,
            env=kept | own,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


# The new process


class _FirstImport:
    """Notes when one of the libraries that draw is first imported; it finds nothing."""

    def __init__(self) -> None:
        self.begun_s: float | None = None

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> None:
        """Note the time."""
        if self.begun_s is None and name in _HEAVY:
            self.begun_s = time.time()


_IMPORT = _FirstImport()


def watch_imports() -> None:
    """Note from now on when the first library that draws is imported."""
    if not _HEAVY & sys.modules.keys():
        sys.meta_path.insert(0, _IMPORT)


def become_cold_start(config: pytest.Config) -> None:
    """Make this run a start of one row, which leaves no file but the answer.

    The variable is taken away: a test may start pytest itself.
    """
    request = StartRequest(**json.loads(os.environ.pop(COLD_START)))
    config.stash[COLD] = request
    config.args = [request.test]
    write_nothing(config.option, Path(request.folder, "temporary"))


def start_cold(session: pytest.Session, request: StartRequest) -> bool:
    """Build the row, draw with it, and write what that took, in the place of running tests."""
    from pytest_sdspeed.errors import explain
    from pytest_sdspeed.run.cold_starts import Started

    try:
        found = _start(session, request)
    except Exception as error:  # noqa: BLE001 - whatever a row raises, the process that asks is told
        found = Started(error=str(explain(request.setup, error)))
    request.answer.write_text(json.dumps(found._asdict()), encoding="utf-8")
    return True


def _start(session: pytest.Session, request: StartRequest) -> Started:
    from pytest_sdspeed.device.accelerator import synchronize
    from pytest_sdspeed.device.quiet import quiet
    from pytest_sdspeed.model import Case
    from pytest_sdspeed.run.cold_starts import Started
    from pytest_sdspeed.run.targets import Target

    run = run_of(session.config)
    resolved = run.session.catalog.choose(request.table, request.setup, "")
    taken: list[float] = []
    with quiet():
        setup = run.session.setup(resolved)
        arm, case = Target.of(setup).arm(None), Case(setup.recipe.seed)
        arm.prepare()
        for _ in range(1 + _LATER):
            with arm.slot():
                synchronize()
                begun = time.perf_counter()
                arm.generate(case)
                synchronize()
                taken.append(time.perf_counter() - begun)
            if len(taken) == 1:
                done_s = time.time()
    # What had been imported before anything could be noted began no later than the process.
    begun_s = request.begun_s if _IMPORT.begun_s is None else _IMPORT.begun_s
    return Started(done_s - begun_s, taken)
