"""Who takes part in a campaign, and why an arm left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import OutOfMemoryError, explain
from pytest_sdspeed.measure.profiling import check_usable
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.errors import SdSpeedError, UnusableDeviceError
    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.memory import MemoryMeter


class Roster:
    """The arms of a campaign: an arm that raises leaves, and the others go on without it.

    Attributes:
        baseline: the arm that all rows are compared with.
        arms: name -> arm, the baseline first.
        active: name -> row, for the rows that are still measured.
        errors: name -> why the arm left.
        unusable: why the device no longer answers, or None.
    """

    def __init__(
        self, baseline: Arm, rows: Sequence[Arm], clock: Clock, memory: MemoryMeter
    ) -> None:
        self.baseline = baseline
        self.arms = {arm.name: arm for arm in (baseline, *rows)}
        if len(self.arms) != len(rows) + 1 or CONTROL in self.arms:
            raise ValueError(
                f"arms need distinct names other than {CONTROL!r}:"
                f" {[baseline.name, *(row.name for row in rows)]}"
            )
        self.active = {row.name: row for row in rows}
        self.errors: dict[str, Exception] = {}
        self.unusable: UnusableDeviceError | None = None
        self._clock, self._memory = clock, memory

    @property
    def ended(self) -> bool:
        """Tell whether the baseline, or the device, broke."""
        return self.baseline.name in self.errors

    @property
    def remaining(self) -> list[Arm]:
        """Return the arms that have not raised."""
        return [arm for arm in self.arms.values() if arm.name not in self.errors]

    def arm_of(self, label: str) -> Arm:
        """Return the arm that a slot's label stands for: the control is the baseline's."""
        return self.baseline if label == CONTROL else self.arms[label]

    def check(self, arm: Arm, leaves: Arm | None = None) -> None:
        """Take an arm out, or ``leaves`` in its place, if what arms share is not what it was."""
        try:
            arm.check()
        except Exception as error:  # noqa: BLE001 - whatever a check raises ends an arm, never the run
            self.remove(leaves or arm, explain(arm.name, error))

    def check_all(self) -> None:
        """End the campaign if what arms share changed unseen: which slots saw it is unknown."""
        for arm in self.arms.values():
            if not self.ended:
                self.check(arm, leaves=self.baseline)

    def remove(self, arm: Arm, error: SdSpeedError) -> None:
        """Take an arm out that raised; the baseline with it if the device no longer answers."""
        self.active.pop(arm.name, None)
        self.unusable = check_usable(self._clock, error)
        if self.unusable:
            self.errors |= {arm.name: self.unusable, self.baseline.name: self.unusable}
        else:
            self.errors[arm.name] = (
                OutOfMemoryError(f"{error}{self._memory.shortage()}")
                if isinstance(error, OutOfMemoryError)
                else error
            )
