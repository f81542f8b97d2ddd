"""Record the parts of calls that take turns by stages, all of them of one and the same setup.

``python benchmarks/studies/record_steps.py steps.json.xz`` calls the miniature's baseline by stages
on the CPU, three calls at a time that take turns at single denoising steps, as a campaign of one
row does: the baseline, its control, and the row. Since all three are equal, whatever tells them
apart is noise. Ctrl-C stops early and keeps what was recorded. The file is JSON, compressed by xz:

- ``work``: what was called, and on what.
- ``orders``: for each round the order of the calls at its first part.
- ``microseconds``: for each round, part and call, in this order; the parts are the text encoding,
  the first denoising steps, and decoding.
- ``machine``: device, kind, cores, threads, load average, versions and date.
"""

from __future__ import annotations

import gc
import json
import lzma
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from record_noise import check_output, describe_machine, make_parser, parse_count

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.measure.order import Palindromes
from pytest_sdspeed.model import CONTROL, Case

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pytest_sdspeed.model.stages import StagedCall, StageTime

    Begin: TypeAlias = Callable[[int], StagedCall]
    """Begins a call: its number among those that take turns -> a call that has done nothing yet."""

BASELINE, ROW = "baseline", "row"
LANES = (BASELINE, CONTROL, ROW)
"""Who takes turns, in the order in which their times are written."""

WARM_UP = 2
LEAST_STEPS = 3
"""Steps of a call that can be extrapolated: the first one, and two that stand for the others."""


class HeldCall:
    """A call by stages that holds its setup's flags whenever it goes on, as a campaign does."""

    def __init__(self, call: StagedCall, slot: Callable[[], AbstractContextManager[None]]) -> None:
        self._call, self._slot = call, slot

    @property
    def pictures(self) -> Any:
        """Return what the call returned."""
        return self._call.pictures

    @property
    def done(self) -> bool:
        """Tell whether it has returned."""
        return self._call.done

    def take_turn(self, parts: int) -> list[StageTime]:
        """Go on over so many parts."""
        with self._slot():
            return self._call.take_turn(parts)

    def close(self) -> None:
        """Abandon it."""
        self._call.close()


def record_round(begin: Begin, order: Sequence[str]) -> list[list[int]]:
    """Record one round: one call of each lane, taking turns as in ``measure.rounds.Rounds``.

    Args:
        begin: begins a call.
        order: lanes in the order of the first part.

    Returns:
        Microseconds of every part and lane.

    Raises:
        ValueError: the calls do not have equally many parts.
    """
    calls = {lane: begin(number) for number, lane in enumerate(LANES)}
    turns, found = list(order), []
    try:
        while not all(call.done for call in calls.values()):
            if any(call.done for call in calls.values()):
                raise ValueError("calls of one setup do not have equally many parts")
            part = {lane: calls[lane].take_turn(1)[0].seconds for lane in turns}
            found.append([round(1e6 * part[lane]) for lane in LANES])
            turns.reverse()
    finally:
        for call in calls.values():
            call.close()
    return found


def record(
    begin: Begin,
    seconds: float,
    chance: random.Random,
    *,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[float], object] = lambda _now: None,
) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Record blocks of two rounds until the time is over, or until a KeyboardInterrupt.

    Args:
        begin: begins a call.
        seconds: time to record.
        chance: source of the order.
        clock: seconds since any fixed point.
        progress: called after every block with the seconds since the beginning.

    Returns:
        Orders and microseconds, as in the file.
    """
    orders: list[list[int]] = []
    found: list[list[list[int]]] = []
    palindromes = Palindromes(BASELINE, chance)
    started = clock()
    try:
        while clock() - started < seconds:
            labels = palindromes.draw([ROW])
            half = labels[: len(LANES)]
            block = []
            for order in (half, half[::-1]):
                block.append(record_round(begin, order))
                gc.collect()
            orders += [[LANES.index(lane) for lane in one] for one in (half, half[::-1])]
            found += block
            progress(clock() - started)
    except KeyboardInterrupt:
        pass
    return orders, found


def open_miniature(steps: int) -> Begin:
    """Build the miniature's baseline, and return what begins a call of so many steps."""
    from stages_against_calls import make_setups

    with tempfile.TemporaryDirectory() as folder:
        setup, _row = make_setups("miniature", 2 * steps, Path(folder), 0.0)
        setup.build()
    case = Case(0)
    for _ in range(WARM_UP):
        with setup.slot():
            setup.draw(case)
    stages = setup.open_stages()

    def begin(number: int) -> StagedCall:
        return HeldCall(stages.call(case, steps, number), setup.slot)

    return begin


def write_trace(path: Path, trace: Mapping[str, Any]) -> None:
    """Write a trace as JSON, compressed by xz."""
    text = json.dumps(trace, separators=(",", ":")) + "\n"
    path.write_bytes(lzma.compress(text.encode()))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        "Record equal calls that take turns by stages on this machine.", ".json.xz", 8.0
    )
    parser.add_argument(
        "--steps", type=parse_count, default=7, help="steps that are measured of a call (7)"
    )
    options = parser.parse_args(arguments)
    check_output(parser, options.output)
    if options.steps < LEAST_STEPS:
        parser.error(f"--steps {options.steps} is less than {LEAST_STEPS}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Record a trace; the exit code is 130 if it was stopped before the first block was over.

    Args:
        arguments: arguments, or None for those of the command line.
    """
    options = _options(arguments)
    import torch
    from tqdm import tqdm

    if options.threads:
        torch.set_num_threads(options.threads)
    seconds = 60 * options.minutes
    try:
        with quiet():
            begin = open_miniature(options.steps)
            gc.disable()
            with tqdm(total=round(seconds), unit="s", disable=None, leave=False) as bar:
                orders, found = record(
                    begin,
                    seconds,
                    random.Random(),  # noqa: S311 - who begins is no secret
                    progress=lambda now: bar.update(min(round(now), bar.total) - bar.n),
                )
    except KeyboardInterrupt:
        orders, found = [], []
    if not found:
        print("stopped before the first block was over: nothing is written", file=sys.stderr)
        return 130
    machine = describe_machine(gpu=False) | {"load": [round(one, 1) for one in os.getloadavg()]}
    where = f"{machine['device']}, {machine['cores']} cores, {machine['threads']} threads"
    work = f"the miniature's baseline, {options.steps} steps of each call, {where}"
    trace = {"work": work, "orders": orders, "microseconds": found, "machine": machine}
    write_trace(options.output, trace)
    calls = [sum(part[0] for part in one) / 1e6 for one in found]
    spread = statistics.pstdev(calls) / statistics.fmean(calls)
    print(
        f"{options.output}: {len(found)} rounds of {len(found[0])} parts, measured"
        f" {statistics.median(calls):.4f} s of a call (median), CV {spread:.1%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
