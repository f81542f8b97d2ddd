"""Measure what looking at the pictures of every slot costs, on the miniature.

``python benchmarks/studies/costs/slot_pictures.py [--rounds N]`` measures campaigns in pairs, one
that looks at what each slot returned and one that lets go of it, in turns, and prints medians: of
the ratio of both, and of the share of a campaign's wall time that the looks take by the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any, NoReturn

from overhead import measure_miniature

from pytest_sdspeed.measure.picture_log import PictureLog

if TYPE_CHECKING:
    from pytest_sdspeed.model import Case

LOOK = PictureLog.look
ROW = "distilled"
"""The fastest row: a look weighs the most beside it."""


class Looks:
    """Looks, or does not, and counts.

    Attributes:
        count: how many slots were looked at.
        spent_s: seconds that the looks took.
    """

    def __init__(self, *, looking: bool) -> None:
        self.count, self.spent_s, self._looking = 0, 0.0, looking

    def look(self, log: PictureLog, case: Case, returned: Any) -> None:
        """Take the place of ``PictureLog.look``."""
        begun = time.perf_counter()
        if self._looking:
            LOOK(log, case, returned)
        self.spent_s += time.perf_counter() - begun
        self.count += 1


class Measured(Exception):  # noqa: N818 - no error: it ends what is timed
    """A campaign was measured, and nothing of it was judged yet."""


def measure_campaign(blocks: int, *, looking: bool) -> tuple[float, Looks]:
    """Measure one campaign: its wall time, seconds, and its looks."""
    from pytest_sdspeed.run import judging

    def stop(_case: object) -> NoReturn:
        raise Measured

    def look(log: PictureLog, case: Case, returned: Any) -> None:
        looks.look(log, case, returned)

    looks = Looks(looking=looking)
    judge_row = judging.judge_row
    PictureLog.look = look  # type: ignore[method-assign, assignment]
    judging.judge_row = stop  # type: ignore[assignment]
    begun = time.perf_counter()
    try:
        measure_miniature(blocks, ROW)
    except Measured:
        return time.perf_counter() - begun, looks
    finally:
        PictureLog.look = LOOK  # type: ignore[method-assign]
        judging.judge_row = judge_row
    raise RuntimeError("nothing was judged")


def measure_pairs(rounds: int, blocks: int) -> tuple[list[float], list[float], float]:
    """Measure campaigns in pairs, in turns.

    Returns:
        Ratios of the wall times, with looks over without; the looks' share of the wall time; and
        the median time of one look, seconds.
    """
    measure_campaign(1, looking=True)
    ratios, shares, each_s = [], [], []
    for number in range(rounds):
        taken = {}
        for looking in (True, False) if number % 2 else (False, True):
            taken[looking] = measure_campaign(blocks, looking=looking)
        (with_s, looks), (without_s, _) = taken[True], taken[False]
        ratios.append(with_s / without_s)
        shares.append(looks.spent_s / with_s)
        each_s.append(looks.spent_s / looks.count)
        print(
            f"pair {number + 1}: {with_s:.1f} s with {looks.count} looks,"
            f" {without_s:.1f} s without",
            flush=True,
        )
    return ratios, shares, statistics.median(each_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="pairs of campaigns (default: 10)")
    parser.add_argument("--blocks", type=int, default=4, help="blocks of a campaign (default: 4)")
    options = parser.parse_args()
    ratios, shares, look_s = measure_pairs(options.rounds, options.blocks)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"with looks over without: x{middle:.3f} (quartiles x{low:.3f}, x{high:.3f};"
        f" {options.rounds} pairs)"
    )
    print(
        f"share of a campaign's wall time: {statistics.median(shares):.2%}, at most"
        f" {max(shares):.2%}; one look: {look_s * 1e3:.2f} ms"
    )
