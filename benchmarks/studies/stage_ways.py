"""Compare ways to time a call by stages: bias of the ratio, and what an interval costs.

    python benchmarks/studies/stage_ways.py                   # miniature and tiny SDXL, on the CPU
    python benchmarks/studies/stage_ways.py --blocks 20 --docs docs/figures
    python benchmarks/studies/stage_ways.py distilled cache   # some of the rows

Every way measures the same rows in turns: a block of each in random order, and again. The ways are
those of ``ways.WAYS``; whole calls are the truth. For each row the study prints the ratio, how far
it is from that of whole calls with a 95% t interval over the blocks, seconds of a block, and the
width of a 95% interval of the ratio after a minute of measuring.

``--clock processor`` counts the time of this process alone: on a machine that others use too it
tells a bias that wall-clock time would hide.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

from markdown_tables import MarkdownTable, add_docs_option, write_snippets
from scipy import stats
from stages_against_calls import SHARE, make_dearer
from toy_rows import ToyRows, make_rows
from tqdm import tqdm
from ways import WAYS, WHOLE, Way

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.model import Case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.setups.setup import Setup

SNIPPETS = {"wall": "stage-ways.md", "processor": "stage-ways-processor.md"}
"""Clock -> snippet of the documentation."""

MINUTE_S = 60.0
_DDIM = 'scheduler = "ddim"'
"""It takes as many steps as it is asked for."""

_STUDENT = f'student = "miniature-student"\n{_DDIM}'
_SDXL = ("stabilityai/stable-diffusion-xl-base-1.0", "StableDiffusionXLPipeline")
_MINIATURE = ("miniature", "StableDiffusionPipeline")
ROWS = {
    "distilled": (*_MINIATURE, _STUDENT, "distilled_unet"),
    "cache": (*_MINIATURE, _DDIM, "feature_cache_2"),
    "sdxl-dearer": (*_SDXL, _DDIM, "study_dearer"),
    "sdxl-cache": (*_SDXL, _DDIM, "deepcache"),
}
"""Name -> model, class of its pipeline, more lines of the recipe, optimization of the row."""


class Block(NamedTuple):
    """What one way measured in one block: log ratio, baseline over row, and seconds it took."""

    log_ratio: float
    seconds: float


class Estimate(NamedTuple):
    """What the blocks of one way say.

    Attributes:
        ratio: baseline over row.
        bias: how far the ratio is from that of whole calls, a fraction; error: half of its 95%
            interval.
        block_s: seconds of a block.
        width: of a 95% interval of the ratio after a minute of measuring, a fraction.
    """

    ratio: float
    bias: float
    error: float
    block_s: float
    width: float


def make_setups(name: str, steps: int, folder: Path) -> tuple[Setup, Setup]:
    """Make the baseline and the row of that name."""
    facts = ToyRows(name.replace("-", "_"), *ROWS[name])
    return make_rows(facts, steps, folder, make_dearer(SHARE))


def measure(ways: Mapping[str, Way], blocks: int, chance: random.Random) -> dict[str, list[Block]]:
    """Measure blocks of every way, one of each in random order, and again.

    Returns:
        Way -> its blocks; none if it cannot measure this row.
    """
    found: dict[str, list[Block]] = {name: [] for name in ways}
    left = list(ways)
    for _ in tqdm(range(blocks), unit="block", disable=None, leave=False):
        for name in chance.sample(left, len(left)):
            try:
                baseline, row = ways[name].measure_block()
            except Exception as error:
                if name == WHOLE:
                    raise
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
                left.remove(name)
                found[name] = []
                continue
            found[name].append(
                Block(
                    statistics.fmean(map(math.log, baseline.calls_s))
                    - statistics.fmean(map(math.log, row.calls_s)),
                    baseline.spent_s + row.spent_s,
                )
            )
    return found


def estimate(own: Sequence[Block], whole: Sequence[Block]) -> Estimate:
    """Estimate the ratio of one way, its bias beside whole calls, and what it costs.

    Blocks of one turn are paired, so that what the machine does in a turn cancels in the bias.
    """
    logs = [block.log_ratio for block in own]
    apart = [one.log_ratio - other.log_ratio for one, other in zip(own, whole, strict=True)]
    block_s = statistics.fmean(block.seconds for block in own)
    quantile = float(stats.t.isf(0.025, len(own) - 1))
    return Estimate(
        math.exp(statistics.fmean(logs)),
        math.expm1(statistics.fmean(apart)),
        quantile * statistics.stdev(apart) / math.sqrt(len(apart)),
        block_s,
        2 * 1.96 * statistics.stdev(logs) * math.sqrt(block_s / MINUTE_S),
    )


def make_table(found: Mapping[str, Mapping[str, Sequence[Block]]]) -> MarkdownTable:
    """Make the table of all rows and ways."""
    header = (
        "row",
        "way",
        "ratio",
        "beside whole calls",
        "seconds of a block",
        "width of an interval after a minute",
    )
    cells = []
    for row, ways in found.items():
        for way, blocks in ways.items():
            if not blocks:
                cells.append((row, way, "-", "cannot measure it", "-", "-"))
                continue
            said = estimate(blocks, ways[WHOLE])
            bias = "-" if way == WHOLE else f"{said.bias:+.1%} ± {said.error:.1%}"
            cells.append(
                (row, way, f"x{said.ratio:.3f}", bias, f"{said.block_s:.2f}", f"{said.width:.1%}")
            )
    return MarkdownTable("Ways to time a call", header, cells)


def compare(
    name: str, blocks: int, steps: int, chance: random.Random, folder: Path
) -> dict[str, list[Block]]:
    """Build a row and its baseline, warm them up, and measure them in every way."""
    setups = make_setups(name, steps, folder)
    for setup in setups:
        setup.build()
        for _ in range(2):
            with setup.slot():
                setup.draw(Case(0))
    return measure({way: make(setups, steps) for way, make in WAYS.items()}, blocks, chance)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the ways, print and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", default=[*ROWS], help=f"of {', '.join(ROWS)} (all)")
    parser.add_argument("--blocks", type=int, default=10, help="blocks of each way (10)")
    parser.add_argument("--steps", type=int, default=30, help="denoising steps of a call (30)")
    parser.add_argument(
        "--clock",
        choices=SNIPPETS,
        default="wall",
        help="processor: the time of this process alone, which a shared machine does not stretch",
    )
    parser.add_argument("--threads", type=int, help="threads of torch (torch's own)")
    parser.add_argument("--seed", type=int, default=0, help="of the order (0)")
    parser.add_argument("-o", "--output", type=Path, help="JSON file of all blocks")
    add_docs_option(parser)
    options = parser.parse_args(arguments)
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; valid: {', '.join(ROWS)}")
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    chance = random.Random(options.seed)  # noqa: S311 - the order of blocks is no secret
    found: dict[str, dict[str, list[Block]]] = {}
    clock = time.process_time if options.clock == "processor" else time.perf_counter
    with (
        tempfile.TemporaryDirectory() as folder,
        quiet(),
        # The package's own parts are timed by it as well.
        mock.patch("time.perf_counter", clock),
    ):
        for row in options.rows:
            try:
                found[row] = compare(row, options.blocks, options.steps, chance, Path(folder))
            except Exception as error:  # noqa: BLE001 - the rows before it took minutes
                print(f"{row}: {error}", file=sys.stderr)
                continue
            print(make_table({row: found[row]}).text(), flush=True)
            if options.output:
                options.output.write_text(json.dumps(found) + "\n", encoding="utf-8")
    table = make_table(found)
    print(table.titled(3))
    if options.docs:
        write_snippets(options.docs, {SNIPPETS[options.clock]: table.text()})


if __name__ == "__main__":
    main()
