"""What arms return, looked at right after each slot, and kept by value.

Nothing that an arm returned is read after another arm ran: the next generation may write into the
same memory (static buffers of CUDA graphs, pinned or shared memory, an image changed in place).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import PictureError, explain
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.self_difference import measure_distance
from pytest_sdspeed.judge.pictures.slots import NOTHING, UNREADABLE, ArmPictures, SlotLook

if TYPE_CHECKING:
    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import Case

MOST_OUTPUTS = 4
"""Distinct outputs that are kept of an arm and case: the first one, and those that differ most."""

MOST_BYTES = 64 * 2**20
"""Bytes that the outputs which differ from the first may take, of an arm and case. The one that
differs most is kept whatever it takes, so that no more than two large ones are."""

_GRAVITY = ("not finite", "black", "zero", "constant")
"""The words of ``Output.defects``, the gravest first."""


class PictureLog:
    """Looks at what the slots of one arm return."""

    def __init__(self) -> None:
        self._looks: list[SlotLook] = []
        self._kept: dict[Case, _KeptOutputs] = {}
        self._nothing: dict[Case, SlotLook] = {}

    def look(self, case: Case, returned: Any) -> None:
        """Look at what a slot returned, which may change as soon as another arm runs.

        Never raises: what cannot be read is a finding of its own.

        Args:
            case: what was drawn.
            returned: whatever the arm returned; or what another process kept of it, an ``Output``
                or the ``PictureError`` that it is none.
        """
        try:
            look = self._see(case, returned)
        except PictureError as error:
            look = SlotLook(case, UNREADABLE, (str(error),))
        except Exception as error:  # noqa: BLE001 - an object of a user's may raise anything when it is read
            told = f"returned what cannot be read: {explain('it', error)}"
            look = SlotLook(case, UNREADABLE, (told,))
        self._looks.append(look)

    def close(self) -> ArmPictures:
        """Return what was seen and kept."""
        return ArmPictures(
            tuple(self._looks), {case: kept.outputs for case, kept in self._kept.items()}
        )

    def _see(self, case: Case, returned: Any) -> SlotLook:
        if isinstance(returned, PictureError):
            raise returned
        output = keep(returned)
        if output is None:
            # One object for all: campaigns of short calls have tens of thousands of slots.
            return self._nothing.setdefault(case, SlotLook(case, NOTHING))
        return self._kept.setdefault(case, _KeptOutputs()).add(case, output)


class _KeptOutputs:
    """The outputs that are kept of one arm and case."""

    def __init__(self) -> None:
        self._first: tuple[Output, SlotLook] | None = None
        self._others: list[tuple[float, Output]] = []

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return the first, and those that differ from it, the most different first."""
        first = (self._first[0],) if self._first else ()
        return (*first, *(output for _, output in self._others))

    def add(self, case: Case, output: Output) -> SlotLook:
        """Compare an output with those before it, and keep it if it adds to them."""
        if self._first and output.equals(self._first[0]):
            return self._first[1]
        look = _describe(case, output)
        if self._first is None or (self._first[1].word and not look.word):
            self._first = output, look
            return look
        first, seen = self._first
        if look.word or look.form != seen.form:
            return look
        if not any(output.equals(other) for _, other in self._others):
            self._keep(measure_distance(output, first), output)
        return replace(look, differs=True)

    def _keep(self, distance: float, output: Output) -> None:
        """Keep one more, and let go of those that differ least if they become too many."""
        # The one that came first wins if two differ as much.
        ranked = sorted([*self._others, (distance, output)], key=lambda entry: -entry[0])
        sizes = accumulate(other.nbytes for _, other in ranked)
        self._others = [
            entry
            for place, (entry, taken) in enumerate(zip(ranked, sizes, strict=True), start=1)
            if place == 1 or (place < MOST_OUTPUTS and taken <= MOST_BYTES)
        ]


def _describe(case: Case, output: Output) -> SlotLook:
    defects = output.defects()
    word = min((defect.partition(":")[0] for defect in defects), key=_GRAVITY.index, default="")
    size = "x".join(map(str, output.size))
    return SlotLook(case, word, defects, form=f"{output.kind} of shape {size}")
