"""Calls of a pipeline that stop at the borders of their stages, so that several can take turns.

A call runs in a greenlet: it has a stack of its own, and stays in the thread that runs everything
else. In a thread of its own it would lack what libraries keep for each thread: the trees of CUDA
graphs that torch compiled, the handles of cuBLAS, the workers of OpenMP. What a call changes
outside of its frames is put aside whenever it stops: flags and generators of torch, and the
attributes of its pipeline and schedulers, of which every call has a set of its own.
"""

from __future__ import annotations

import copy
import hashlib
import time
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, greenlet

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.device.thread_state import ThreadState, is_casting
from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.model.stages import (
    CASTS,
    DECODING,
    LOOPS,
    TEXT_ENCODING,
    StageTime,
    find_stage,
)
from pytest_sdspeed.pipelines.parts import list_modules
from pytest_sdspeed.pipelines.recorded_calls import read_call
from pytest_sdspeed.pipelines.stages import replace_method, unwrap
from pytest_sdspeed.pipelines.units import find_kept, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_sdspeed.model import Case

_INTERRUPT = "_interrupt"
"""Attribute by which a pipeline of diffusers is told to pass over the steps that are left."""


class PipelineStages:
    """Calls one setup's pipeline by stages; see ``model.stages.Stages``.

    Args:
        pipeline: the pipeline.
        draw: draws one generation of a case with it.
        owner: what it belongs to, for messages.

    Attributes:
        casts: whether a border of its calls lies under autocast, as the last one showed.

    Raises:
        UnstageableError: nothing tells its denoising steps apart.
    """

    def __init__(self, pipeline: Any, draw: Callable[[Case], Any], owner: str) -> None:
        self._pipeline, self._draw, self._owner = pipeline, draw, owner
        self.casts = False
        if not find_schedulers(pipeline):
            raise UnstageableError(
                f"{owner}: {type(pipeline).__name__} has no scheduler, whose steps would tell its"
                " denoising steps apart"
            )

    @property
    def uneven(self) -> str:
        """Return why its denoising steps are of unlike cost, as far as that is known before."""
        return find_kept(self._pipeline)

    @property
    def alone(self) -> str:
        """Return why two calls of it cannot take turns, or ""."""
        if self.casts:
            return CASTS
        moved = [
            name
            for name, module in list_modules(self._pipeline).items()
            if getattr(unwrap(module), "_hf_hook", None) is not None
        ]
        return self.uneven or (f"its {moved[0]} is moved between devices" if moved else "")

    def call(self, case: Case, steps: int | None, number: int) -> PipelineCallByStages:
        """Begin a call, which has done nothing yet; see ``model.stages.Stages``.

        Raises:
            UnstageableError: another call must not come between its steps.
        """
        if number and self.alone:
            raise UnstageableError(f"two calls of {self._owner} cannot take turns: {self.alone}")
        return PipelineCallByStages(
            self._pipeline,
            lambda: self._draw(case),
            steps,
            owner=self._owner,
            note_casts=self._note_casts,
        )

    def _note_casts(self) -> None:
        self.casts = True


class PipelineCallByStages:
    """A call of a pipeline that may stop at the borders of its stages; see ``StagedCall``.

    Its first part goes up to the first call of a denoiser: what encodes texts and images, and draws
    the noise. A denoising step begins with the first call of a denoiser after a step of the
    scheduler, so that what the host does between two steps is part of the first one. The last part
    begins with decoding, and ends when the call returns.
    """

    def __init__(
        self,
        pipeline: Any,
        draw: Callable[[], Any],
        steps: int | None,
        *,
        owner: str,
        note_casts: Callable[[], None] = lambda: None,
    ) -> None:
        self._pipeline, self._steps, self._owner = pipeline, steps, owner
        self._attributes, self._note_casts = Attributes(pipeline), note_casts
        self._stage, self._begun = TEXT_ENCODING, 0
        self._stepped, self._ever_stepped = True, False
        self._work = hashlib.blake2b(digest_size=8)
        self._thread = ThreadState()
        self._wanted, self._start_s = 0, 0.0
        self._taken: list[StageTime] = []
        self._returned: Any = None
        self.done = False
        self._greenlet = greenlet(lambda: self._run(draw))

    @property
    def pictures(self) -> Any:
        """Return what the call returned; None while it has not."""
        return self._returned

    def take_turn(self, parts: int) -> list[StageTime]:
        """Go on over so many borders, or to the end, and time each part; see ``StagedCall``.

        Between two parts of a turn the call does not stop, so that a part begins with what the one
        before it left in the caches of the processor.
        """
        if not self._greenlet:
            # It would have none of the values that context variables have here.
            self._greenlet.gr_context = copy_context()
        self._wanted, self._taken = parts, []
        try:
            with self._move():
                self._begin_part()
                self._greenlet.switch()
                if self.done:
                    self._end_part()
            self._check()
        except BaseException:
            self.close()
            raise
        return self._taken

    def _begin_part(self) -> None:
        synchronize()
        self._start_s = time.perf_counter()

    def _end_part(self) -> None:
        synchronize()
        seconds = time.perf_counter() - self._start_s
        work, self._work = self._work.hexdigest(), hashlib.blake2b(digest_size=8)
        self._taken.append(StageTime(self._stage, seconds, work if self._stage in LOOPS else ""))

    def close(self) -> None:
        """Abandon the call, if it has not returned: its frames end, and what they hold is freed."""
        if self._greenlet and not self.done:
            self.done = True
            # What it raises on its way out is nobody's business.
            with suppress(Exception), self._move():
                self._greenlet.throw(GreenletExit)
        self.done = True
        self._thread.forget()

    def _check(self) -> None:
        """Check that a call which has returned has shown its denoising steps."""
        if self.done and not (self._begun and self._ever_stepped):
            unseen = "took a step of its scheduler" if self._begun else "called a known denoiser"
            raise UnstageableError(f"{self._owner}: its pipeline never {unseen}")

    @contextmanager
    def _move(self) -> Iterator[None]:
        """Have inside the block all that the call had when it stopped, and watch its borders."""
        with (
            self._thread.lend(self._owner, lambda: self.done),
            self._attributes.lend(),
            self._watch(),
        ):
            yield

    @contextmanager
    def _watch(self) -> Iterator[None]:
        """Watch the borders of the stages inside the block, while no other call runs."""
        with ExitStack() as held:
            for scheduler in find_schedulers(self._pipeline).values():
                held.enter_context(replace_method(scheduler, "step", self._note_steps))
            for name, module in list_modules(self._pipeline).items():
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
        """End a part before a call of a denoiser that begins a step."""
        if self._stepped or self._stage not in LOOPS:
            self._begun += 1
            # What it is asked for is read while the clock stands still.
            self._stop(stage, lambda: self._mark(name, args, kwargs))
        else:
            self._mark(name, args, kwargs)

    def _mark(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._work.update(repr((name, read_call(args, kwargs))).encode())

    def _note_steps(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Note steps of a scheduler; after the last one that is wanted, pass over the rest."""

        def note(*args: Any, **kwargs: Any) -> Any:
            found = step(*args, **kwargs)
            self._stepped = self._ever_stepped = True
            # A pipeline that heeds it has set it when its call began.
            heeds = vars(self._pipeline).get(_INTERRUPT) is False
            if heeds and self._steps is not None and self._begun >= self._steps:
                setattr(self._pipeline, _INTERRUPT, True)
            return found

        return note

    def _note_decoding(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        """End a part before decoding, once there is something to decode."""

        def note(*args: Any, **kwargs: Any) -> Any:
            if self._stepped and self._ever_stepped and self._stage in LOOPS:
                self._stop(DECODING)
            return decode(*args, **kwargs)

        return note

    def _stop(self, stage: str, mark: Callable[[], None] = lambda: None) -> None:
        """End a part, and stop if it was the last one of a turn; the next one is of that stage."""
        if self.done:
            # It was abandoned, and has caught what ended it.
            raise GreenletExit
        self._end_part()
        if is_casting():
            self._note_casts()
        mark()
        if len(self._taken) < self._wanted:
            self._begin_part()
        else:
            self._greenlet.parent.switch()
        self._stage, self._stepped = stage, False


class Attributes:
    """The attributes that a pipeline and its schedulers have for one of the calls that take turns.

    It begins with those that they have otherwise, its schedulers with copies. What refers to the
    pipeline, or has wrapped a method of a scheduler, finds the same objects for every call.

    Args:
        pipeline: the pipeline.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._own: list[tuple[Any, Mapping[str, Any]]] = []

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Give them to the pipeline and its schedulers inside the block."""
        owners = [owner for owner, _ in self._own] or [
            self._pipeline,
            *find_schedulers(self._pipeline).values(),
        ]
        before = _take(owners)
        if self._own:
            _give(self._own)
        else:
            memo = {id(owner): owner for owner in owners}
            _give([(owner, copy.deepcopy(vars(owner), memo)) for owner in owners[1:]])
        try:
            yield
        finally:
            self._own = _take(owners)
            _give(before)


def _take(owners: Iterable[Any]) -> list[tuple[Any, Mapping[str, Any]]]:
    return [(owner, dict(vars(owner))) for owner in owners]


def _give(attributes: Iterable[tuple[Any, Mapping[str, Any]]]) -> None:
    for owner, own in attributes:
        vars(owner).clear()
        vars(owner).update(own)


def find_schedulers(pipeline: Any) -> dict[str, Any]:
    """Find what steps in a pipeline, each once: name -> scheduler."""
    found: dict[str, Any] = {}
    for name, value in vars(pipeline).items():
        steps = callable(getattr(value, "step", None)) and hasattr(value, "set_timesteps")
        if steps and not any(value is known for known in found.values()):
            found[name] = value
    return found
