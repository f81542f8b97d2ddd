"""The stages of a generation: one set of words for all that time, count and show them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.model.results import Case

TEXT_ENCODING = "text_encoder"
IMAGE_ENCODING = "image_encoding"
PRIOR = "prior"
DENOISING = "denoising"
UPSAMPLING = "upsampling"
REFINING = "refining"
DECODING = "decoding"

STAGES = (
    TEXT_ENCODING,
    IMAGE_ENCODING,
    PRIOR,
    DENOISING,
    UPSAMPLING,
    REFINING,
    DECODING,
)
"""Names of stages as records keep them, in the order in which they run."""

LOOPS = frozenset({PRIOR, DENOISING, REFINING})
"""Stages in which a denoiser is called in a loop."""

DENOISER_NAMES = r"(unet|transformer|denoiser|dit|decoder)(_?\d+)?"
PRIOR_NAMES = r"(prior_)?prior(_?\d+)?"
TEXT_ENCODER_NAMES = r"(prior_)?text_encoder(_?\d+)?"
AUTOENCODER_NAMES = r"vae|vqvae|vqgan|movq"

_COMPONENTS = {
    REFINING: r"refiner\w*",
    UPSAMPLING: r"(\w+_)?(upsampler|upscaler)\w*|super_res_\w+",
    TEXT_ENCODING: rf"{TEXT_ENCODER_NAMES}|bert|mllm|language_model|projection_model|connectors"
    r"|text_proj(ection_model)?",
    IMAGE_ENCODING: r"(prior_)?image_encoder(_?\d+)?|vision_encoder|depth_estimator|qformer"
    r"|(t2i_)?adapter",
    PRIOR: PRIOR_NAMES,
    DENOISING: rf"{DENOISER_NAMES}|controlnet\w*|\w+_(unet|transformer)",
    DECODING: rf"{AUTOENCODER_NAMES}|\w+_vae|vae_\w+|autoencoder|vocoder",
}
"""Stage -> the names that pipelines give to the components that work in it; the first that fits
counts."""
_PATTERNS = {stage: re.compile(names) for stage, names in _COMPONENTS.items()}


CASTS = "torch keeps what autocast makes of weights for one call at a time"
"""Why no two calls under autocast can take turns."""


def find_stage(component: str, method: str) -> str | None:
    """Return the stage to which a call of a component belongs, or None if it is none.

    An autoencoder encodes the images that a pipeline is given, and decodes what it made.

    Args:
        component: name of the component in its pipeline, such as ``transformer_2``.
        method: name of the method that is called: ``forward``, ``encode``, ``decode``, ...
    """
    stage = next((stage for stage, names in _PATTERNS.items() if names.fullmatch(component)), None)
    return IMAGE_ENCODING if stage == DECODING and method == "encode" else stage


@dataclass(frozen=True, slots=True)
class Run:
    """Calls of one stage without a call of another one in between.

    Attributes:
        stage: name of the stage.
        start, end: when, or at which event, the first call began and the last one ended.
    """

    stage: str
    start: Any
    end: Any


def group_runs(runs: Iterable[Run]) -> Mapping[str, Sequence[Run]]:
    """Return the runs of each stage, in the order in which stages run; empty without a denoiser.

    What is encoded after the last denoiser, and decoded before its end, checks or steers what is
    drawn, and is in no stage. A prior that no other denoiser follows is the denoiser itself.

    Args:
        runs: in the order in which they ran.
    """
    found = list(runs)
    last = max((at for at, run in enumerate(found) if run.stage in LOOPS), default=-1)
    if not any(run.stage == DENOISING for run in found):
        found = [replace(run, stage=DENOISING) if run.stage == PRIOR else run for run in found]
    if not any(run.stage in LOOPS for run in found):
        return {}
    kept = [
        run
        for at, run in enumerate(found)
        if not (at > last and run.stage in (TEXT_ENCODING, IMAGE_ENCODING))
        and not (at < last and run.stage == DECODING)
    ]
    return {
        stage: [run for run in kept if run.stage == stage]
        for stage in STAGES
        if any(run.stage == stage for run in kept)
    }


def say_stage(name: str) -> str:
    """Return a stage's name as messages write it: ``text encoder``."""
    return name.replace("_", " ")


def order_stages(names: Iterable[str]) -> list[str]:
    """Return names of stages, each once, in the order in which they run; unknown ones last."""
    found = dict.fromkeys(names)
    return [
        *(stage for stage in STAGES if stage in found),
        *(stage for stage in found if stage not in STAGES),
    ]


class StageTime(NamedTuple):
    """One stage of a call, or one of its denoising steps, timed by itself.

    Attributes:
        stage: its name.
        seconds: how long it took, until the device had done it.
        work: what the denoisers were asked for in it, as a mark: equal marks are equal work as far
            as the shapes of calls tell; "" for another stage.
    """

    stage: str
    seconds: float
    work: str = ""

    @property
    def is_step(self) -> bool:
        """Tell whether it is a denoising step."""
        return self.stage in LOOPS


class StagedCall(Protocol):
    """A call that may stop at the borders of its stages, and goes on when it is asked to."""

    @property
    def pictures(self) -> Any:
        """What the call returned; None while it has not."""
        ...

    @property
    def done(self) -> bool:
        """Whether the call has returned."""
        ...

    def take_turn(self, parts: int) -> list[StageTime]:
        """Go on over so many borders, or to the end, and time each part.

        Args:
            parts: how many, 1 or more; fewer are returned if the call ends before.

        Raises:
            UnstageableError: this call cannot be stopped, or not be told apart into stages.
        """
        ...

    def close(self) -> None:
        """Abandon a call that has not returned."""
        ...


class Stages(Protocol):
    """What can call one setup by stages."""

    @property
    def uneven(self) -> str:
        """Why its denoising steps are of unlike cost, as far as it is known before; or ""."""
        ...

    @property
    def alone(self) -> str:
        """Why two calls of it cannot take turns, or ""."""
        ...

    @property
    def casts(self) -> bool:
        """Whether its calls are under autocast, as the last one showed; see ``CASTS``."""
        ...

    def call(self, case: Case, steps: int | None, number: int) -> StagedCall:
        """Begin a call, which has done nothing yet.

        Args:
            case: what it draws.
            steps: denoising steps after which it goes on to decoding; None for all of them.
            number: which of the calls that take turns; each has attributes of its own.
        """
        ...
