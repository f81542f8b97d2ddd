"""Calls of a pipeline that stop at the borders of their stages, so that several can take turns.

A call runs in a greenlet: it has a stack of its own, and stays in the thread that runs everything
else. In a thread of its own it would lack what libraries keep for each thread: the trees of CUDA
graphs that torch compiled, the handles of cuBLAS, the workers of OpenMP. What torch keeps for each
thread, and a call changes (gradients, autocast), is put back whenever a call stops.
"""

from __future__ import annotations

import copy
import hashlib
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, greenlet

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.device.thread_state import ThreadState
from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.model.stages import (
    DECODING,
    LOOPS,
    TEXT_ENCODING,
    StageTime,
    find_stage,
)
from pytest_sdspeed.pipelines.parts import list_modules
from pytest_sdspeed.pipelines.recorded_calls import read_call
from pytest_sdspeed.pipelines.stages import replace_method, unwrap
from pytest_sdspeed.pipelines.units import find_denoisers, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_sdspeed.model import Case

_INTERRUPT = "_interrupt"
"""Attribute by which a pipeline of diffusers is told to pass over the steps that are left."""


class PipelineStages:
    """Calls one setup's pipeline by stages; see ``model.stages.Stages``.

    Args:
        pipeline: the pipeline.
        draw: draws one generation of a case with the pipeline that it is given.
        owner: what it belongs to, for messages.
        kind: kind of the device.

    Raises:
        UnstageableError: nothing tells its denoising steps apart.
    """

    def __init__(
        self, pipeline: Any, draw: Callable[[Case, Any], Any], owner: str, kind: str
    ) -> None:
        self._pipeline, self._draw = pipeline, draw
        self._owner, self._kind = owner, kind
        self._twins: dict[int, Any] = {}
        if not find_schedulers(pipeline):
            raise UnstageableError(
                f"{owner}: {type(pipeline).__name__} has no scheduler, whose steps would tell its"
                " denoising steps apart"
            )

    @property
    def uneven(self) -> str:
        """Return why its denoising steps are of unlike cost, as far as that is known before."""
        return find_kept(self._pipeline)

    def call(self, case: Case, steps: int | None, number: int) -> PipelineCallByStages:
        """Begin a call, which has done nothing yet; see ``model.stages.Stages``.

        Raises:
            UnstageableError: another call must not come between its steps.
        """
        kept = self.uneven
        if kept and number:
            raise UnstageableError(f"two calls of {self._owner} cannot take turns: {kept}")
        twin = self._twins.setdefault(number, copy_pipeline(self._pipeline))
        return PipelineCallByStages(
            twin, lambda: self._draw(case, twin), steps, self._owner, self._kind
        )


class PipelineCallByStages:
    """A call of a pipeline that stops at the borders of its stages; see ``StagedCall``.

    Its first part goes up to the first call of a denoiser: what encodes texts and images, and draws
    the noise. A denoising step begins with the first call of a denoiser after a step of the
    scheduler, so that what the host does between two steps is part of the first one. The last part
    begins with decoding, and ends when the call returns.
    """

    def __init__(
        self, pipeline: Any, draw: Callable[[], Any], steps: int | None, owner: str, kind: str
    ) -> None:
        self._pipeline, self._steps, self._owner = pipeline, steps, owner
        self._stage, self._stepped, self._taken = TEXT_ENCODING, True, 0
        self._work = hashlib.blake2b(digest_size=8)
        self._thread = ThreadState(kind)
        self._modules = list_modules(pipeline)
        self._returned: Any = None
        self.done = False
        self._greenlet = greenlet(lambda: self._run(draw))

    @property
    def pictures(self) -> Any:
        """Return what the call returned; None while it has not."""
        return self._returned

    def advance(self) -> StageTime:
        """Go on to the next border, or to the end, and time it; see ``StagedCall``."""
        try:
            with self._watch(), self._thread.lend(self._owner):
                synchronize()
                start = time.perf_counter()
                self._greenlet.switch()
                synchronize()
                seconds = time.perf_counter() - start
        except UnstageableError:
            # It stopped inside of a mode of torch, and has to leave it before anybody else does.
            self._leave()
            raise
        if self.done and not self._taken:
            raise UnstageableError(f"{self._owner}: its pipeline took no denoising step")
        work, self._work = self._work.hexdigest(), hashlib.blake2b(digest_size=8)
        return StageTime(self._stage, seconds, work if self._stage in LOOPS else "")

    def close(self) -> None:
        """Abandon the call, if it has not returned: its frames end, and what they hold is freed."""
        if self._greenlet and not self.done:
            with self._watch(), self._thread.lend(self._owner):
                self._leave()

    def _leave(self) -> None:
        """End the frames of the call, if there are any."""
        self.done = True
        if self._greenlet:
            self._greenlet.throw(GreenletExit)

    @contextmanager
    def _watch(self) -> Iterator[None]:
        """Watch the borders of the stages inside the block, while no other call runs."""
        with ExitStack() as held:
            for scheduler in find_schedulers(self._pipeline).values():
                held.enter_context(replace_method(scheduler, "step", self._note_steps))
            for name, module in self._modules.items():
                stage = find_stage(name, "forward")
                if stage in LOOPS:
                    begins = partial(self._note_denoiser, name, stage)
                    held.enter_context(watch_calls(module, begins))
                elif stage == DECODING and callable(getattr(unwrap(module), "decode", None)):
                    held.enter_context(
                        replace_method(unwrap(module), "decode", self._note_decoding)
                    )
            yield

    def _run(self, draw: Callable[[], Any]) -> None:
        self._returned = draw()
        self.done = True

    def _note_denoiser(
        self, name: str, stage: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Stop before a call of a denoiser that begins a step."""
        if self._stepped:
            self._stop(stage)
        self._work.update(repr((name, read_call(args, kwargs))).encode())

    def _note_steps(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Note steps of a scheduler; after the last one that is wanted, pass over the rest."""

        def note(*args: Any, **kwargs: Any) -> Any:
            found = step(*args, **kwargs)
            self._stepped = True
            self._taken += 1
            if self._steps is not None and self._taken >= self._steps:
                setattr(self._pipeline, _INTERRUPT, True)
            return found

        return note

    def _note_decoding(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        """Stop before decoding, once there is something to decode."""

        def note(*args: Any, **kwargs: Any) -> Any:
            if self._stepped and self._taken and self._stage in LOOPS:
                self._stop(DECODING)
            return decode(*args, **kwargs)

        return note

    def _stop(self, stage: str) -> None:
        self._greenlet.parent.switch()
        self._stage, self._stepped = stage, False


def copy_pipeline(pipeline: Any) -> Any:
    """Return a pipeline with the same modules, and with state and schedulers of its own."""
    twin = copy.copy(pipeline)
    vars(twin).update(
        {name: copy.deepcopy(scheduler) for name, scheduler in find_schedulers(pipeline).items()}
    )
    return twin


def find_schedulers(pipeline: Any) -> dict[str, Any]:
    """Find what steps in a pipeline: name -> scheduler."""
    return {
        name: value
        for name, value in vars(pipeline).items()
        if callable(getattr(value, "step", None)) and hasattr(value, "set_timesteps")
    }


def find_kept(pipeline: Any) -> str:
    """Say what a pipeline's denoisers keep of a step for the next ones, or return ""."""
    deep = hasattr(pipeline, "deep_cache_helper")
    for name, wrapped in find_denoisers(pipeline).items():
        module = unwrap(wrapped)
        kept = getattr(module, "is_cache_enabled", False) or getattr(module, "interval", 1) > 1
        if deep or kept:
            return f"its {name} keeps what it computed for its next calls"
    return ""
