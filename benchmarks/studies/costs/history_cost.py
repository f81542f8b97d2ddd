"""Measure what ``python -m pytest_sdspeed history`` costs with many stored runs.

``python benchmarks/studies/costs/history_cost.py [--runs N]`` makes up runs, as pytest-benchmark
writes them, and prints a Markdown table with seconds and peak memory of a process that reads and
judges them. ``--docs docs/figures`` also renews the documentation's table, ``scale-history.md``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.history.storages import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_tables import MarkdownTable

    from pytest_sdspeed.model import Row

VARIANTS = 10
"""Runs that are made up in full; the others differ from them in date, commit, id and canary."""
BLOCKS = 8
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
DATE, COMMIT, RUN, CANARY_S = "2026-01-01T00:00:00+00:00", "0" * 40, "f" * 32, 0.00123456789
VERSIONS = {
    "torch": "2.13.0",
    "diffusers": "0.42.1",
    "transformers": "5.23.0",
    "numpy": "2.4.1",
    "python": "3.12.4",
}
MACHINE = {
    "node": "ci-runner-7",
    "processor": "x86_64",
    "machine": "x86_64",
    "python_implementation": "CPython",
    "python_version": "3.12.4",
    "release": "6.8.0-45-generic",
    "system": "Linux",
    "cpu": {
        "brand_raw": "AMD EPYC 7763 64-Core Processor",
        "count": 4,
        "flags": [f"flag{number}" for number in range(120)],
    },
    "sdspeed": {
        "kind": "cpu",
        "device": "AMD EPYC 7763",
        "command": "pytest benchmarks --benchmark-autosave",
        "run": RUN,
    },
}
CHILD = """
import contextlib, io, json, resource, sys
from pytest_sdspeed.__main__ import main
with contextlib.redirect_stdout(io.StringIO()) as said:
    assert main(["history", sys.argv[1], "--json"]) == 0
found = json.loads(said.getvalue())
print(len(found), sum(history["runs"] for history in found))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def stored(row: Row, rng: random.Random) -> dict[str, Any]:
    """Make up a benchmark as pytest-benchmark stores it: a row of the miniature, with pictures."""
    from pytest_sdspeed.judge.speed.blocks import latencies
    from pytest_sdspeed.model import CONTROL, Exhibit, Interval, Result
    from pytest_sdspeed.store.records import to_json

    def pairs(level_s: float) -> list[list[float]]:
        return [[level_s * rng.gauss(1, 0.02) for _ in range(2)] for _ in range(BLOCKS)]

    samples = {row.baseline: pairs(1.0), CONTROL: pairs(1.0), row.setup: pairs(1 / row.speedup)}
    latency_s, baseline_latency_s = latencies(samples, row.setup, row.baseline)
    pictures = {"baseline": b"b", "candidate": row.setup.encode()}
    exhibit = Exhibit(
        seed=0,
        prompt=row.recipe.prompt,
        index=0,
        pictures=pictures,
        metrics={"psnr": 58.1, "ssim": 0.998, "mae": 0.001},
    )
    result = Result(
        table="miniature",
        setup=row.setup,
        baseline=row.baseline,
        device="AMD EPYC 7763",
        documented_on="cpu",
        speedup=row.speedup,
        low=0.99 * row.speedup,
        high=1.01 * row.speedup,
        expected=row.speedup,
        tolerance=row.tolerance,
        floor=row.speedup * (1 - row.tolerance),
        verdict="pass",
        image_verdict="pass",
        blocks=BLOCKS,
        latency_s=latency_s,
        baseline_latency_s=baseline_latency_s,
        samples_s=samples,
        image=exhibit.metrics,
        images=None,
        reasons=(),
        control=Interval(1.0, 0.99, 1.01),
        recipe=row.recipe,
        versions=VERSIONS,
        planned_blocks=20,
        resolves=0.011,
        weights="embedded",
        peak_memory_bytes=123456789,
        exhibits=[exhibit] * 6,
        starts_s=samples,
        canary_s={"matmul": [CANARY_S, CANARY_S], "memory": [0.002, 0.002], "python": [0.01, 0.01]},
    )
    stats = dict.fromkeys(
        (
            "min",
            "max",
            "mean",
            "stddev",
            "median",
            "iqr",
            "q1",
            "q3",
            "ld15iqr",
            "hd15iqr",
            "ops",
            "total",
        ),
        latency_s,
    )
    return {
        "group": "miniature on AMD EPYC 7763",
        "name": f"test_miniature[{row.setup}]",
        "fullname": f"benchmarks/test_miniature.py::test_miniature[{row.setup}]",
        "params": {"sd_setup": row.setup},
        "param": row.setup,
        "extra_info": {"sdspeed": to_json(result)},
        "options": {
            "disable_gc": False,
            "timer": "sdspeed_replay",
            "min_rounds": 5,
            "max_time": 1.0,
            "min_time": 5e-06,
            "warmup": False,
        },
        "stats": {**stats, "rounds": 2 * BLOCKS, "iterations": 1, "outliers": "0;0"},
    }


def texts() -> Iterator[str]:
    """Make up stored runs, with placeholders for date, commit, id and canary."""
    from pytest_sdspeed.tables import load_tables

    (miniature,) = (table for table in load_tables() if table.name == "miniature")
    rows = [
        row
        for row in miniature.rows
        if row.setup
        in (
            "baseline",
            "bf16",
            "channels_last",
            "baseline_b4",
            "distilled",
            "distilled_tiny_vae",
        )
    ]
    for seed in range(VARIANTS):
        rng = random.Random(seed)  # noqa: S311 - made-up latencies
        benchmarks = [stored(row, rng) for row in rows]
        commit = {
            "id": COMMIT,
            "time": DATE,
            "dirty": False,
            "project": "sdspeed",
            "branch": "main",
        }
        run = {
            "machine_info": MACHINE,
            "commit_info": commit,
            "benchmarks": benchmarks,
            "datetime": DATE,
            "version": "5.3.1",
        }
        yield json.dumps(run, indent=4)


def write_runs(folder: Path, runs: int) -> int:
    """Write runs, and return how many bytes they have together."""
    variants, written = list(texts()), 0
    folder.mkdir(parents=True)
    for number in range(1, runs + 1):
        date = (BEGUN + timedelta(hours=number)).isoformat()
        text = (
            variants[number % VARIANTS]
            .replace(DATE, date)
            .replace(COMMIT, f"{number:040x}")
            .replace(RUN, f"{number:032x}")
            .replace(str(CANARY_S), f"{CANARY_S + number / 1e9:.11f}")
        )
        written += (folder / f"{number:04}_{number:040x}_20260101_000000.json").write_text(text)
    return written


class Cost(NamedTuple):
    """The cost of one reading.

    Attributes:
        wall_s, cpu_s: wall and processor time, seconds.
        peak_mb: peak memory of the process, megabytes.
        found: number of histories and results.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    found: str


def cost(folder: Path) -> Cost:
    """Measure a process that reads and judges the histories of a folder."""
    begun = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], check=True, capture_output=True, text=True
    ).stdout
    wall_s = time.perf_counter() - begun
    found, used = said.splitlines()
    cpu_s, peak_kb = used.split()
    return Cost(wall_s, float(cpu_s), int(peak_kb) / 1e3, found)


def documented(first: Cost, again: list[Cost], index_bytes: int, written: int) -> MarkdownTable:
    """Return the documentation's table.

    Args:
        first: cost of reading all files.
        again: costs of reading them by the index.
        index_bytes: size of the index.
        written: bytes of all files.
    """
    from markdown_tables import MarkdownTable

    rows = [
        ("reading them for the first time", f"{first.wall_s:.1f} s"),
        (
            "reading them again, by the index",
            f"{statistics.median(one.wall_s for one in again):.1f} s",
        ),
        ("memory of that", f"{statistics.median(one.peak_mb for one in again):.0f} MB"),
        ("the index", f"{index_bytes / 1e6:.1f} MB"),
        ("the files", f"{written / 1e9:.2f} GB"),
    ]
    return MarkdownTable("Reading stored runs", ("", "measured"), rows)


def main() -> None:
    """Measure and print."""
    from markdown_tables import add_docs_option, write_snippets

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    add_docs_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written = write_runs(folder / "Linux-CPython-3.12-64bit", options.runs)
        print(f"{options.runs} runs of {written / options.runs / 1e3:.0f} kB\n")
        print(
            "| reading | wall, s | CPU, s | peak memory, MB | histories and their results |\n| ---"
            " | --- | --- | --- | --- |"
        )
        costs = []
        for what in (
            "first, all files",
            "again, nothing new",
            "again, nothing new",
            "again, nothing new",
        ):
            costs.append(cost(folder))
            wall_s, cpu_s, peak_mb, found = costs[-1]
            print(f"| {what} | {wall_s:.2f} | {cpu_s:.2f} | {peak_mb:.0f} | {found} |")
        index_bytes = (folder / NAME).stat().st_size
    print(f"\nThe index has {index_bytes / 1e6:.1f} MB.")
    if options.docs:
        table = documented(costs[0], costs[1:], index_bytes, written)
        write_snippets(options.docs, {"scale-history.md": table.text()})


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    main()
