"""The random generators that a process has for everybody."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.device.accelerator import find_kind, find_module, list_used

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@contextmanager
def hold_seeds(seed: int) -> Iterator[None]:
    """Seed the generators of torch, numpy and Python inside the block, and put them back after it.

    Args:
        seed: seed of all of them.
    """
    import numpy as np

    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the legacy state is the global one
    with hold_torch_generators():
        seed_torch(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002 - as above


@contextmanager
def hold_torch_generators() -> Iterator[None]:
    """Put the generators of the CPU and of every accelerator that is in use back after the block.

    Those of torch alone; see ``hold_seeds`` for the others.
    """
    import torch

    with ExitStack() as held:
        held.enter_context(torch.random.fork_rng(devices=()))
        for kind in list_used():
            module = find_module(kind)
            if hasattr(module, "get_rng_state"):
                devices = range(module.device_count())
                held.enter_context(torch.random.fork_rng(devices, device_type=kind))
        yield


class Generators(NamedTuple):
    """Where the generators of Python, numpy and torch are.

    Attributes:
        python, numpy, torch: state of each; torch's is that of the CPU.
        devices: kind of an accelerator that is in use -> the state of each of its devices.
    """

    python: Any
    numpy: Any
    torch: Any
    devices: Mapping[str, Sequence[Any]]

    @classmethod
    def read(cls) -> Generators:
        """Read them."""
        import numpy as np
        import torch

        devices = {
            kind: [module.get_rng_state(at) for at in range(module.device_count())]
            for kind in list_used()
            if hasattr(module := find_module(kind), "get_rng_state")
        }
        legacy = np.random.get_state()  # noqa: NPY002 - the legacy state is the global one
        return cls(random.getstate(), legacy, torch.random.get_rng_state(), devices)

    def write(self) -> None:
        """Put them back to where they were."""
        import numpy as np
        import torch

        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002 - as above
        torch.random.set_rng_state(self.torch)
        for kind, states in self.devices.items():
            for at, state in enumerate(states):
                find_module(kind).set_rng_state(state, at)


def seed_torch(seed: int) -> None:
    """Seed the generator of the CPU, and of an accelerator if there is one.

    Without one, ``torch.manual_seed`` would format the stack once for each kind of them, for an
    error that cannot come: that takes milliseconds for every generation.
    """
    import torch

    if find_kind():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
