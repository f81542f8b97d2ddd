"""A call by stages in a thread of its own, which runs while it holds the baton."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime
from pytest_sdspeed.pipelines.stages import replace_method
from pytest_sdspeed.pipelines.units import find_denoisers, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class ThreadedCall:
    """A call of a pipeline that stops at its denoising steps and before decoding.

    Args:
        pipeline: the pipeline, of which no other call goes on meanwhile.
        draw: draws with it.
        steps: denoising steps after which it goes on to decoding; None for all.
    """

    def __init__(self, pipeline: Any, draw: Callable[[], Any], steps: int | None) -> None:
        self._pipeline, self._draw, self._steps = pipeline, draw, steps
        self._stage, self._stepped, self._taken = TEXT_ENCODING, True, 0
        self._go, self._back = threading.Event(), threading.Event()
        self._threads = torch.get_num_threads()
        self._error: BaseException | None = None
        self.pictures: Any = None
        self.done = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def advance(self) -> StageTime:
        """Give the baton to the call, and time it until it comes back."""
        with self._watch():
            synchronize()
            start = time.perf_counter()
            stage = self._pass()
            synchronize()
            seconds = time.perf_counter() - start
        if self._error is not None:
            raise self._error
        return StageTime(stage, seconds)

    def take_turn(self, parts: int) -> list[StageTime]:
        """Advance over so many parts, or to the end."""
        taken: list[StageTime] = []
        while len(taken) < parts and not self.done:
            taken.append(self.advance())
        return taken

    def close(self) -> None:
        """Run to the end."""
        while not self.done:
            self.advance()

    def _pass(self) -> str:
        self._back.clear()
        self._go.set()
        self._back.wait()
        return self._ran

    def _run(self) -> None:
        self._go.wait()
        self._go.clear()
        # The number of threads, as much else, belongs to a thread.
        torch.set_num_threads(self._threads)
        try:
            self.pictures = self._draw()
        except BaseException as error:  # noqa: BLE001 - raised again where the call is advanced
            self._error = error
        self.done, self._ran = True, self._stage
        self._back.set()

    def _stop(self, stage: str) -> None:
        self._ran = self._stage
        self._back.set()
        self._go.wait()
        self._go.clear()
        self._stage, self._stepped = stage, False

    @contextmanager
    def _watch(self) -> Iterator[None]:
        with ExitStack() as held:
            for module in find_denoisers(self._pipeline).values():
                held.enter_context(watch_calls(module, self._note_denoiser))
            held.enter_context(replace_method(self._pipeline.scheduler, "step", self._note_steps))
            held.enter_context(replace_method(self._pipeline.vae, "decode", self._note_decoding))
            yield

    def _note_denoiser(self, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        if self._stepped:
            self._stop(DENOISING)

    def _note_steps(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            found = step(*args, **kwargs)
            self._stepped = True
            self._taken += 1
            if self._steps is not None and self._taken >= self._steps:
                self._pipeline._interrupt = True  # noqa: SLF001 - as the package does
            return found

        return note

    def _note_decoding(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            if self._stage == DENOISING:
                self._stop(DECODING)
            return decode(*args, **kwargs)

        return note
