"""What a test hands to ``sd_latency``: setups and callables, as the arms of a campaign."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.model import CONTROL
from pytest_sdspeed.setups.catalog import Choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.measure.facts import Arm
    from pytest_sdspeed.setups.setup import Setup


@dataclass(frozen=True, slots=True)
class Contestant:
    """One side of a comparison: a setup, or a callable with the name it is reported by."""

    name: str
    setup: Setup | None
    call: Callable[[], Any] | None

    def arm(self, floor: float | None) -> Arm:
        """It as an arm of a campaign."""
        from pytest_sdspeed.measure.facts import Arm

        if self.setup is not None:
            return _arm(self.setup, floor)
        call = self.call
        assert call is not None  # noqa: S101 - a contestant is one or the other
        return Arm(name=self.name, generate=lambda _case: call(), floor=floor)


def _arm(setup: Setup, floor: float | None) -> Arm:
    from pytest_sdspeed.measure.facts import Arm

    return Arm(
        name=setup.name,
        generate=setup.draw,
        slot=setup.slot,
        floor=floor,
        prepare=setup.build,
        held_bytes=setup.weight_bytes,
        reference=_arm(setup.reference, None) if setup.reference else None,
        profile=setup.profile,
    )


def contestants(candidate: Any, baseline: Any) -> tuple[Contestant, Contestant | None]:
    """What a test passed to ``sd_latency``, under distinct names.

    Args:
        candidate: a setup, or a callable ``() -> picture, pictures or None``.
        baseline: the same, or None.

    Raises:
        UsageMistakeError: one is neither, or two different setups have the same name.
    """
    ours = _contestant(candidate, "candidate")
    if baseline is None:
        return ours, None
    theirs = _contestant(baseline, "baseline")
    if ours.name != theirs.name or (ours.setup is not None and ours.setup is theirs.setup):
        return ours, theirs
    if ours.setup is not None and theirs.setup is not None:
        raise UsageMistakeError(
            f"sd_latency: two setups called {ours.name!r}, of tables {ours.setup.choice.table.name!r} and {theirs.setup.choice.table.name!r}"
        )
    # Closures of one factory share a name: their roles tell them apart.
    return (replace(ours, name="candidate") if ours.setup is None else ours), (
        replace(theirs, name="baseline" if ours.name != "baseline" else "reference") if theirs.setup is None else theirs
    )


def _contestant(value: Any, role: str) -> Contestant:
    choice = getattr(value, "choice", None)
    if isinstance(choice, Choice):
        return Contestant(value.name, value, None)
    if not callable(value):
        raise UsageMistakeError(
            f"sd_latency: the {role} is {value!r}; valid: a setup fixture (sd_fp16, ...) or a callable () -> pictures or None"
        )
    name = getattr(value, "__name__", role)
    return Contestant(role if name in ("<lambda>", CONTROL) else name, None, value)
