"""What one gate found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.costs import MEMORY_COSTS
from pytest_sdspeed.model.machine import is_another_device
from pytest_sdspeed.model.vocabulary import HOST_BOUND_UNDER, ImageVerdict, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model.history import History
    from pytest_sdspeed.model.pictures import Exhibit, MetricRange, SelfDifference
    from pytest_sdspeed.model.proofs import Proof
    from pytest_sdspeed.model.tables import Recipe


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """What one generation draws.

    Attributes:
        seed: seed of the initial latents.
        prompt: the text, or "" for the recipe's own.
        steps: denoising steps, or 0 for the recipe's own.
    """

    seed: int
    prompt: str = ""
    steps: int = 0

    def __str__(self) -> str:
        """Return ``seed 1``, or ``seed 1, 'a golden vase'``, or ``seed 1, 5 steps``."""
        prompt = f", {self.prompt!r}" if self.prompt else ""
        return f"seed {self.seed}{prompt}{f', {self.steps} steps' if self.steps else ''}"


_READABLE = 1e5
"""Figures beyond it are shown by their power of ten."""


def _spec_for(figure: float, spec: str) -> str:
    return spec if figure < _READABLE else ".0e"


@dataclass(frozen=True, slots=True)
class Interval:
    """A speed-up with its confidence interval, all as ratios (1.0 is no change)."""

    speedup: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``x1.28 [1.27, 1.29]``, with ``?`` for what is unknown (NaN)."""
        return format(self)

    def __format__(self, spec: str) -> str:
        """Format every figure by ``spec``; by ``.2f`` if it is empty.

        Few noisy blocks have ends with hundreds of digits, which say no more than ``1e+21``.
        """
        speedup, low, high = (
            "?" if math.isnan(figure) else format(figure, _spec_for(figure, spec or ".2f"))
            for figure in (self.speedup, self.low, self.high)
        )
        return f"x{speedup} [{low}, {high}]"

    @property
    def excludes_one(self) -> bool:
        """Tell whether "no change" lies outside."""
        return self.low > 1.0 or self.high < 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What a result was compared with if that is another version of the same setup.

    Attributes:
        spec: what ``--sd-against`` was given.
        label: what a reader calls that side.
        versions: package -> version, on that side.
        stages: stage -> latency over that side's, 1.05 for 5% slower; empty if stage times are
            unknown.
        identical: whether both sides drew the same bits, or None if one drew nothing.
        turns: generations that a slot is the median of, taken in turns.
        process_control: that side over another process of the same side, or None if that was not
            measured.
    """

    spec: str
    label: str
    versions: Mapping[str, str]
    stages: Mapping[str, float]
    identical: bool | None
    turns: int = 1
    process_control: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResults:
    """What was measured of each stage.

    Attributes:
        steps: denoising steps of a whole call; sampled_steps: how many of them were measured of
            each call, the first ones; why_all: why it was all of them, or "".
        ratios: stage -> the baseline's time over the candidate's, with an interval; those of all
            stages hold together, but for a stage with a verdict: its interval is that of its look.
        verdicts: stage -> ``pass``, ``fail`` or ``inconclusive``, of the stages that are held to a
            floor; empty for a row that is held as a whole.
        floor: least ratio of a stage that is held, or None.
        latencies_s: stage -> medians of the candidate and of its baseline, seconds of a whole call.
        whole_s: medians of whole calls of the candidate and of its baseline after the blocks,
            seconds; empty if there were none.
        unowned: by which fraction these took more than the sum of the stages, likewise.
    """

    steps: int
    sampled_steps: int
    why_all: str = ""
    ratios: Mapping[str, Interval] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    floor: float | None = None
    latencies_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    whole_s: Sequence[float] = ()
    unowned: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a rehearsal found in the place of times.

    Attributes:
        drawn_s: seconds that the row took to draw its cases, NaN if it did not.
        nearest: the other case of what it is compared with whose picture is closest to that of the
            main case, in words; "" if it is compared with nothing.
    """

    drawn_s: float
    nearest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one ``sd_latency`` call found.

    Attributes:
        table, setup, baseline: names; ``table`` is None when callables were measured.
        device: the device it was measured on; documented_on: the device of the table that the
            expectation comes from, or None.
        recorded_in: the file of that table if it is a recorded one; None if it is documented.
        speedup, low, high: baseline latency over candidate latency, with its interval.
        expected: the documented (or marked) speed-up; tolerance: the fraction that may be missing;
            tolerance_s: seconds by which it may take longer than that speed-up promises, or None;
            floor: expected x (1 - tolerance), or less if the seconds allow more.
        verdict: verdict on speed and pictures together; image_verdict: verdict on the pictures
            alone, None if they were not judged.
        blocks: blocks measured for this row.
        latency_s, baseline_latency_s: medians over the slots, seconds.
        samples_s: arm -> [first, second] slot of every block, seconds.
        image: picture metric -> value; images: the candidate's pictures, or the frames of its
            videos, float32 (N, H, W, 3) in [0, 1]; None for arrays that are no pictures. Those that
            take more than 64 MiB behave as such an array, and are converted when they are used.
        image_ranges: picture metric -> its values over cases and slots, of which ``image`` has the
            worst; empty if nothing was compared.
        self_difference: how much the candidate's pictures differ between its own slots;
            baseline_self_difference: the same of the baseline. None if it drew no picture.
        reasons: why the verdict is what it is, in words.
        raised: what the row raised after its first blocks, or None.
        biased: whether the bias that the A/A control shows could turn the verdict on its speed,
            which makes it invalid; None if that is unknown.
        slow_pairs: arm -> how many of its pairs of slots have one that is much slower than the
            other, and how many pairs it has; empty if that is unknown, or for a baseline.
        control: the A/A control's interval, or None if it could not be formed.
        planned_blocks: what the budget allowed, fixed before the first look; resolves: how far from
            its floor a speed-up must be for them to decide it at this noise, as a fraction; None
            for a baseline and if they bring no look.
        recipe: what was generated, or None for callables.
        versions: package or driver -> version.
        weights: ``pretrained``, ``random``, ``tiny`` or ``embedded``, or None for callables.
        peak_memory_bytes: most memory that one generation needed, bytes, or None if the platform
            does not tell.
        stages_s: stage -> seconds of one generation, or None if they are unknown.
        peak_reserved_bytes: most memory that torch had taken from the device for it, bytes, with
            what it keeps for later; None if that is unknown, as on a CPU or for callables.
        load_memory_bytes, load_reserved_bytes: memory that the loaded weights take on the device,
            and what torch has taken from it for them; None if unknown.
        memory_share: peak memory over the baseline's, None if one of them is unknown or only a
            lower bound; memory_bound: the largest share that is documented, or None.
        iterations_per_s: denoising steps a second of the denoising loop, or None if unknown.
        first_s: seconds from the first import of a new process to its first picture; None unless
            the table has a bound on a start.
        compile_s: seconds of a first generation beyond a later one, in a new process with an empty
            cache of the compiler if the table has a bound on a start, else in this one; None if
            nothing was compiled. warm_compile_s: the same in a new process with a warm cache.
        recompilations: graphs that torch compiled in a second generation, of the same sizes; None
            if nothing was compiled, or if that is unknown.
        documented_costs: figure -> what the table documents of it, of those from
            ``peak_memory_bytes`` to ``recompilations``; cost_bounds: figure -> the most that
            passes.
        telemetry: how the device was used and what it said of itself: see ``judge.rates`` and
            ``measure.telemetry.summarize_telemetry``. None if nothing is known.
        exhibits: pictures to look at, a few of each case.
        starts_s: arm -> when each of ``samples_s`` began, seconds into the timed part; empty if
            that is not known.
        notes: what else the reader should know, in words.
        canary_s: operation -> how long the device took for it before and after the timed part,
            seconds; empty if it was not timed.
        against: the other version, if two are compared; ``baseline`` is then the same setup of
            that side.
        history: history of the row up to this run; None if it was not asked for. It is not stored.
        confirmation: the stored form of the run in the other process: of the first one if the
            second passed, else of the second; None if there was but one. ``images``,
            ``exhibits`` and ``control`` are the first's in any case.
        optimizations, baseline_optimizations: names of the stacks of the setup and of its baseline,
            in order; None for callables, or if they are unknown.
        revision: tells the weights of its models apart, as ``model@1a2b3c``; None if they are not
            known.
        test: id of the test that asked, or None if that is unknown.
        rehearsal: what a rehearsal found; nothing was timed then, and every time and ratio is NaN.
            None if the row was measured.
        by_stage: what was measured of each stage; None if slots were whole calls.
        proofs, baseline_proofs: what was seen of the optimizations of the setup and of its baseline
            in a generation before the blocks; empty if they have nothing to show it by.
    """

    table: str | None
    setup: str
    baseline: str
    device: str
    documented_on: str | None
    speedup: float
    low: float
    high: float
    expected: float
    tolerance: float
    floor: float
    verdict: Verdict
    image_verdict: ImageVerdict | None
    blocks: int
    latency_s: float
    baseline_latency_s: float
    samples_s: Mapping[str, Sequence[Sequence[float]]]
    image: Mapping[str, float]
    images: Any
    reasons: tuple[str, ...]
    control: Interval | None
    recipe: Recipe | None
    versions: Mapping[str, str]
    planned_blocks: int | None = None
    resolves: float | None = None
    weights: str | None = None
    peak_memory_bytes: int | None = None
    memory_share: float | None = None
    memory_bound: float | None = None
    stages_s: Mapping[str, float] | None = None
    telemetry: Mapping[str, Any] | None = None
    exhibits: Sequence[Exhibit] = ()
    starts_s: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    canary_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    against: Against | None = None
    history: History | None = None
    confirmation: Mapping[str, Any] | None = None
    recorded_in: str | None = None
    raised: str | None = None
    image_ranges: Mapping[str, MetricRange] = field(default_factory=dict)
    self_difference: SelfDifference | None = None
    baseline_self_difference: SelfDifference | None = None
    biased: bool | None = None
    slow_pairs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    optimizations: tuple[str, ...] | None = None
    baseline_optimizations: tuple[str, ...] | None = None
    revision: str | None = None
    tolerance_s: float | None = None
    test: str | None = None
    peak_reserved_bytes: int | None = None
    load_memory_bytes: int | None = None
    load_reserved_bytes: int | None = None
    iterations_per_s: float | None = None
    first_s: float | None = None
    compile_s: float | None = None
    warm_compile_s: float | None = None
    recompilations: int | None = None
    documented_costs: Mapping[str, float] = field(default_factory=dict)
    cost_bounds: Mapping[str, float] = field(default_factory=dict)
    proofs: tuple[Proof, ...] = ()
    baseline_proofs: tuple[Proof, ...] = ()
    rehearsal: Rehearsal | None = None
    by_stage: StageResults | None = None

    @property
    def name(self) -> str:
        """Return what a reader calls it: its setup; for callables, whose names recur, its test too.

        ``fp16``, ``candidate of test_engine.py::test_size[768]``.
        """
        return self.setup if self.table or not self.test else f"{self.setup} of {self.test}"

    @property
    def interval(self) -> Interval:
        """Return the speed-up with its interval."""
        return Interval(self.speedup, self.low, self.high)

    @property
    def margin(self) -> float:
        """Return the fraction of the speed-up that may be missing, by both tolerances."""
        return 1 - self.floor / self.expected

    @property
    def is_baseline(self) -> bool:
        """Tell whether this is the baseline itself, which no gate holds."""
        return self.setup == self.baseline

    @property
    def without_effect(self) -> bool:
        """Tell whether an optimization, or the baseline's, was not seen to act.

        It is invalid then, and no block of it was timed.
        """
        findings = (one.finding for one in (*self.proofs, *self.baseline_proofs))
        return not all(one.acted or one.excused for one in findings)

    @property
    def too_slow(self) -> bool:
        """Tell whether it failed on its speed alone.

        Its pictures, its memory and its starts hold, and it did not raise.
        """
        return (
            self.verdict == "fail"
            and self.image_verdict != "fail"
            and self.raised is None
            and not self.too_large
            and not self.exceeded
        )

    @property
    def too_large(self) -> bool:
        """Tell whether it needs more memory than documented."""
        over = (
            self.memory_bound is not None
            and self.memory_share is not None
            and self.memory_share > self.memory_bound
        )
        return over or any(figure in MEMORY_COSTS for figure in self.exceeded)

    @property
    def exceeded(self) -> tuple[str, ...]:
        """Name the figures of its costs that are over their bounds, judged or not."""
        known = {name: getattr(self, name) for name in self.cost_bounds}
        return tuple(
            name
            for name, value in known.items()
            if value is not None and value > self.cost_bounds[name]
        )

    @property
    def host_bound(self) -> bool:
        """Tell whether the GPU waited for its host for a good part of the time."""
        busy = (self.telemetry or {}).get("busy_share")
        return busy is not None and busy < HOST_BOUND_UNDER

    @property
    def held_to_another_device(self) -> bool:
        """Tell whether the expectation comes from another device.

        ``NVIDIA A100`` is any A100, but no MIG slice of one, and ``cpu`` any CPU.
        """
        return is_another_device(self.device, self.documented_on)
