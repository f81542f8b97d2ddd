"""What torch keeps for each thread, for calls that take turns in one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import UnstageableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Switches(NamedTuple):
    """What a call may leave otherwise when it stops in the middle, and is put back."""

    gradients: bool
    autocast: tuple[tuple[bool, object], ...]

    @classmethod
    def read(cls, kinds: tuple[str, ...]) -> _Switches:
        import torch

        return cls(
            torch.is_grad_enabled(),
            tuple(
                (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds
            ),
        )

    def write(self, kinds: tuple[str, ...]) -> None:
        import torch

        torch.set_grad_enabled(self.gradients)
        for kind, (enabled, dtype) in zip(kinds, self.autocast, strict=True):
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, dtype)


class ThreadState:
    """What a call that takes turns with others has set in torch for its thread.

    Args:
        kind: kind of the device.
    """

    def __init__(self, kind: str) -> None:
        self._kinds = tuple(dict.fromkeys(("cpu", kind)))
        self._own: _Switches | None = None

    @contextmanager
    def lend(self, owner: str) -> Iterator[None]:
        """Set inside the block what the call had set when it stopped, and put it back afterwards.

        Args:
            owner: whose call it is, for the message.

        Raises:
            UnstageableError: the call stopped inside of what cannot be put back.
        """
        before, modes = _Switches.read(self._kinds), _describe_modes()
        if self._own is not None:
            self._own.write(self._kinds)
        try:
            yield
            self._own = _Switches.read(self._kinds)
        finally:
            before.write(self._kinds)
        left = _describe_modes()
        if left != modes:
            raise UnstageableError(
                f"{owner}: its pipeline denoises inside of a mode of torch that cannot be left"
                f" between two steps ({left} instead of {modes})"
            )


def _describe_modes() -> str:
    """Describe the modes of torch that hold in this thread."""
    import torch

    names = [
        *(["inference mode"] if torch.is_inference_mode_enabled() else []),
        f"{torch._C._len_torch_function_stack()} function modes",  # noqa: SLF001 - nothing public counts them
        f"{torch._C._len_torch_dispatch_stack()} dispatch modes",  # noqa: SLF001
    ]
    return ", ".join(names)
