"""What torch keeps for each thread, and for the process, for calls that take turns in one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_sdspeed.device.flags import restore, snapshot
from pytest_sdspeed.device.seeds import Generators
from pytest_sdspeed.errors import UnstageableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_STACKS = (
    "torch inference mode",
    "torch function modes",
    "torch dispatch modes",
    "torch profiler",
)
"""Flags that are entered and left in turn, and cannot be put aside in between."""


class ThreadState:
    """What a call that takes turns with others has set, and where its generators are.

    That is what ``device.flags`` knows: gradients, autocast, attention backends, ...; what torch
    cast the weights to under autocast is kept for the call too, as it is for one in a single piece.

    Attributes:
        casts: whether the call stopped under autocast, so that no other one under autocast may
            come between.
    """

    _caster: ClassVar[ThreadState | None] = None
    """Whose casts of weights torch keeps now."""

    def __init__(self) -> None:
        self._flags: Mapping[str, Any] | None = None
        self._generators: Generators | None = None
        self.casts = False

    @contextmanager
    def lend(self, owner: str, ended: Callable[[], bool]) -> Iterator[None]:
        """Set inside the block what the call had set when it stopped, and put it back afterwards.

        Args:
            owner: whose call it is, for the message.
            ended: asked after the block whether the call has returned: what it has set then is left
                as it is, and is for others to judge.

        Raises:
            UnstageableError: the call stopped inside of what cannot be put aside.
        """
        before, generators = snapshot(), Generators.read()
        if self._flags is not None and self._generators is not None:
            restore(self._flags)
            self._generators.write()
        self._claim_casts()
        yield
        if ended():
            self.forget()
            return
        now = snapshot()
        stuck = [name for name in _STACKS if now[name] != before[name]]
        if stuck:
            raise UnstageableError(
                f"{owner}: its pipeline denoises inside of what cannot be left between two steps:"
                f" {', '.join(stuck)}"
            )
        self._flags, self._generators = now, Generators.read()
        self._keep_casts()
        restore(before)
        generators.write()

    def forget(self) -> None:
        """Let go of what torch keeps for the call, which has ended."""
        import torch

        if self.casts and torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        self.casts = False

    def _claim_casts(self) -> None:
        """Forget what weights were cast to for another call: it may be of another type."""
        import torch

        if ThreadState._caster is not self and is_casting():
            torch.clear_autocast_cache()
            ThreadState._caster = self

    def _keep_casts(self) -> None:
        """Have torch keep the casts of weights, which it forgets when the last autocast ends."""
        import torch

        if not self.casts and is_casting():
            torch.autocast_increment_nesting()
            self.casts, ThreadState._caster = True, self


def is_casting() -> bool:
    """Tell whether autocast is on, on any device."""
    import torch

    return bool(torch.is_autocast_enabled("cpu") or torch._C._is_any_autocast_enabled())  # noqa: SLF001 - its public twin asks one kind only
