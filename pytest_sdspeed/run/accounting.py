"""Accounts of setups and callables: what they ask of a GPU, counted on a machine without one."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Case, Machine
from pytest_sdspeed.model.machine import COUNTS_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model.accounts import Account
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.setups.setup import Setup

VALUES_UP_TO = 2**20
"""Elements up to which tensors of setups have values: timesteps, sigmas, tokens and masks do, and
weights and latents at full size do not."""


def describe_counting_device() -> Machine:
    """Describe the GPU that the counting device says it is."""
    from pytest_sdspeed.dry.facade import CAPABILITY, NAME

    return Machine(
        kind="cuda",
        device=NAME,
        versions={},
        capability=CAPABILITY,
        features=frozenset({COUNTS_ONLY}),
    )


@contextmanager
def hold_still() -> Iterator[None]:
    """Keep the collector from freeing memory at a moment of its own, and libraries from talking.

    The peak of an account would otherwise depend on what ran before. What was there before is not
    walked by the collections inside, which would take longer than all else of a small account.
    """
    from pytest_sdspeed.device.quiet import quiet

    enabled, freezes = gc.isenabled(), not gc.get_freeze_count()
    gc.disable()
    if freezes:
        gc.freeze()
    try:
        with quiet():
            yield
    finally:
        # What was counted is freed, so that the next one finds its memory.
        gc.collect()
        if freezes:
            gc.unfreeze()
        if enabled:
            gc.enable()


@hold_still()
def count_setup(
    resolved: ResolvedSetup, stack: tuple[Optimization, ...], registry: Registry | None = None
) -> Account:
    """Count what one generation of a setup asks of a GPU.

    It is built at full size without weights; the models that the package brings have theirs. What
    it compiles is counted at toy size, see ``count_setup_compilation``.

    Args:
        resolved: what the setup's name means.
        stack: its optimizations in order.
        registry: what users registered, if they could.

    Raises:
        UnsupportedError: this build of torch, or the device, cannot do it.
        DryRunError: it needs a value that the dry run does not know.
    """
    import torch

    from pytest_sdspeed.dry.accounts import make_account
    from pytest_sdspeed.dry.compilation import watch_for_compiled
    from pytest_sdspeed.dry.run import count
    from pytest_sdspeed.dry.watch import watch_parts, watch_schedulers
    from pytest_sdspeed.pipelines.parameters import count_parameters
    from pytest_sdspeed.pipelines.parts import list_components
    from pytest_sdspeed.run.compiling import add_setup_compilation

    own = _list_registered(registry)
    with (
        torch.no_grad(),
        count(values_up_to=VALUES_UP_TO) as ledger,
        watch_for_compiled() as compiled,
    ):
        setup = _build_setup(resolved, stack, own)
        setup.keep_alone()
        gc.collect()
        weight_bytes = ledger.held
        watched = watch_parts(ledger, list_components(setup.pipeline))
        with watch_schedulers(ledger), watched, setup.slot():
            for captured in (False, True):
                ledger.restart()
                setup.draw(Case(resolved.recipe.seed), "pt")
                # A graph is captured in the warm-up: what counts is the call after it.
                if captured or not ledger.captured:
                    break
        account = make_account(ledger, weight_bytes=weight_bytes)
        account = replace(account, parameters=count_parameters(list_components(setup.pipeline)))
    return add_setup_compilation(account, resolved, stack, own) if compiled.found else account


@hold_still()
def count_setup_parameters(
    resolved: ResolvedSetup, stack: tuple[Optimization, ...], registry: Registry | None = None
) -> dict[str, int]:
    """Count the numbers in the weights of a setup at full size, and of each of its parts.

    It is built as for ``count_setup``, and draws nothing.

    Args:
        resolved: what the setup's name means.
        stack: its optimizations in order.
        registry: what users registered, if they could.

    Returns:
        Name of a component, or role such as ``denoiser``, -> numbers; "" for all together.

    Raises:
        UnsupportedError: this build of torch, or the device, cannot do it.
    """
    import torch

    from pytest_sdspeed.dry.run import count
    from pytest_sdspeed.pipelines.parameters import count_parts
    from pytest_sdspeed.pipelines.parts import list_components

    with torch.no_grad(), count(values_up_to=VALUES_UP_TO):
        setup = _build_setup(resolved, stack, _list_registered(registry))
        return count_parts(list_components(setup.pipeline))


def _list_registered(registry: Registry | None) -> tuple[Any, ...]:
    """Return what users registered that pipelines are built of."""
    return (registry.pipelines, registry.architectures) if registry else ()


def _build_setup(
    resolved: ResolvedSetup, stack: tuple[Optimization, ...], own: tuple[Any, ...]
) -> Setup:
    """Build a setup at full size on the device that counts.

    Args:
        resolved: what the setup's name means.
        stack: its optimizations in order.
        own: what ``_list_registered`` returns.

    Raises:
        UnsupportedError: the device cannot run it.
    """
    from pytest_sdspeed.errors import UnsupportedError
    from pytest_sdspeed.pipelines.pool import Pool
    from pytest_sdspeed.pipelines.sources import EmbeddedFirst, PretrainedSource, ShapesSource
    from pytest_sdspeed.setups.setup import Setup

    source = EmbeddedFirst(PretrainedSource("cuda", *own[:1]), ShapesSource("cuda", *own))
    setup = Setup(
        resolved.setup,
        resolved.recipe,
        stack,
        machine=describe_counting_device(),
        pool=Pool(source),
        resolved=resolved,
    )
    if setup.unsupported:
        raise UnsupportedError(setup.unsupported)
    setup.build()
    return setup


@hold_still()
def count_callable(draw: Callable[[str], Any]) -> Account:
    """Count what a callable asks of a GPU.

    If it compiles anything, it is run twice more, on the CPU, see ``count_callable_compilation``.

    Args:
        draw: takes the name of the device. If it returns a callable, what it did was to prepare,
            and that callable, which takes nothing, is counted; else ``draw`` is counted itself.

    Raises:
        UnsupportedError: this build of torch cannot do it.
        DryRunError: it needs a value that the dry run does not know.
    """
    import torch

    from pytest_sdspeed.dry.accounts import make_account
    from pytest_sdspeed.dry.compilation import watch_for_compiled
    from pytest_sdspeed.dry.run import count
    from pytest_sdspeed.dry.watch import watch_schedulers
    from pytest_sdspeed.run.compiling import add_callable_compilation

    with (
        torch.no_grad(),
        count() as ledger,
        watch_schedulers(ledger),
        watch_for_compiled() as compiled,
    ):
        prepared = draw("cuda")
        if callable(prepared):
            ledger.restart()
            prepared()
        account = make_account(ledger)
    return add_callable_compilation(account, draw) if compiled.found else account
