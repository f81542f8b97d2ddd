"""What was asked of the counting device so far, event by event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_sdspeed.dry.callers import find_caller
from pytest_sdspeed.dry.tensors import Token

if TYPE_CHECKING:
    from pytest_sdspeed.dry.callers import Caller
    from pytest_sdspeed.model.accounts import PlaceKind

Mark = Literal["schedule", "step"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the device: its name, the type of its results, and its size.

    Attributes:
        name: as torch calls it.
        dtype: type of its results.
        flops: floating-point operations.
        bytes_moved: bytes that it reads and writes.
        cast: whether it changes the type of a tensor.
    """

    name: str
    dtype: str
    flops: int
    bytes_moved: int
    cast: bool = False


@dataclass(frozen=True, slots=True)
class Visible:
    """Something that the host sees of the device: a sync, or a copy between the two."""

    kind: PlaceKind
    caller: Caller


class Ledger:
    """Writes down what the counting device is asked for.

    Attributes:
        events: operations, syncs and copies in order.
        peaks: most bytes that were held since the event before, for each event.
        marks: index of the event that follows -> what the denoising loop did there: a scheduler, by
            its identity, was given a schedule, or finished a step.
        spans: (part of the pipeline, index of its first event, index after its last) of each call.
        notes: what a real device may do otherwise.
        captured: whether a CUDA graph was captured, which belongs to a warm-up.
        held: bytes that are held on the device now; most_held: most since ``restart``.
    """

    def __init__(self) -> None:
        self.events: list[Operation | Visible] = []
        self.peaks: list[int] = []
        self.marks: list[tuple[int, Mark, int]] = []
        self.spans: list[tuple[str, int, int]] = []
        self.notes: dict[str, None] = {}
        self.captured = False
        self.held = self.most_held = self._window = 0
        self._users: dict[int, int] = {}
        self._known: dict[Operation, Operation] = {}

    def restart(self) -> None:
        """Forget what happened so far; what is held on the device stays held."""
        for events in (self.events, self.peaks, self.marks, self.spans):
            events.clear()
        self.notes.clear()
        self.captured = False
        self.most_held = self._window = self.held

    def add(self, operation: Operation) -> None:
        """Write an operation down, and the line that asks for it if it casts."""
        if operation.cast:
            self.see("cast")
        self._append(self._known.setdefault(operation, operation))

    def see(self, *kinds: PlaceKind) -> None:
        """Write down what the line of code that runs now made the host see.

        Args:
            kinds: what it is: a copy to the host that the host waits for is two things.
        """
        caller = find_caller()
        for kind in kinds:
            self._append(Visible(kind, caller))

    def mark(self, mark: Mark, scheduler: object) -> None:
        """Write down what a denoising loop's scheduler did."""
        self.marks.append((len(self.events), mark, id(scheduler)))

    def note(self, text: str) -> None:
        """Write down, once, what a real device may do otherwise."""
        self.notes[text] = None

    def _append(self, event: Operation | Visible) -> None:
        self.events.append(event)
        self.peaks.append(self._window)
        self._window = self.held

    def hold(self, inner: Any) -> Token:
        """Hold the memory behind a tensor for as long as what is returned lives.

        Args:
            inner: the tensor that has the values; tensors that share its storage count once.
        """
        storage = inner.untyped_storage()
        # A storage is alive as long as a tensor of it is, so that its key is its own.
        key, size = storage._cdata, storage.nbytes()  # noqa: SLF001 - torch names no other identity
        users = self._users.get(key, 0)
        if not users:
            self.held += size
            if self.held > self._window:
                self._window = self.held
                self.most_held = max(self.most_held, self.held)
        self._users[key] = users + 1
        return Token(self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self.held -= size
