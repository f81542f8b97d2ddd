"""One generation of a pipeline, in which every optimization of its stack shows that it acts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import OutOfMemoryError, SdSpeedError, explain, read_first_line
from pytest_sdspeed.model import Finding, Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pytest_sdspeed.pipelines.optimization import Optimization


def prove_stack(
    stack: Sequence[Optimization], pipeline: Any, draw: Callable[[], object]
) -> tuple[Proof, ...]:
    """Generate once with the ``prove`` context of every optimization open.

    The optimizations are asked once all of these contexts are closed, so that what was recorded in
    one of them is whole.

    Args:
        stack: optimizations in order; those without ``prove`` are passed over.
        pipeline: the finished pipeline.
        draw: generates once.

    Returns:
        What was found, in order. A ``prove`` that raises, or a generation that does so with it, is
        found not to tell anything.

    Raises:
        SdSpeedError: the generation raised this, or did not fit into memory.
    """
    questions = [_Question(part) for part in stack if part.prove is not None]
    try:
        with ExitStack() as held:
            for question in questions:
                question.open(pipeline)
                held.push(question.close)
            draw()
    except Exception as error:  # noqa: BLE001 - the proofs are what this generation differs by
        told = explain("the generation that was to show it", error)
        if isinstance(error, SdSpeedError) or isinstance(told, OutOfMemoryError):
            raise told from None
        return tuple(Proof(one.label, Finding(None, str(told))) for one in questions)
    return tuple(Proof(question.label, question.ask()) for question in questions)


class _Question:
    """Whether one optimization acts.

    Args:
        optimization: it has ``prove``.
    """

    def __init__(self, optimization: Optimization) -> None:
        self.label = optimization.label
        self._optimization, self._held = optimization, ExitStack()
        self._answer: Callable[[], Finding] = _answer_nothing
        self._problem = ""

    def open(self, pipeline: Any) -> None:
        """Enter its context, if it can be entered."""
        part = self._optimization
        try:
            assert part.prove is not None  # noqa: S101 - those without are passed over
            self._answer = self._held.enter_context(part.prove(pipeline, **part.options))
        except Exception as error:  # noqa: BLE001 - a proof is anybody's code
            self._problem = _describe("its proof", error)

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave its context, and swallow nothing that the generation raised."""
        try:
            self._held.__exit__(kind, error, traceback)
        except Exception as raised:  # noqa: BLE001 - as above
            if raised is not error:
                self._problem = self._problem or _describe("its proof", raised)

    def ask(self) -> Finding:
        """Return what it found; that it cannot be told if its proof broke or answers otherwise."""
        if self._problem:
            return Finding(None, self._problem)
        try:
            found = self._answer()
            if not isinstance(found, Finding):
                return Finding(None, f"its proof answers {found!r:.100}, which is no Finding")
            acted = None if found.acted is None else bool(found.acted)
            return replace(found, acted=acted, text=str(found.text))
        except Exception as error:  # noqa: BLE001 - as above
            return Finding(None, _describe("its proof", error))


def _answer_nothing() -> Finding:
    """Tell nothing, as long as no proof has begun."""
    return Finding(None, "its proof did not begin")


def _describe(what: str, error: Exception) -> str:
    return f"{what} raised {type(error).__name__}: {read_first_line(error, 'no message')[:300]}"
