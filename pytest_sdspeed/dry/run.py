"""The block in which a GPU is there that only counts."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_sdspeed.dry.device import CountingDevice
from pytest_sdspeed.dry.dispatch import Dispatcher
from pytest_sdspeed.dry.facade import pretend_cuda
from pytest_sdspeed.dry.functions import FunctionMode
from pytest_sdspeed.dry.guard import allow_cuda
from pytest_sdspeed.dry.ledger import Ledger
from pytest_sdspeed.dry.tensors import hand_to, is_running
from pytest_sdspeed.dry.tying import keep_tied
from pytest_sdspeed.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class _DispatchMode(TorchDispatchMode):  # type: ignore[misc]
    """Sees every operation, those that make tensors of none too.

    It takes the place of torch's mode for tensors without values: torch then initializes no CUDA
    when a device is named.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE  # noqa: SLF001

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to shield each operation from its compiler, which is off meanwhile."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self._dispatcher.run(func, args, kwargs or {})


@contextmanager
def count(*, values_up_to: int | None = None) -> Iterator[Ledger]:
    """Put a GPU there that only counts, ``cuda:0``, inside the block.

    Args:
        values_up_to: tensors of more elements have no values; None for no bound.

    Returns:
        What is asked of it, written down while it happens.

    Raises:
        UnsupportedError: this build of torch cannot be made to, or there is one already.
    """
    if is_running():
        raise UnsupportedError("a dry run inside another one: count one after the other")
    ledger = Ledger()
    device = CountingDevice(ledger, values_up_to=values_up_to)
    dispatcher = Dispatcher(device)
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as held:
        held.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        # Parameters on the host are replaced by those on the device.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        held.enter_context(keep_tied())
        # A compiler would see the tensors inside, and not what is asked of the device.
        held.enter_context(torch.compiler.set_stance("force_eager"))
        held.enter_context(allow_cuda())
        held.enter_context(pretend_cuda(device))
        held.enter_context(hand_to(dispatcher))
        held.enter_context(_DispatchMode(dispatcher))
        held.enter_context(FunctionMode(device))
        yield ledger
