"""The garbage collector, kept out of what is timed."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def collect_between_slots() -> Iterator[None]:
    """Keep the garbage collector out of the slots.

    What exists already is kept out of the collections between them. What the process has frozen
    before stays frozen, and nothing else is then: it could not be thawed alone.
    """
    enabled, frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.collect()
    if not frozen:
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if enabled:
            gc.enable()


class Standing:
    """Keeps what stays between campaigns, libraries above all, out of all collections.

    A campaign of toys takes seconds, and each of its collections would walk through the half a
    million objects of torch, diffusers and transformers, which takes longer than its pictures.
    """

    def __init__(self) -> None:
        self._ours = False

    def leave_out(self) -> None:
        """Leave out what exists now; to be called while no pipeline does.

        What becomes garbage in a cycle later is collected once ``take_back`` was called.
        """
        self._ours = self._ours or gc.get_freeze_count() == 0
        gc.collect()
        gc.freeze()

    def take_back(self) -> None:
        """Have everything collected as before, unless the process had frozen something itself."""
        if self._ours:
            gc.unfreeze()
            self._ours = False
