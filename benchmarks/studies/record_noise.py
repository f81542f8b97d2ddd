"""Record this machine's noise: the durations of one fixed piece of work, repeated for minutes.

``python benchmarks/studies/record_noise.py noise.json`` repeats forward passes of the miniature's
UNet on the CPU; ``--gpu`` repeats those of Stable Diffusion v1.5's in float16, with random weights
and classifier-free guidance's batch of two. Ctrl-C stops early and keeps what was recorded. The
file is JSON:

- ``work``: what was repeated, and on what.
- ``start_s_duration_s``: ``[start, duration]`` of each slot in seconds; starts are counted from the
  beginning of the recording.
- ``machine``: device, kind, cores, threads, versions and date.
- ``load``: with ``--load``, the number of busy processes, and ``start_s_end_s``, when they ran.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PHASE_S = 5.0
"""Approximate length of busy and quiet phases, seconds."""

WARM_UP_S = 2.0
WARM_UP_SLOTS = 5
BUSY = (
    "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end:\n"
    "    pass"
)


@dataclass(frozen=True)
class Work:
    """What is repeated.

    Attributes:
        name: one pass in words, in the singular.
        once: starts one pass.
        synchronize: returns when every pass that was started is done; the CPU is synchronous.
    """

    name: str
    once: Callable[[], object]
    synchronize: Callable[[], object] = lambda: None

    def slot(self, passes: int) -> None:
        """Do some passes, and wait for their end."""
        for _ in range(passes):
            self.once()
        self.synchronize()


def cpu_work() -> Work:
    """Return forward passes of the miniature's UNet, float32, batch of one."""
    from pytest_sdspeed.model import MINIATURE
    from pytest_sdspeed.pipelines.sources import PretrainedSource

    return Work(
        "UNet forward pass",
        passing(PretrainedSource("cpu").load_part("unet", MINIATURE, "float32"), batch=1),
    )


def gpu_work() -> Work:
    """Return forward passes of Stable Diffusion v1.5's UNet at 512x512, float16, batch of two."""
    import torch

    from pytest_sdspeed.pipelines.sources import RandomSource

    unet = RandomSource("cuda").load_part(
        "unet", "stable-diffusion-v1-5/stable-diffusion-v1-5", "float16"
    )
    return Work(
        "float16 forward pass of Stable Diffusion v1.5's UNet",
        passing(unet, batch=2),
        torch.cuda.synchronize,
    )


def passing(unet: Any, batch: int) -> Callable[[], object]:
    """Return a forward pass of a UNet, always of the same random numbers."""
    import torch

    # The CPU's generator gives every device the same numbers.
    numbers = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    side = unet.config.sample_size
    latents = numbers(batch, unet.config.in_channels, side, side).to(unet.device, unet.dtype)
    prompt = numbers(batch, 77, unet.config.cross_attention_dim).to(unet.device, unet.dtype)
    # A number would be copied to the device in every pass.
    step = torch.tensor(500, device=unet.device)
    pass_: Callable[[], object] = torch.inference_mode()(partial(unet, latents, step, prompt))
    return pass_


def passes_per_slot(
    work: Work, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Return how many passes take about so many seconds.

    The fastest pass of the warm-up decides, since noise only adds.
    """
    begin = clock()
    passes, fastest = 1, math.inf
    for timed in count(1):
        before = clock()
        work.slot(passes)
        after = clock()
        fastest = min(fastest, (after - before) / passes)
        if passes * fastest < seconds / 2:
            passes *= 2
        elif timed >= WARM_UP_SLOTS and after - begin >= WARM_UP_S:
            break
    return max(1, round(seconds / fastest))


def busy_phases(seconds: float, chance: random.Random) -> list[tuple[float, float]]:
    """Choose a random half of the time, in phases of about ``PHASE_S``.

    Returns:
        ``(start, end)`` of each phase in seconds, in order.
    """
    half = max(1, round(seconds / (2 * PHASE_S)))
    length = seconds / (2 * half)
    return [
        (number * length, (number + 1) * length)
        for number in sorted(chance.sample(range(2 * half), half))
    ]


@dataclass
class Load:
    """Busy processes beside the recording, switched between slots, never inside one.

    Attributes:
        processes: number of processes.
        phases: when they should run, seconds from the beginning of the recording.
        spans: when they ran, in the same unit.
    """

    processes: int
    phases: Sequence[tuple[float, float]]
    spans: list[list[float]] = field(default_factory=list)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def switch(self, now: float) -> None:
        """Start or stop the processes, by the phase at ``now``."""
        end = next((end for start, end in self.phases if start <= now < end), None)
        if self._running:
            self.spans[-1][1] = round(now, 6)
        if end is None:
            self.stop()
        elif not self._running:
            self.spans.append([round(now, 6), round(now, 6)])
            # They end by themselves if this process is killed.
            limit = max(end for _, end in self.phases) - now + PHASE_S
            command = [sys.executable, "-I", "-S", "-c", BUSY, str(limit)]
            quiet = subprocess.DEVNULL
            for _ in range(self.processes):
                self._running.append(
                    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
                )

    def stop(self) -> None:
        """End the processes."""
        while self._running:
            process = self._running.pop()
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def record(
    slot: Callable[[], object],
    seconds: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
    load: Load | None = None,
    progress: Callable[[float, float], object] = lambda _now, _duration: None,
) -> list[list[float]]:
    """Record slots until the time is over, or until a KeyboardInterrupt.

    Args:
        slot: the work of one slot.
        seconds: time to record.
        clock: seconds since any fixed point.
        load: busy processes, switched before each slot and stopped at the end.
        progress: called after each slot with the seconds since the beginning and the slot's
            duration.

    Returns:
        ``[start, duration]`` in seconds of every slot that began in time.
    """
    slots: list[list[float]] = []
    with load or nullcontext():
        begin = clock()
        try:
            while (now := clock() - begin) < seconds:
                if load:
                    load.switch(now)
                start = clock()
                slot()
                end = clock()
                slots.append([round(start - begin, 6), round(end - start, 6)])
                progress(end - begin, end - start)
            if load:
                load.switch(clock() - begin)
        except KeyboardInterrupt:
            pass
    return slots


def _bar(seconds: float) -> AbstractContextManager[Any]:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # its thread would be part of the noise
    form = "{l_bar}{bar}| {n:.0f} of {total:.0f} s{postfix}, {remaining} left"
    return tqdm(total=seconds, disable=None, bar_format=form, leave=False)  # type: ignore[no-any-return] # tqdm is not followed


def _recorded(
    work: Work, options: argparse.Namespace
) -> tuple[int, list[list[float]], Load | None]:
    """Record a trace: passes per slot, the slots, and the load."""
    seconds = 60 * options.minutes
    passes = passes_per_slot(work, options.seconds_per_slot)
    chance = random.Random()  # noqa: S311 - when the machine is busy is no secret
    load = Load(options.load, busy_phases(seconds, chance)) if options.load else None
    with _bar(seconds) as bar:

        def progress(now: float, duration: float) -> None:
            bar.set_postfix_str(f"last slot {1e3 * duration:.1f} ms", refresh=False)
            bar.update(min(now, seconds) - bar.n)

        return (
            passes,
            record(partial(work.slot, passes), seconds, load=load, progress=progress),
            load,
        )


def describe_machine(*, gpu: bool) -> dict[str, Any]:
    import torch

    from pytest_sdspeed.device.machine import describe_cpu, describe_cuda

    machine = describe_cuda() if gpu else describe_cpu()
    return {
        "device": machine.device,
        "kind": machine.kind,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": dict(machine.versions),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def parse_positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def parse_count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def make_parser(description: str, file: str, minutes: float) -> argparse.ArgumentParser:
    """Make the parser of a command that records for a while into a new file.

    Args:
        description: what it records.
        file: what kind of file it writes.
        minutes: how long, if nothing else is said.
    """
    parser = argparse.ArgumentParser(description=f"{description} Ctrl-C keeps them.")
    parser.add_argument(
        "output", type=Path, metavar="OUTPUT", help=f"the {file} file to write; it must not exist"
    )
    parser.add_argument(
        "--minutes",
        type=parse_positive,
        default=minutes,
        help=f"how long to record (default: {minutes:g})",
    )
    parser.add_argument(
        "--threads", type=parse_count, help="threads of torch on the CPU (default: torch's own)"
    )
    return parser


def check_output(parser: argparse.ArgumentParser, output: Path) -> None:
    """Refuse, before anything is recorded, a file that could not be written in the end."""
    folder = output.absolute().parent
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}")
    if output.exists():
        parser.error(f"{output} exists: name another file")
    if not os.access(folder, os.W_OK):
        parser.error(f"the folder {folder} cannot be written to")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        "Record the durations of one fixed piece of work on this machine.", "JSON", 3.0
    )
    parser.add_argument(
        "--seconds-per-slot",
        type=parse_positive,
        default=0.2,
        help="about how long a slot takes (default: 0.2)",
    )
    parser.add_argument("--gpu", action="store_true", help="work on the CUDA GPU")
    parser.add_argument(
        "--load",
        type=parse_count,
        metavar="N",
        help="run N busy processes beside it for a random half of the time",
    )
    options = parser.parse_args(arguments)
    check_output(parser, options.output)

    import torch

    if options.gpu and not torch.cuda.is_available():
        parser.error(f"--gpu needs a CUDA GPU, and torch {torch.__version__} sees none")
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Record a trace; the exit code is 130 if it was stopped before the first slot was over.

    Args:
        arguments: arguments, or None for those of the command line.
    """
    options = _options(arguments)
    # This comes first: it fails for a GPU without kernels before minutes are recorded.
    machine = describe_machine(gpu=options.gpu)
    try:
        work = gpu_work() if options.gpu else cpu_work()
        passes, slots, load = _recorded(work, options)
    except KeyboardInterrupt:
        slots = []
    if not slots:
        print("stopped before the first slot was over: nothing is written", file=sys.stderr)
        return 130
    where = f"{machine['device']}, {machine['cores']} cores, {machine['threads']} threads"
    trace = {
        "work": f"{passes} x {work.name}, {where}",
        "start_s_duration_s": slots,
        "machine": machine,
    }
    if load:
        trace["load"] = {"processes": load.processes, "start_s_end_s": load.spans}
    options.output.write_text(json.dumps(trace) + "\n", encoding="utf-8")
    durations = [duration for _, duration in slots]
    spread = statistics.pstdev(durations) / statistics.fmean(durations)
    print(
        f"{options.output}: {len(slots)} slots of {passes} x {work.name}, median"
        f" {statistics.median(durations):.4f} s, CV {spread:.1%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
