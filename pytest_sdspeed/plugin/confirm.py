"""``--sd-confirm``: a row that is too slow is measured again, in a new process.

It fails only if it fails there too.

Memory layout and autotuning are settled once per process: an interval from inside one process does
not contain their effect.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.measure.campaign_data import Progress
from pytest_sdspeed.model.numbers import number_or_nan
from pytest_sdspeed.plugin.child import arguments_of_child, name_test, write_nothing
from pytest_sdspeed.plugin.options import CONFIRMATION
from pytest_sdspeed.plugin.state import ANSWER, own_id
from pytest_sdspeed.report.text import format_stored_interval
from pytest_sdspeed.run.processes import describe_end
from pytest_sdspeed.store.records import read_figure, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.measure.campaign_data import Watcher
    from pytest_sdspeed.model import Result

_PHASE = "again in a new process"


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRequest:
    """What the new process is told, by an environment variable.

    Attributes:
        test: test to run, as a command-line argument names it.
        folder: folder for all it writes.
        budget_s: budget of its campaign, seconds, or None for that of its arguments.
    """

    test: str
    folder: str
    budget_s: float | None = None

    @property
    def answer(self) -> Path:
        """Its JSON file: the record of what it measured, or ``error`` with why it could not."""
        return Path(self.folder, "answer.json")

    @property
    def temporary(self) -> Path:
        """Its ``--basetemp``, since that of the run that waits for it would be emptied."""
        return Path(self.folder, "temporary")

    @property
    def cache(self) -> Path:
        """Its cache, since ``--lf`` and ``--sw`` of the next run read that of this one."""
        return Path(self.folder, "cache")


# The process that asks


def confirm(
    first: Result, item: pytest.Item, watcher: Watcher, budget_s: float | None = None
) -> Result:
    """Add to a row that failed on its speed what a new process says of it.

    Args:
        first: what this process measured.
        item: the test, which is run again.
        watcher: shows that it runs.
        budget_s: what a total budget leaves it, seconds, or None without one.
    """
    with watcher(first.table or own_id(item)) as watch:
        watch(Progress(phase=_PHASE, arm=first.setup))
        return combine(first, rerun(item, budget_s))


def combine(first: Result, second: Mapping[str, Any] | str) -> Result:
    """Combine the results of two processes into one.

    Args:
        first: a row that failed on its speed.
        second: the record of the new process, or why there is none.

    Returns:
        The first as it failed, if the second failed too or there is none; a pass with the second's
        figures, if the second passed; else the first, inconclusive.
    """
    if isinstance(second, str):
        return replace(first, reasons=(*first.reasons, f"could not be confirmed: {second}"))
    if second["verdict"] == "pass":
        return _let_pass(first, second)
    if second["verdict"] != "fail":
        reason = _add_reasons(f"{second['verdict']} in a fresh process", second)
        return replace(
            first, verdict="inconclusive", reasons=(*first.reasons, reason), confirmation=second
        )
    pictures_fail = second["image_verdict"] == "fail"
    if not pictures_fail and number_or_nan(second["high"]) < first.floor:
        reason = f"confirmed in a fresh process: {format_stored_interval(second)}"
    else:
        reason = _add_reasons("failed in a fresh process too", second)
    image_verdict = "fail" if pictures_fail else first.image_verdict
    return replace(
        first,
        image_verdict=image_verdict,
        raised=second["raised"],
        reasons=(*first.reasons, reason),
        confirmation=second,
    )


_MEASURED = (
    *("blocks", "samples_s", "starts_s", "canary_s", "image_verdict", "floor"),
    *("peak_memory_bytes", "memory_share", "stages_s", "telemetry", "peak_reserved_bytes"),
    *("load_memory_bytes", "load_reserved_bytes", "iterations_per_s", "recompilations"),
)
"""Keys of a record that go over into a result as they are."""
_READ = (
    *("image_ranges", "self_difference", "baseline_self_difference"),
    *("biased", "slow_pairs", "by_stage"),
)
"""Keys of a record whose figures do."""


def _let_pass(first: Result, second: Mapping[str, Any]) -> Result:
    stored = to_json(first)
    latency_s, baseline_latency_s = latencies(second["samples_s"], first.setup, first.baseline)
    why = (
        f"failed in the first process ({format_stored_interval(stored)}), passed in a fresh one: an"
        " effect of the process, not of the code"
    )
    return replace(
        first,
        **{name: second[name] for name in _MEASURED},
        verdict="pass",
        planned_blocks=None,
        resolves=None,
        speedup=number_or_nan(second["speedup"]),
        low=number_or_nan(second["low"]),
        high=number_or_nan(second["high"]),
        latency_s=latency_s,
        baseline_latency_s=baseline_latency_s,
        image={metric: number_or_nan(value) for metric, value in second["image"].items()},
        reasons=(*second["reasons"], why),
        notes=tuple(second["notes"]),
        **{name: read_figure(second, name) for name in _READ},
        confirmation=stored,
    )


def _add_reasons(lead: str, second: Mapping[str, Any]) -> str:
    why = "; ".join(second["reasons"]) or "no reason given"
    return f"{lead} ({format_stored_interval(second)}): {why}"


def rerun(item: pytest.Item, budget_s: float | None = None) -> Mapping[str, Any] | str:
    """Run a test alone in a new interpreter, with the arguments of this run.

    There is no time limit: its campaign has a budget of its own, ``budget_s`` if that is given.

    Returns:
        The record it wrote, or why it wrote none.
    """
    with tempfile.TemporaryDirectory(prefix="sdspeed-", ignore_cleanup_errors=True) as folder:
        request = RerunRequest(test=name_test(item), folder=folder, budget_s=budget_s)
        output = Path(folder) / "output.txt"
        try:
            status = _run(request, item.config, output)
        except OSError as error:
            return f"no process could be started: {error}"
        try:
            answer: Mapping[str, Any] = json.loads(request.answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            said = output.read_text(encoding="utf-8", errors="replace")
            item.add_report_section("call", "output of the confirmation", said)
            return describe_end(said, status)
        return str(answer["error"]) if "error" in answer else answer


def _run(request: RerunRequest, config: pytest.Config, output: Path) -> int:
    """Run the new process to its end, and return its exit status.

    It is not a worker of pytest-xdist, but has the GPU or the cores of the one that asks.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")
    }
    # A file, not a pipe: a pipe would stay open as long as any process that the test leaves behind.
    with output.open("wb") as said:
        return subprocess.run(  # noqa: S603 - the command of this run, once more
            [sys.executable, "-m", "pytest", *arguments_of_child(config, request.cache)],
            cwd=config.invocation_params.dir,
            env=environment | {CONFIRMATION: json.dumps(asdict(request))},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


# The new process


def become_rerun(config: pytest.Config) -> None:
    """Make this run a confirmation of one test, which leaves no file but the answer.

    The variable is taken away: a test may start pytest itself.
    """
    request = RerunRequest(**json.loads(os.environ.pop(CONFIRMATION)))
    config.stash[ANSWER] = request.answer
    config.args = [request.test]
    if request.budget_s is not None:
        config.option.sd_budget = str(request.budget_s)
    write_nothing(config.option, request.temporary)


def write_answer(path: Path, measure: Callable[[], Result]) -> NoReturn:
    """Measure, write what was found, and end the test.

    Whatever the test asserts after the gate, only the first process runs.

    Args:
        path: the JSON file.
        measure: what the gate of the test measures.
    """
    try:
        # Its pictures are not kept.
        found = to_json(measure()) | {"pictures": []}
    except SdSpeedError as error:
        found = {"error": str(error)}
    path.write_text(json.dumps(found), encoding="utf-8")
    pytest.skip("re-measured for --sd-confirm")
