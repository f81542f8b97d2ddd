"""The random generators that a process has for everybody."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def hold_seeds(seed: int) -> Iterator[None]:
    """Seed the generators of torch, numpy and Python inside the block, and put them back after it.

    Args:
        seed: seed of all of them.
    """
    import numpy as np
    import torch

    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the legacy state is the global one
    with ExitStack() as held:
        _fork_torch(held, torch)
        _seed_torch(seed, torch)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002 - as above


def _fork_torch(held: ExitStack, torch: Any) -> None:
    """Have the generators of the CPU and of every accelerator that is in use put back."""
    available = torch.accelerator.is_available()
    kind = torch.accelerator.current_accelerator().type if available else None
    module = getattr(torch, kind, None) if kind else None
    if module is not None and getattr(module, "is_initialized", lambda: False)():
        held.enter_context(
            torch.random.fork_rng(range(torch.accelerator.device_count()), device_type=kind)
        )
    else:
        held.enter_context(torch.random.fork_rng(devices=()))


def _seed_torch(seed: int, torch: Any) -> None:
    """Seed the generator of the CPU, and of an accelerator if there is one.

    Without one, ``torch.manual_seed`` would format the stack once for each kind of them, for an
    error that cannot come: that takes milliseconds for every generation.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
