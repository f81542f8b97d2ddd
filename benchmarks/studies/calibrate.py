"""Simulate the critical values of the stopping rule.

`python benchmarks/studies/calibrate.py` rewrites pytest_sdspeed/judge/speed/critical_values.json.

The rule's own block ratios, under independent normal slots, are simulated up to twenty blocks. The
looks beyond add independent normal blocks, since with so many blocks the guard against stalls
changes nothing. The noise is symmetric, so that each path counts with its mirror image. At every
look the critical value is the quantile, among the paths that have not crossed before, that spends
what `spent` allows. The seed is fixed: the same version of numpy gives the same values.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pytest_sdspeed.judge.speed import stopping
from pytest_sdspeed.judge.speed.blocks import block_ratios

SEED = 20_261_122
EXACT = 20
CHUNK = 20_000
ROWS = (1, 2, 4, 8, 16, 32)
TARGET = Path(stopping.__file__).with_name(stopping.CONSTANTS)


def spent(blocks: int) -> float:
    """Return the share of the error that may be spent up to a look, 0 at two blocks.

    The share is 1 - 0.9 exp(-(blocks - 2) / 5) - 0.1 sqrt(2 / blocks): 18% at three blocks, 54% at
    six, 94% at twenty, 98% at fifty. Spending functions are from Lan and DeMets (1983). This one
    does not end at a last look, so that the budget need not be known.
    """
    return 1.0 - 0.9 * math.exp(-(blocks - 2) / 5) - 0.1 * math.sqrt(2 / blocks)


def ladder() -> list[int]:
    """Return the looks: every number of blocks from 3 to 20, then 10% more, up to the last."""
    beyond = itertools.accumulate(
        itertools.repeat(1.1), lambda look, growth: math.ceil(look * growth), initial=EXACT
    )
    return [
        *range(3, EXACT + 1),
        *itertools.takewhile(
            lambda look: look < stopping.LAST_LOOK, itertools.islice(beyond, 1, None)
        ),
        stopping.LAST_LOOK,
    ]


def t_paths(rng: np.random.Generator, looks: list[int], paths: int) -> np.ndarray:
    """Simulate the t statistic of campaigns at every look, shape (paths, looks)."""
    slots = np.exp(1e-3 * rng.standard_normal((paths, EXACT, 3, 2)))
    columns = []
    for look in (look for look in looks if look <= EXACT):
        ratios = block_ratios(slots[:, :look, :2], slots[:, :look, 2:])
        columns.append(ratios.mean(1) / ratios.std(1, ddof=1) * math.sqrt(look))
    mean, squares = ratios.mean(1), ratios.var(1) * EXACT
    # Mean and sum of squares of two groups of blocks are combined by the formula of Chan, Golub and
    # LeVeque (1979).
    deviation = 1e-3 * math.sqrt(1 / 4 + 1 / 2)
    for before, look in itertools.pairwise([EXACT, *(look for look in looks if look > EXACT)]):
        added = look - before
        shift = deviation * rng.standard_normal(paths) / math.sqrt(added) - mean
        squares = (
            squares
            + deviation**2 * (rng.chisquare(added - 1, paths) if added > 1 else 0.0)
            + before * added / look * shift**2
        )
        mean = mean + shift * added / look
        columns.append(mean * np.sqrt(look * (look - 1) / squares))
    return np.stack(columns, axis=1).astype(np.float32)


def critical_values(t: np.ndarray, looks: list[int], error: float) -> list[float]:
    """Find one critical value per look, which spend the error as planned, for one side."""
    increments = np.diff([0.0, *(error * spent(look) for look in looks)])
    alive = np.ones((2, len(t)), dtype=bool)
    values = []
    for column, increment in enumerate(increments):
        both = np.stack([t[:, column], -t[:, column]])
        candidates = both[alive]
        rank = candidates.size - max(1, round(increment * both.size)) - 1
        value = float(np.partition(candidates, rank)[rank])
        values.append(value)
        alive &= both <= value
    return values


def main() -> None:
    """Simulate, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--paths", type=int, default=2_000_000, help="simulated campaigns (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=TARGET, help="default: %(default)s")
    options = parser.parse_args()
    looks = ladder()
    rng = np.random.default_rng(SEED)
    chunks = [min(CHUNK, options.paths - start) for start in range(0, options.paths, CHUNK)]
    t = np.concatenate(
        [t_paths(rng, looks, chunk) for chunk in tqdm(chunks, unit_scale=CHUNK, unit="campaigns")]
    )
    table = np.array([critical_values(t, looks, stopping.ERROR_PER_SIDE / rows) for rows in ROWS])
    # More rows never have a lower critical value, whatever the simulation's error.
    table = np.maximum.accumulate(table, axis=0)
    stored = {
        "made_by": "benchmarks/studies/calibrate.py",
        "how": (
            f"{options.paths} simulated campaigns and their mirror images, seed {SEED}, numpy"
            f" {np.__version__}: independent normal slots, two baseline pairs and one candidate"
            f" pair per block, the rule of judge/blocks.py; exact to {EXACT} blocks"
        ),
        "error_per_side": stopping.ERROR_PER_SIDE,
        "spending": "1 - 0.9 * exp(-(blocks - 2) / 5) - 0.1 * sqrt(2 / blocks)",
        "looks": looks,
        "critical": {
            str(rows): [round(float(value), 3) for value in values]
            for rows, values in zip(ROWS, table, strict=True)
        },
    }
    one_list_a_line = re.sub(r"\n\s+(?=[\d\]])", " ", json.dumps(stored, indent=1))
    options.output.write_text(one_list_a_line + "\n", encoding="utf-8")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
