"""Measure what pytest-xdist saves and costs.

``python benchmarks/studies/costs/fleet.py [--runs N] [--budget S] [--blocks N] [--tolerance T]``
measures the miniature table in one process and with two workers on a core each, alternately, and
prints wall times and whether the speed-ups agree. It also measures once in one process on one core,
whose record must be that of the workers. It needs two cores that nothing else uses.

``python benchmarks/studies/costs/fleet.py --simulate [--workers N] [--results N] [--side PIXELS]``
feeds made-up reports of as many workers to the controller's hook and lets it write the run. It
prints milliseconds and bytes for each result, and the memory of the process. ``--docs
docs/figures`` also renews the documentation's table, ``scale-controller.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from report_cost import campaign

from pytest_sdspeed.model import Machine
from pytest_sdspeed.plugin.distributed.controller import Controller
from pytest_sdspeed.plugin.distributed.groups import Group, add_group
from pytest_sdspeed.plugin.distributed.placement import cores
from pytest_sdspeed.plugin.distributed.worker import REPORT, machine_to_json
from pytest_sdspeed.store.records import to_json
from pytest_sdspeed.store.transfer import pack
from pytest_sdspeed.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.model import Result

BENCHMARKS = Path(__file__).resolve().parents[2]
ONE, ALONE, TWO = "one process", "one process on one core", "two workers on a core each"
TIMELESS = (
    "table",
    "setup",
    "baseline",
    "device",
    "documented_on",
    "expected",
    "tolerance",
    "floor",
    "recipe",
    "versions",
    "memory_bound",
)
"""Keys of a stored record that no measurement changes."""
PICTURES = ("image", "image_verdict", "pictures")
"""Keys that the number of threads may change in the last bits."""


# Two workers and one process


def run(
    arguments: list[str], options: argparse.Namespace, processors: set[int]
) -> tuple[float, dict[str, Any]]:
    """Measure the miniature table.

    Args:
        arguments: further arguments of pytest.
        options: options of the command line.
        processors: processors that the run may use.

    Returns:
        Wall time, seconds, and the stored run.
    """
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder, "run.json")
        # With a small budget many rows are inconclusive, which is not a failure here.
        limits = [
            f"--sd-budget={options.budget}",
            f"--sd-max-blocks={options.blocks}",
            "--sd-inconclusive=warn",
            "--sd-history=off",
        ]
        limits += [] if options.tolerance is None else [f"--sd-tolerance={options.tolerance}"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            *limits,
            f"--benchmark-json={stored}",
            *arguments,
        ]
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, str(BENCHMARKS / "test_miniature.py")],
            cwd=BENCHMARKS.parent,
            env=os.environ | {"OMP_NUM_THREADS": str(len(processors))},
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
            capture_output=True,
            text=True,
            check=False,
        )
        taken = time.perf_counter() - begun
        if done.returncode not in (0, 1):
            sys.exit(done.stdout + done.stderr)
        compared = subprocess.run(
            [sys.executable, "-m", "pytest_benchmark", "compare", str(stored)],
            capture_output=True,
            check=False,
        )
        assert compared.returncode == 0, compared.stderr
        return taken, json.loads(stored.read_text())


def facts(stored: dict[str, Any], keys: tuple[str, ...]) -> list[Any]:
    """Return the parts of a stored run that do not depend on time."""
    names = ("name", "fullname", "group", "param", "params")
    return [
        [
            [one[name] for name in names],
            sorted(one["extra_info"]["sdspeed"]),
            [one["extra_info"]["sdspeed"][key] for key in keys],
        ]
        for one in stored["benchmarks"]
    ]


def figures(stored: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the speed-ups of a stored run, without its baselines.

    Returns:
        Setup -> logarithm of its speed-up, and half the width of its interval.
    """
    records = [one["extra_info"]["sdspeed"] for one in stored["benchmarks"]]
    return {
        one["setup"]: (math.log(one["speedup"]), math.log(one["high"] / one["low"]) / 2)
        for one in records
        if one["setup"] != one["baseline"]
    }


def measured(options: argparse.Namespace) -> None:
    """Measure and print."""
    siblings = [core[0] for core in cores(os.sched_getaffinity(0), lambda _: "")][:2]
    ways = {
        ONE: (["-n0"], set(siblings)),
        TWO: (["-n2"], set(siblings)),
        ALONE: (["-n0"], {siblings[0]}),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    runs = 0
    for number in range(options.runs):
        found = {}
        for way in [ONE, TWO, *([] if number else [ALONE])][:: 1 if number % 2 else -1]:
            seconds, found[way] = run(ways[way][0], options, ways[way][1])
            taken[way].append(seconds)
            print(f"run {number + 1}: {way}: {seconds:.1f} s", flush=True)
        assert facts(found[TWO], TIMELESS) == facts(found[ONE], TIMELESS)
        if ALONE in found:
            assert facts(found[TWO], (*TIMELESS, *PICTURES)) == facts(
                found[ALONE], (*TIMELESS, *PICTURES)
            )
        runs += all(list(_agreements(figures(found[ONE]), figures(found[TWO]))))
    for way, seconds_ in taken.items():
        print(f"{way}: {statistics.median(seconds_):.1f} s")
    print(
        f"two workers over {ONE}:"
        f" {statistics.median(taken[TWO]) / statistics.median(taken[ONE]):.2f}"
    )
    print(f"runs whose speed-ups agree within their intervals: {runs} of {options.runs}")


def _agreements(
    one: dict[str, tuple[float, float]], two: dict[str, tuple[float, float]]
) -> Iterator[bool]:
    """Tell of each row whether its speed-ups agree within their intervals."""
    for setup, (level, half) in one.items():
        other, others_half = two[setup]
        agrees = abs(level - other) <= math.hypot(half, others_half)
        print(
            f"  {setup}: x{math.exp(level):.3f} and x{math.exp(other):.3f},"
            f" {'agree' if agrees else 'DISAGREE'}",
            flush=True,
        )
        yield agrees


# Many workers


def results(side: int) -> Iterator[Result]:
    """Make up results without end."""
    tables = load_tables()
    for seed in count():
        table = tables[seed % len(tables)]
        bases = dict.fromkeys(row.baseline for row in table.rows)
        for place, base in enumerate(bases):
            yield from campaign(
                table,
                sorted(
                    (row for row in table.rows if row.baseline == base),
                    key=lambda row: not row.is_baseline,
                ),
                100 * seed + place,
                side,
            )


class Simulation:
    """A plugin that takes the place of workers.

    Args:
        results: what the workers measure, one result for each test.
        number: number of tests.
        workers: number of workers, which take turns.

    Attributes:
        begun_s: processor time at the first report.
        spent_s: processor seconds in the controller's hook.
        made_s: processor seconds of making the messages up.
        sent: bytes of all messages, as JSON.
    """

    def __init__(self, results: Iterator[Result], number: int, workers: int) -> None:
        self._results, self._number, self._workers = results, number, workers
        self.begun_s, self.spent_s, self.made_s, self.sent = 0.0, 0.0, 0.0, 0

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make this process a controller."""
        config.pluginmanager.register(Controller(config), "sdspeed-controller")
        scheduling = {"log": None, "sched": SimpleNamespace(nodes=[])}
        config.pluginmanager.register(type("Distribution", (), scheduling)(), "dsession")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Feed the reports, as they arrive from workers."""
        hook, config = session.config.hook, session.config
        tests = [f"test_it.py::test_row[{number}]" for number in range(self._number)]
        hook.pytest_xdist_node_collection_finished(
            node=None, ids=[add_group(test, Group()) for test in tests]
        )
        session.testscollected = len(tests)
        self.begun_s = begun = time.process_time()
        for number, (test, result) in enumerate(zip(tests, self._results, strict=False)):
            for data in self._messages(test, result, f"gw{number % self._workers}"):
                ready = time.process_time()
                hook.pytest_runtest_logreport(
                    report=hook.pytest_report_from_serializable(config=config, data=data)
                )
                self.made_s += ready - begun
                begun = time.process_time()
                self.spent_s += begun - ready
        return True

    def _messages(self, test: str, result: Result, worker: str) -> Iterator[dict[str, Any]]:
        """Make the reports of a test's setup and call, as xdist sends them."""
        item = SimpleNamespace(
            name=test.partition("::")[2],
            funcargs={"benchmark": SimpleNamespace(extra_info={"sdspeed": to_json(result)})},
        )
        machine = Machine(kind="cuda", device=result.device, versions=result.versions)
        for when, sent in (
            ("setup", {"machine": machine_to_json(machine)}),
            ("call", {"result": pack(result, item, test)}),
        ):
            report = pytest.TestReport(
                test,
                ("test_it.py", 0, "test_row"),
                {},
                "passed",
                None,
                when,  # type: ignore[arg-type]
            )
            setattr(report, REPORT, sent)
            data = json.loads(json.dumps(report._to_json()))  # noqa: SLF001 - what pytest's own hook calls
            self.sent += len(json.dumps(sent))
            yield data | {"$report_type": "TestReport", "worker_id": worker}


def simulated(options: argparse.Namespace) -> None:
    """Feed, write and print."""
    from markdown_tables import MarkdownTable, write_snippets

    # Imports and pictures of what makes the results must not count as the controller's memory.
    list(islice(results(options.side), 50))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder, "run.json")
        simulation = Simulation(results(options.side), options.results, options.workers)
        arguments = [
            "-q",
            f"--tx={options.workers}*popen",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "--sd-history=off",
        ]
        said = Path(folder, "said.txt")
        with said.open("w") as screen, redirect_stdout(screen):
            status = pytest.main(
                [
                    *arguments,
                    f"--rootdir={folder}",
                    f"--benchmark-json={stored}",
                    "--benchmark-columns=median",
                    folder,
                ],
                plugins=[simulation],
            )
        if status:
            raise SystemExit(f"{said.read_text()[-4000:]}\nthe simulated run ended with {status!r}")
        whole_s = time.process_time() - simulation.begun_s - simulation.made_s
        pictures = sum(file.stat().st_size for file in Path(folder).rglob("*.png"))
        size, number = stored.stat().st_size, len(json.loads(stored.read_text())["benchmarks"])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made_up = (
        f"{number:,} made-up results of {options.workers} workers, pictures of {options.side}"
        " pixels"
    )
    each_mb = (after - before) / 1024 / number
    rows = [
        (
            "processor time in the controller's hook, a result",
            f"{1e3 * simulation.spent_s / number:.1f} ms",
        ),
        ("the same with tables, pictures and all files", f"{1e3 * whole_s / number:.1f} ms"),
        ("sent by a worker, a result", f"{simulation.sent / number / 1e3:.0f} kB"),
        (
            "stored, a result",
            f"{size / number / 1e3:.0f} kB of JSON, {pictures / number / 1e3:.0f} kB of pictures",
        ),
        (
            "memory",
            (
                f"{before / 1024:.0f} MB before, {after / 1024:.0f} MB at most: {each_mb:.2f} MB a"
                " result"
            ),
        ),
    ]
    table = MarkdownTable("The controller", (made_up, "measured"), rows)
    print(table.text())
    if options.docs:
        write_snippets(options.docs, {"scale-controller.md": table.text()})


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from markdown_tables import add_docs_option

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="of each way (default: 3)")
    parser.add_argument(
        "--budget", type=float, default=60, help="seconds of a campaign's timed part (default: 60)"
    )
    parser.add_argument(
        "--blocks", type=int, default=20, help="most blocks of a campaign (default: 20)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        help=(
            "of every row (default: the table's); with 0 hardly one is decided before the budget"
            " ends"
        ),
    )
    parser.add_argument(
        "--simulate", action="store_true", help="feed made-up reports to the controller instead"
    )
    parser.add_argument("--workers", type=int, default=64, help="simulated workers (default: 64)")
    parser.add_argument(
        "--results", type=int, default=2000, help="simulated results (default: 2000)"
    )
    parser.add_argument(
        "--side", type=int, default=64, help="pixels of a simulated picture's side (default: 64)"
    )
    add_docs_option(parser)
    given = parser.parse_args()
    if given.docs and not given.simulate:
        parser.error("--docs takes what --simulate measures")
    simulated(given) if given.simulate else measured(given)
