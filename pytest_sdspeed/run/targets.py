"""What a test hands to ``sd_latency``: setups and callables, as the arms of a campaign."""

from __future__ import annotations

import operator
import sys
from collections.abc import AsyncIterator, Awaitable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.compilations import count_compiled
from pytest_sdspeed.device.flags import guard
from pytest_sdspeed.errors import GenerationError, UsageMistakeError
from pytest_sdspeed.model import CONTROL
from pytest_sdspeed.setups.catalog import ResolvedSetup

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.setups.setup import Setup


_VALID = (
    "valid: a setup fixture (sd_fp16, ...), a callable () -> pictures or None, or where to import"
    " one from, 'module:name'"
)

_IN_CALL = (
    "What it leaves set, its baseline and every later test would run with: set them at the start of"
    " each call and put them back at its end, best in a context manager."
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be measured: a setup, or a callable.

    Attributes:
        name: name that it is reported by.
        setup: the setup, or None for a callable.
        call: the callable, or None for a setup.
        address: ``module:name`` that any process can import the callable by, or None.
    """

    name: str
    setup: Setup | None
    call: Callable[[], Any] | None
    address: str | None = None

    @classmethod
    def of(cls, setup: Setup) -> Target:
        """Make a target of a setup."""
        return cls(setup.name, setup, None)

    def arm(self, floor: float | None) -> Arm:
        """Make an arm of it.

        Args:
            floor: least speed-up that passes, or None for an arm without a gate.
        """
        from pytest_sdspeed.measure.campaign_data import Arm

        if self.setup is not None:
            return _make_arm(self.setup, floor)
        call = self.call
        assert call is not None  # noqa: S101 - a target is one or the other
        return Arm(
            name=self.name,
            generate=lambda _case: _run_whole(call, self.name),
            slot=partial(guard, f"callable {self.name!r}", _IN_CALL),
            floor=floor,
            draws_cases=False,
            count_compiled=count_compiled,
        )


def _make_arm(setup: Setup, floor: float | None) -> Arm:
    from pytest_sdspeed.measure.campaign_data import Arm

    return Arm(
        name=setup.name,
        generate=setup.draw,
        slot=setup.slot,
        floor=floor,
        prepare=setup.build,
        check=setup.check,
        held_bytes=setup.weight_bytes,
        loaded=setup.measure_loaded,
        timed=None if setup.recipe.of_call else setup.time_unit,
        stages=setup.open_stages if setup.recipe.of_call else None,
        count_compiled=count_compiled,
        reference=_make_arm(setup.reference, None) if setup.reference else None,
        profile=setup.profile,
        prove=setup.prove if setup.has_proofs else None,
        identity=setup.identity,
    )


def _run_whole(call: Callable[[], Any], name: str) -> Any:
    """Call a callable.

    Raises:
        GenerationError: it has only begun: what it returned has yet to be awaited or iterated.
    """
    returned = call()
    if isinstance(returned, Awaitable | AsyncIterator | Generator):
        with suppress(Exception):
            returned.close()  # type: ignore[union-attr]
        raise GenerationError(
            f"{name} returned a {type(returned).__name__}, so its work was not done when it"
            " returned: let the callable await or iterate it, as in"
            " lambda: asyncio.run(generate())"
        )
    # What jax computes is on its way when the call returns.
    wait = getattr(returned, "block_until_ready", None)
    return wait() if callable(wait) else returned


def drawer_of(target: Target) -> Callable[[], Any]:
    """Return what draws once with a target, outside of any campaign."""
    from pytest_sdspeed.model import Case

    setup, call = target.setup, target.call
    if setup is None:
        assert call is not None  # noqa: S101 - a target is one or the other
        return call

    def draw() -> Any:
        setup.build()
        with setup.slot():
            return setup.draw(Case(setup.recipe.seed))

    return draw


def targets_of(candidate: Any, baseline: Any) -> tuple[Target, Target | None]:
    """Make targets, with distinct names, of what a test passed to ``sd_latency``.

    Args:
        candidate: a setup, a callable ``() -> picture, pictures or None``, or the ``module:name``
            of one.
        baseline: the same, or None.

    Raises:
        UsageMistakeError: one is neither, or two different setups have the same name.
    """
    ours = make_target(candidate, "candidate")
    if baseline is None:
        return ours, None
    theirs = make_target(baseline, "baseline")
    if ours.name != theirs.name or (ours.setup is not None and ours.setup is theirs.setup):
        return ours, theirs
    if ours.setup is not None and theirs.setup is not None:
        raise UsageMistakeError(
            f"sd_latency: two setups called {ours.name!r}, of tables"
            f" {ours.setup.resolved.table.name!r} and {theirs.setup.resolved.table.name!r}"
        )
    # Closures of one factory share a name: they get the names of their roles.
    return (replace(ours, name="candidate") if ours.setup is None else ours), (
        replace(theirs, name="baseline" if ours.name != "baseline" else "reference")
        if theirs.setup is None
        else theirs
    )


def make_target(value: Any, role: str, gate: str = "sd_latency") -> Target:
    """Make a target of what a test passed to a gate.

    Args:
        value: a setup, a callable, or the ``module:name`` of one.
        role: what it is for the gate, by which it is called if it has no name.
        gate: name of the gate's fixture, for messages.

    Raises:
        UsageMistakeError: it is none of these.
    """
    if isinstance(getattr(value, "resolved", None), ResolvedSetup):
        return Target(value.name, value, None)
    valid = _VALID if gate == "sd_latency" else _VALID.replace("() ->", "(device) ->")
    call = _import_target(value, role, gate, valid) if isinstance(value, str) else value
    if not callable(call):
        raise UsageMistakeError(f"{gate}: the {role} is {value!r}; {valid}")
    name = getattr(call, "__name__", role)
    address = value if isinstance(value, str) else find_address(call)
    return Target(role if name in ("<lambda>", CONTROL) else name, None, call, address)


def _import_target(address: str, role: str, gate: str, valid: str) -> Any:
    """Import what ``module:name`` names.

    Raises:
        UsageMistakeError: it names nothing.
    """
    module, _, name = address.partition(":")
    try:
        return operator.attrgetter(name)(import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageMistakeError(f"{gate}: the {role} is {address!r}: {error}; {valid}") from None


def find_address(call: Any) -> str | None:
    """Return ``module:name`` of a callable, or None if no import finds it: a closure, a lambda."""
    module, name = str(getattr(call, "__module__", "")), getattr(call, "__qualname__", "")
    try:
        found = operator.attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        return None
    return f"{module}:{name}" if found is call and module != "__main__" else None
