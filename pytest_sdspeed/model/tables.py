"""What tables hold: recipes, rows with what is documented, and the spread of recorded figures."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from pytest_sdspeed.model.unit import OF_CALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model.unit import Unit

DEFAULT_TOLERANCE = 0.05
SCHEDULERS = ("ddim", "pndm")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is generated.

    Attributes:
        model: hub id, local folder, or ``miniature``.
        prompt: the text to draw.
        height, width: size of the picture, in pixels.
        steps: denoising steps that the scheduler takes.
        scheduler: one of ``SCHEDULERS``, the name of a scheduler class of diffusers, or None for
            the model's own.
        images: pictures, or videos, per call.
        guidance: what the call gets as ``guidance_scale``, or None for the pipeline's default.
        dtype: floating-point type of the weights before any optimization, one of ``DTYPES``.
        repeats: number of calls that a documented latency sums up.
        student: hub id or folder whose UNet ``distilled_unet`` takes, or None.
        tiny_vae: hub id or folder of the autoencoder ``tiny_vae`` takes, or None.
        seed: seed of the initial latents.
        more_prompts: further texts, whose pictures are judged beside the prompt's; never timed.
        pipeline: name of the pipeline's class, or None for the one that the model's
            ``model_index.json`` names.
        frames: frames of a video, or None for pictures.
        call: further arguments of the pipeline's call, by name; builtins only.
        inputs: arguments of the call that get a seeded picture, mask or video, by name; those that
            the call cannot do without get one anyway.
        parts: role -> hub id or folder that an optimization takes a replacement or an addition
            from, such as ``lora``; ``student`` and ``tiny_vae`` are such roles, too.
        unit: what a latency is of.
    """

    model: str
    prompt: str
    height: int
    width: int
    steps: int
    scheduler: str | None
    images: int = 1
    guidance: float | None = 7.5
    dtype: str = "float32"
    repeats: int = 1
    student: str | None = None
    tiny_vae: str | None = None
    seed: int = 0
    more_prompts: tuple[str, ...] = ()
    pipeline: str | None = None
    frames: int | None = None
    call: Mapping[str, Any] = field(default_factory=dict, hash=False)
    inputs: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict, hash=False)
    unit: Unit = "call"

    @property
    def of_call(self) -> bool:
        """Tell whether its latencies are of whole calls, however they are measured."""
        return self.unit in OF_CALL

    @property
    def as_calls(self) -> Recipe:
        """Return the same work with latencies of calls that are measured as a whole."""
        return replace(self, unit="call") if self.of_call else self

    def part(self, role: str) -> str | None:
        """Return the model that something is taken from, or None if the recipe names none."""
        own = {"student": self.student, "tiny_vae": self.tiny_vae}
        return self.parts.get(role) or own.get(role)


RECIPE_DEFAULTS: Mapping[str, Any] = {
    one.name: {} if one.default is MISSING else one.default
    for one in fields(Recipe)
    if one.default is not MISSING or one.default_factory is not MISSING
}
"""Field of a recipe -> what it is if nothing else is said; those that must be there are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGate:
    """Bounds on a candidate's pictures against the baseline's of the same cases; None is no bound.

    Attributes:
        psnr: least peak signal-to-noise ratio, dB.
        ssim: least structural similarity, in [-1, 1].
        mae: greatest mean absolute difference, in units of the full range [0, 1].
        flip: greatest mean FLIP error, in [0, 1].
        clip_drop: most that the CLIP score (cosine of picture and prompt, [-1, 1]) may fall below
            the baseline's, averaged over the cases.
        temporal: of videos, greatest error of the motion from one frame to the next, as a share of
            the baseline's mean motion; 1 is what a frozen video gets.
        max_abs: of arrays that are no pictures, greatest absolute difference of a value.
        mean_abs: of such arrays, greatest mean absolute difference.
        cosine: of such arrays, least cosine similarity, in [-1, 1].
        further: bounds on registered metrics: name and bound of each, in order of the names.
    """

    psnr: float | None = None
    ssim: float | None = None
    mae: float | None = None
    flip: float | None = None
    clip_drop: float | None = None
    temporal: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    cosine: float | None = None
    further: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, bounds: Mapping[str, float | None]) -> ImageGate:
        """Make a gate of its bounds by name; those of no field are of registered metrics."""
        own = {name: bound for name, bound in bounds.items() if name in BOUNDS}
        further = {
            name: bound
            for name, bound in bounds.items()
            if name not in BOUNDS and bound is not None
        }
        return cls(**own, further=tuple(sorted(further.items())))

    @property
    def bounds(self) -> dict[str, float]:
        """Return the bounds by name, those that there are."""
        own = {name: getattr(self, name) for name in BOUNDS}
        known = {name: bound for name, bound in own.items() if bound is not None}
        return known | dict(self.further)


BOUNDS = tuple(one.name for one in fields(ImageGate) if one.name != "further")
"""Names of the bounds that need no registered metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the figures of a recorded row were spread.

    Attributes:
        blocks: number of blocks that they come from.
        low, high: interval of the speed-up; on a baseline row, that of the A/A control.
        sd: standard deviation of the blocks' log ratios.
        quartiles_s: lower quartile, median and upper quartile of the latency, seconds.
    """

    blocks: int
    low: float
    high: float
    sd: float
    quartiles_s: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """Figures that a source states of a row beside those that the row is held to.

    Nothing is gated by them: they are what the table is checked against.

    Attributes:
        where: where they stand: a column, the prose, another page of the same project.
        figures: name in ``STATED_FIGURES`` -> number.
        text: the figure as it is printed, if it is not a number; else "".
        written: see ``Row``.
    """

    where: str
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    text: str = ""
    written: Mapping[str, str] = field(default_factory=dict, compare=False)


STATED_FIGURES: Mapping[str, str] = {
    "latency_s": "seconds",
    "speedup": "latency ratio, baseline over this row",
    "saved_percent": "percent of the baseline's latency that is saved",
    "iterations_per_s": "steps of the denoising loop per second",
    "memory_gb": "peak of the allocated memory, units of 2**30 bytes",
    "load_gb": "memory after loading, units of 2**30 bytes",
    "tflops": "floating-point operations of a call, 10**12",
}
"""Figure that a source may state of a row -> what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setup of a table: what it stacks, and what it is documented to deliver.

    Attributes:
        setup: name of the setup, unique within the table.
        optimizations: labels of the stack (see ``StackEntry``), in the order they are applied.
        baseline: name of the row it is compared with; its own name on a baseline row.
        recipe: what is generated, always the recipe of its baseline.
        latency_s: documented latency, seconds, or None if only the ratio is documented.
        speedup: documented latency ratio, baseline over this row.
        tolerance: fraction of the speed-up that may be missing.
        tolerance_s: seconds by which it may take longer than the speed-up promises, or None.
        image: picture gate with the documented weights, or None.
        image_random: picture gate with random weights, or None.
        memory: greatest share of the baseline's peak memory, or None for no bound.
        iterations_per_s: documented steps of the denoising loop per second, or None.
        memory_gb: documented peak of the allocated memory, units of 2**30 bytes, or None.
        load_gb: documented memory after loading, units of 2**30 bytes, or None.
        compile_s: documented seconds of a first generation beyond a later one, or None.
        warm_compile_s: the same with a warm cache of the compiler in a new process, or None.
        first_s: documented seconds from the first import of a new process to its first picture, or
            None.
        slower: whether the row promises memory and costs time: its speed-up may be under 1.
        account: upper bounds on what a generation asks of a device, by their names in
            ``ACCOUNT_BOUNDS``; empty if there are none.
        notes: what the source leaves unclear.
        spread: how the figures were spread, or None if that is unknown.
        unsupported: why this project cannot build it (another engine, several GPUs), or "".
        tflops: documented floating-point operations of a call, 10**12, or None.
        gpus: GPUs that one generation ran on.
        stated: what else the source states of it.
        timings_s: published timings of single calls, seconds; empty if there are none.
        written: figure -> how the file has it, if that ends in zeros that the float has not: 1.50
            is more exact than 1.5.
    """

    setup: str
    optimizations: tuple[str, ...]
    baseline: str
    recipe: Recipe
    speedup: float
    latency_s: float | None = None
    tolerance: float = DEFAULT_TOLERANCE
    tolerance_s: float | None = None
    image: ImageGate | None = None
    image_random: ImageGate | None = None
    memory: float | None = None
    iterations_per_s: float | None = None
    memory_gb: float | None = None
    load_gb: float | None = None
    compile_s: float | None = None
    warm_compile_s: float | None = None
    first_s: float | None = None
    slower: bool = False
    account: Mapping[str, int] = field(default_factory=dict, hash=False)
    notes: str = ""
    spread: Spread | None = None
    unsupported: str = ""
    tflops: float | None = None
    gpus: int = 1
    stated: tuple[Stated, ...] = ()
    timings_s: tuple[float, ...] = ()
    written: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_baseline(self) -> bool:
        """Tell whether other rows are measured against this one."""
        return self.setup == self.baseline


ClaimKind = Literal[
    "faster", "slower", "less_memory", "parameters", "account", "comparable", "defaults"
]
CLAIM_KINDS: Mapping[ClaimKind, str] = {
    "faster": "the first row takes less time than each of the others",
    "slower": "the first row takes more time than each of the others",
    "less_memory": "the first row has a lower peak of memory than each of the others",
    "parameters": "the first row's models have fewer parameters than each of the others'",
    "account": "what the row asks of a device stays within bounds",
    "comparable": "the first row's pictures are within its bounds against the others'",
    "defaults": "settings of torch have these values when it is imported",
}
"""Kind of a claim -> what it says, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence of the source that compares.

    Attributes:
        text: the sentence, or what it says in other words.
        kind: what it compares.
        rows: setups of the table: the one that it is about, then those it is compared with; empty
            for ``defaults``.
        by: ``faster`` and ``slower``: least ratio of the latencies, above 1. ``less_memory`` and
            ``parameters``: greatest share that the first row has of the others'. None if the
            sentence only says that it is less or more.
        part: ``parameters``: role of the part that is counted, such as ``denoiser``; None for the
            whole pipeline.
        bounds: ``account``: upper bounds by their names in ``ACCOUNT_BOUNDS``.
        defaults: ``defaults``: dotted name in torch -> value.
        notes: what the source leaves unclear.
        written: see ``Row``.
    """

    text: str
    kind: ClaimKind
    rows: tuple[str, ...] = ()
    by: float | None = None
    part: str | None = None
    bounds: Mapping[str, int] = field(default_factory=dict, hash=False)
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    notes: str = ""
    written: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class CampaignKey:
    """The identity of a campaign.

    Attributes:
        table: name of the table, None for callables.
        device: device that the table is for, or that the campaign was measured on; "" for any.
        baseline: name of the baseline.
        own: test or row that has the campaign to itself, "" for a campaign that rows share.
    """

    table: str | None
    device: str
    baseline: str
    own: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A published set of setups with latencies and speed-ups.

    Attributes:
        name: name by which the marker selects it.
        title: one line that describes it.
        source: address of the publication.
        device: the device it was published for; ``cpu`` for any CPU.
        rows: at least one baseline and one row compared with it.
        notes: what the source leaves unclear.
        recorded: where and with what a recorded table was measured; empty for a documented one.
        path: the file it was read from.
        claims: sentences of the publication that compare.
    """

    name: str
    title: str
    source: str
    device: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    recorded: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    claims: tuple[Claim, ...] = ()

    @property
    def on_cpu(self) -> bool:
        """Tell whether the table is meant for a CPU, so that it runs without ``--sd-gpu``."""
        return self.device == "cpu" or self.recorded.get("kind") == "cpu"

    def row(self, setup: str) -> Row | None:
        """Return the row of a setup, or None."""
        return next((row for row in self.rows if row.setup == setup), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSetup:
    """A setup that is not a row of a table.

    Attributes:
        name: name of the setup; its fixture is ``sd_<name>``.
        optimizations: labels of the stack (see ``StackEntry``).
        recipe: what is generated, or None for the default table's recipe.
        doc: text that ``pytest --fixtures`` shows.
    """

    name: str
    optimizations: tuple[str, ...]
    recipe: Recipe | None = None
    doc: str = ""
