"""Measure the same rows by stages and by calls, in turns, and compare ratios, intervals and time.

``python benchmarks/studies/stages_against_calls.py [--runs N] [--share X] [--floor X] [NAME ...]
[-o FILE]`` draws with the miniature, and with SDXL, FLUX and Wan at toy size, on the CPU. Each row
computes more than its baseline: its denoiser multiplies matrices beside its work; with ``--share
0`` both are equal. A cache row has steps of unlike cost. For every pair of runs it prints both
ratios with their intervals, whether the intervals overlap, whether each holds the other's estimate,
and what both runs took, seconds, without building and warm-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from toy_rows import ToyRows, make_rows

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.measure.campaign import run_campaign
from pytest_sdspeed.measure.campaign_data import Limits
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.run.targets import Target

if TYPE_CHECKING:
    from pytest_sdspeed.measure.campaign_data import Arm, CampaignData
    from pytest_sdspeed.setups.setup import Setup

SHARE = 0.25
"""Share of a denoiser's time that a row computes beside it unless the command line says another."""

SIZE = 192
"""Rows and columns of the matrices that it multiplies."""

LEARNED = 5
"""Forwards of which the fastest tells how much that is."""

FLOOR = 1.0
"""Least speed-up unless the command line says another one; the dearer row misses it."""

MOST_BLOCKS = 200
"""Blocks of a campaign at most: those that are not decided before take very long."""

MODELS = {
    "miniature": ("miniature", "StableDiffusionPipeline", ""),
    "sdxl": ("stabilityai/stable-diffusion-xl-base-1.0", "StableDiffusionXLPipeline", ""),
    "flux": ("black-forest-labs/FLUX.1-dev", "FluxPipeline", ""),
    "wan": ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "WanPipeline", "frames = 5"),
    "slowed": ("miniature", "StableDiffusionPipeline", "images = 2"),
    "cache": ("miniature", "StableDiffusionPipeline", ""),
}
"""Name -> model, class of its pipeline, more lines of the recipe."""


class Run(NamedTuple):
    """One campaign.

    Attributes:
        ratio, low, high: of the row over its baseline.
        blocks: until it was decided.
        verdict: what was decided.
        seconds: of the timed part, with the whole calls after it.
        measured: how many steps of each call were measured, and why if all, in words; "" by calls.
    """

    ratio: float
    low: float
    high: float
    blocks: int
    verdict: str
    seconds: float
    measured: str = ""


class Dearer:
    """Computes beside every forward of a denoiser, a share of what the first ones took."""

    def __init__(self, share: float) -> None:
        import torch

        self._share = share
        self._matrix = torch.full((SIZE, SIZE), 1 / SIZE)
        self._begun_s, self._forwards_s = 0.0, list[float]()
        self._products = 0

    def begin(self, *_call: Any) -> None:
        """Note when a forward began."""
        self._begun_s = time.perf_counter()

    def compute(self, *_call: Any) -> None:
        """Multiply matrices; in the first forwards, find out how often."""
        if len(self._forwards_s) < LEARNED:
            self._forwards_s.append(time.perf_counter() - self._begun_s)
            product_s = statistics.median(self._multiply() for _ in range(20))
            self._products = round(self._share * min(self._forwards_s) / product_s)
        for _ in range(self._products):
            self._multiply()

    def _multiply(self) -> float:
        start = time.perf_counter()
        _ = self._matrix @ self._matrix
        return time.perf_counter() - start


def make_dearer(share: float) -> Optimization:
    """Make the optimization that computes so much more."""

    def apply(pipeline: Any, **_options: Any) -> None:
        denoiser = pipeline.transformer if hasattr(pipeline, "transformer") else pipeline.unet
        extra = Dearer(share)
        denoiser.register_forward_pre_hook(extra.begin)
        denoiser.register_forward_hook(extra.compute)

    return Optimization(
        name="study_dearer",
        summary="multiply matrices after every forward of the denoiser",
        changes=frozenset({"denoisers"}),
        apply=lambda pipeline, _recipe, **_options: apply(pipeline),
    )


def make_setups(name: str, steps: int, folder: Path, share: float) -> tuple[Setup, Setup]:
    """Make the baseline and the row of a model, which computes so much more."""
    model, pipeline, more = MODELS[name]
    optimization = "feature_cache_2" if name == "cache" else "study_dearer"
    facts = ToyRows(name, model, pipeline, more, optimization)
    return make_rows(facts, steps, folder, make_dearer(share))


def measure(baseline: Arm, row: Arm, unit: str, seed: int) -> Run:
    """Measure one campaign until it is decided."""
    clock = WallClock(synchronize)
    limits = Limits(budget_s=600.0, max_blocks=MOST_BLOCKS, seed=seed, unit=unit)
    with quiet():
        data = run_campaign(baseline, [row], limits, clock)
    for error in data.errors.values():
        raise error
    if unit == "stage" and data.stages is None:
        sys.exit(f"not measured by stages: {data.unstaged}")
    decision = data.decisions[row.name]
    interval = decision.interval
    return Run(
        interval.speedup,
        interval.low,
        interval.high,
        decision.blocks,
        decision.verdict,
        data.timed_s + _whole_calls_s(data),
        _describe_sampling(data),
    )


def _describe_sampling(data: CampaignData) -> str:
    if data.stages is None:
        return ""
    sampling = data.stages.sampling
    why = f", {sampling.why}" if sampling.why else ""
    return f"{sampling.sampled} of {sampling.steps} steps{why}"


def _whole_calls_s(data: CampaignData) -> float:
    return sum(map(sum, data.stages.whole_s.values())) if data.stages else 0.0


def compare(
    name: str, runs: int, steps: int, folder: Path, *, floor: float, share: float
) -> list[tuple[Run, Run]]:
    """Measure a model ``runs`` times by stages and by calls; the order alternates."""
    targets = [Target.of(setup) for setup in make_setups(name, steps, folder, share)]
    baseline, row = targets[0].arm(None), targets[1].arm(floor)
    found = []
    for number in range(runs):
        units = ("stage", "call") if number % 2 else ("call", "stage")
        pair = {unit: measure(baseline, row, unit, number) for unit in units}
        found.append((pair["stage"], pair["call"]))
        print(name, number, describe(pair["stage"], pair["call"]), flush=True)
    return found


def describe(stage: Run, call: Run) -> str:
    """Describe a pair of runs."""
    overlap = stage.low <= call.high and call.low <= stage.high
    inside = call.low <= stage.ratio <= call.high and stage.low <= call.ratio <= stage.high
    return (
        f"stages x{stage.ratio:.3f} [{stage.low:.3f}, {stage.high:.3f}] {stage.verdict}"
        f" {stage.blocks} blocks {stage.seconds:.1f} s,"
        f" calls x{call.ratio:.3f} [{call.low:.3f}, {call.high:.3f}] {call.verdict}"
        f" {call.blocks} blocks {call.seconds:.1f} s,"
        f" {'overlap' if overlap else 'APART'}{', each in the other' if inside else ''},"
        f" time {stage.seconds / call.seconds:.2f}; {stage.measured}"
    )


def summarize(found: dict[str, list[tuple[Run, Run]]]) -> str:
    """Summarize all pairs as a table."""
    lines = [
        (
            "| pipeline | runs | overlap | each in the other | same verdict | time, median ratio"
            " | width of an interval, stages and calls |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for name, pairs in found.items():
        overlap = sum(one.low <= other.high and other.low <= one.high for one, other in pairs)
        inside = sum(
            other.low <= one.ratio <= other.high and one.low <= other.ratio <= one.high
            for one, other in pairs
        )
        same = sum(one.verdict == other.verdict for one, other in pairs)
        time_ratio = statistics.median(one.seconds / other.seconds for one, other in pairs)
        widths = [
            statistics.median(pair[side].high / pair[side].low - 1 for pair in pairs)
            for side in (0, 1)
        ]
        lines.append(
            f"| {name} | {len(pairs)} | {overlap} | {inside} | {same} | {time_ratio:.2f}"
            f" | {widths[0]:.1%} and {widths[1]:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Compare the models that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[*MODELS], help="models (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs of each model")
    parser.add_argument("--steps", type=int, default=50, help="denoising steps")
    parser.add_argument("--share", type=float, default=SHARE, help="what rows compute more")
    parser.add_argument("--floor", type=float, default=FLOOR, help="least speed-up of the rows")
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names:
            found[name] = compare(
                name,
                given.runs,
                given.steps,
                Path(folder),
                floor=given.floor,
                share=given.share,
            )
            if given.output:
                given.output.write_text(json.dumps(found, indent=1))
    print(summarize(found))


if __name__ == "__main__":
    main()
