"""Measure what the HTML report costs: seconds, peak memory and megabytes.

``python benchmarks/studies/costs/report_cost.py [--side PIXELS] [--page PATH]`` makes up results of
every documented table, with pictures that compress badly, times the page and prints its cost.
"""

from __future__ import annotations

import argparse
import io
import math
import random
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pytest_sdspeed.model import CONTROL, MINIATURE, Exhibit, Interval, Result
from pytest_sdspeed.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from pytest_sdspeed.model import Row, Table, Verdict

SEEDS = (0, 1, 2)
BLOCKS = 8
VERSIONS = {"torch": "2.13.0", "diffusers": "0.42.1", "CUDA": "13.0", "driver": "580.65"}
FACTS = {
    "command": "pytest benchmarks --sd-gpu --sd-weights random --sd-report report.html",
    "pytest-sdspeed": "0.1.0",
}


def noise(seed: int, side: int) -> NDArray[np.float64]:
    """Draw blotches and grain, as a decoder of random weights does: (side, side, 3) in [0, 1]."""
    rng = np.random.default_rng(seed)
    blotches = np.kron(rng.random((8, 8, 3)), np.ones((side // 8, side // 8, 1)))
    return np.clip(0.6 * blotches + 0.4 * rng.random((side, side, 3)), 0, 1)


def png(picture: NDArray[np.float64]) -> bytes:
    """Encode a picture in [0, 1] as 8-bit PNG."""
    written = io.BytesIO()
    Image.fromarray(np.round(255 * picture).astype(np.uint8)).save(written, "PNG", compress_level=1)
    return written.getvalue()


def heat(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw something like an error map: from black over red to yellow, (H, W, 3) in [0, 1]."""
    size = np.clip(8 * np.abs(ours - theirs).mean(axis=2), 0, 1)
    return np.stack(
        [np.clip(2 * size, 0, 1), np.clip(2 * size - 1, 0, 1), np.zeros_like(size)], axis=2
    )


def metrics(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, float]:
    """Compute PSNR in dB and mean absolute difference."""
    return {
        "psnr": float(-10 * math.log10(np.square(ours - theirs).mean())),
        "mae": float(np.abs(ours - theirs).mean()),
    }


class Shots:
    """The pictures of one campaign, so that its rows share the baseline's and the control's.

    Args:
        prompt: prompt of every case.
        seed: seed of the campaign's pictures.
        side: side of the square pictures, pixels.
    """

    def __init__(self, prompt: str, seed: int, side: int) -> None:
        self._prompt = prompt
        self._drawn = {case: noise(100 * seed + case, side) for case in SEEDS}
        self._png = {case: png(picture) for case, picture in self._drawn.items()}
        others = {case: SEEDS[(place + 1) % len(SEEDS)] for place, case in enumerate(SEEDS)}
        self.controls = [
            self._exhibit(case, self._drawn[other], {"candidate": self._png[other]}, control=True)
            for case, other in others.items()
        ]

    def exhibits(self, number: int) -> list[Exhibit]:
        """Return what one row shows: its own pictures, and the control's."""
        shown = []
        for case, theirs in self._drawn.items():
            ours = np.clip(theirs + 0.02 * (noise(7919 * number + case, len(theirs)) - 0.5), 0, 1)
            shown.append(self._exhibit(case, ours, {"candidate": png(ours)}))
        return [*shown, *self.controls]

    def of_baseline(self) -> list[Exhibit]:
        """Return what the baseline shows."""
        return [
            Exhibit(
                seed=case, prompt=self._prompt, index=0, pictures={"baseline": picture}, metrics={}
            )
            for case, picture in self._png.items()
        ]

    def _exhibit(
        self,
        case: int,
        ours: NDArray[np.float64],
        pictures: dict[str, bytes],
        *,
        control: bool = False,
    ) -> Exhibit:
        theirs = self._drawn[case]
        roles = {"baseline": self._png[case], **pictures, "error_map": png(heat(ours, theirs))}
        return Exhibit(
            seed=case,
            prompt=self._prompt,
            index=0,
            pictures=roles,
            metrics=metrics(ours, theirs),
            control=control,
        )


def timed(
    latencies_s: dict[str, float], rng: random.Random
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make up slots of every arm and when they began, seconds.

    Blocks are palindromes in random order, with noise, drift and a spike now and then.
    """
    now = 0.0
    samples: dict[str, Any] = {arm: [] for arm in latencies_s}
    starts: dict[str, Any] = {arm: [] for arm in latencies_s}
    for block in range(BLOCKS):
        order = rng.sample(list(latencies_s), len(latencies_s))
        for arm in order:
            samples[arm].append([])
            starts[arm].append([])
        for arm in [*order, *reversed(order)]:
            slot = (
                latencies_s[arm]
                * rng.gauss(1 + 0.001 * block, 0.004)
                * (1.3 if rng.random() < 0.01 else 1)
            )
            starts[arm][-1].append(now)
            samples[arm][-1].append(slot)
            now += slot
    return samples, starts


def interval(samples: dict[str, Any], base: Sequence[str], arm: str) -> Interval:
    """Compute a speed-up over blocks, with about the interval that a t quantile gives."""

    def level(name: str, block: int) -> float:
        return statistics.mean(map(math.log, samples[name][block]))

    logs = [
        statistics.mean(level(name, block) for name in base) - level(arm, block)
        for block in range(BLOCKS)
    ]
    middle, half = statistics.mean(logs), 2.4 * statistics.stdev(logs) / math.sqrt(BLOCKS)
    return Interval(*(math.exp(value) for value in (middle, middle - half, middle + half)))


def judged(found: Interval, floor: float) -> Verdict:
    """Return pass, fail or inconclusive."""
    if found.low > floor:
        return "pass"
    return "fail" if found.high < floor else "inconclusive"


def campaign(table: Table, rows: Sequence[Row], seed: int, side: int) -> Iterator[Result]:
    """Make up results of a baseline and the rows compared with it, the baseline first."""
    rng, base = random.Random(seed), rows[0]  # noqa: S311 - made-up noise
    lasts = base.latency_s or 2.0
    latencies = {base.setup: lasts, CONTROL: lasts} | {
        row.setup: lasts / (row.speedup * rng.gauss(1, 0.03)) for row in rows[1:]
    }
    samples, starts = timed(latencies, rng)
    shots = Shots(base.recipe.prompt, seed, side)
    control = interval(samples, (base.setup,), CONTROL)
    for number, row in enumerate(rows):
        arms = (base.setup, CONTROL, row.setup)
        found = (
            Interval(1.0, 1.0, 1.0) if row.is_baseline else interval(samples, arms[:2], row.setup)
        )
        verdict = "pass" if row.is_baseline else judged(found, row.speedup * (1 - row.tolerance))
        medians = {
            arm: statistics.median(slot for pair in samples[arm] for slot in pair) for arm in arms
        }
        exhibits = shots.of_baseline() if row.is_baseline else shots.exhibits(100 * seed + number)
        yield Result(
            table=table.name,
            setup=row.setup,
            baseline=base.setup,
            device="NVIDIA H200",
            documented_on=table.device,
            speedup=found.speedup,
            low=found.low,
            high=found.high,
            expected=row.speedup,
            tolerance=row.tolerance,
            floor=row.speedup * (1 - row.tolerance),
            verdict=verdict,
            image_verdict=None if row.is_baseline else "pass",
            blocks=BLOCKS,
            latency_s=medians[row.setup],
            baseline_latency_s=medians[base.setup],
            samples_s={arm: samples[arm] for arm in arms},
            image={} if row.is_baseline else dict(exhibits[0].metrics),
            images=None,
            reasons=() if verdict == "pass" else (f"made up: at most x{found.high:.3f}",),
            control=control,
            recipe=row.recipe,
            versions=VERSIONS,
            planned_blocks=2 * BLOCKS,
            resolves=None if row.is_baseline else 0.012,
            weights="random",
            peak_memory_bytes=int(rng.uniform(3, 9) * 2**30),
            stages_s={
                stage: share * medians[row.setup]
                for stage, share in {
                    "text_encoder": 0.01,
                    "denoising": 0.9,
                    "decoding": 0.09,
                }.items()
            },
            exhibits=exhibits,
            starts_s={arm: starts[arm] for arm in arms},
        )


def results(tables: Sequence[Table], side: int) -> list[Result]:
    """Make up results of every row of some tables, on one machine.

    Args:
        tables: tables with the rows.
        side: side of the square pictures, pixels; a multiple of 8.
    """
    found: list[Result] = []
    for number, table in enumerate(tables):
        for place, base in enumerate(row for row in table.rows if row.is_baseline):
            rows = [
                base,
                *(row for row in table.rows if row.baseline == base.setup and not row.is_baseline),
            ]
            found += campaign(table, rows, 10 * number + place, side)
    return found


def documented() -> list[Table]:
    """Return the tables that were published for a GPU."""
    return [table for table in load_tables() if table.name != MINIATURE]


def peak_mb() -> float:
    """Return the peak memory of this process, megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--side", type=int, default=512, help="of the square pictures, pixels (default: 512)"
    )
    parser.add_argument("--page", type=Path, help="where to leave the page")
    options = parser.parse_args()
    made = results(documented(), options.side)
    before_mb, began, spent = peak_mb(), time.perf_counter(), time.process_time()
    from pytest_sdspeed.report.page.html import render_page

    source = render_page(made, FACTS)
    wall_s, processor_s = time.perf_counter() - began, time.process_time() - spent
    print(f"{len(made)} rows, {len(SEEDS)} cases each, pictures of {options.side} x {options.side}")
    print(f"seconds: {wall_s:.2f} ({processor_s:.2f} of processor time, imports included)")
    print(f"peak memory: {peak_mb():.0f} MB ({before_mb:.0f} MB with the results alone)")
    print(f"page: {len(source.encode()) / 1e6:.2f} MB")
    if options.page:
        options.page.write_text(source, encoding="utf-8")
