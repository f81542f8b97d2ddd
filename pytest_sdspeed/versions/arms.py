"""Arms of a campaign whose pictures a worker draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.measure.campaign_data import Arm
from pytest_sdspeed.model import Finding, Proof
from pytest_sdspeed.versions.remote_calls import RemoteStages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.measure.campaign_data import Decision
    from pytest_sdspeed.model import Case
    from pytest_sdspeed.versions.workers import Worker


class WorkersMemory:
    """The memory meter of a campaign: passes on what the worker that draws has measured."""

    def __init__(self) -> None:
        self.metered = False
        self.latest: int | None = None

    def start(self) -> None:
        """Ask the worker to meter the next draw."""
        self.metered = True

    def peak_bytes(self) -> int | None:
        """Return the memory that the draw needed beyond what was in use before it, bytes.

        None if the platform does not tell.
        """
        self.metered = False
        return self.latest

    def shortage(self) -> str:
        """Return nothing: the error of a worker says how much memory was missing."""
        return ""


class RemoteArm:
    """One setup or callable on one worker.

    Args:
        worker: the process that draws.
        named: the target, as ``WorkerServer`` names it.
        memory: memory meter of the campaign; gets what the worker has measured.
    """

    def __init__(self, worker: Worker, named: tuple[str, ...], memory: WorkersMemory) -> None:
        self._worker, self._named, self._memory = worker, named, memory
        self._pictures: dict[Case, Any] = {}

    def arm(
        self,
        name: str,
        floor: float | None = None,
        may_stop: Callable[[Decision], bool] | None = None,
        stage_floor: float | None = None,
    ) -> Arm:
        """Make the arm; see ``Arm`` for the arguments."""
        return Arm(
            name=name,
            generate=lambda case: self.timed(case)[0],
            timed=self.timed,
            floor=floor,
            stage_floor=stage_floor,
            may_stop=may_stop,
            prepare=lambda: self._worker.ask("build", self._named),
            check=lambda: self._worker.ask("unchanged", self._named),
            held_bytes=lambda: int(self._worker.ask("held", self._named)),
            prove=None if self._named[0] == "call" else self._prove,
            stages=None if self._named[0] == "call" else self._open_stages,
            draws_cases=self._named[0] != "call",
        )

    def _prove(self, case: Case) -> tuple[Proof, ...]:
        """Return what the worker saw of the optimizations, which may be other ones there."""
        told = self._worker.ask("prove", self._named, case.seed, case.prompt)
        return tuple(Proof(label, Finding(acted, text)) for label, acted, text in told)

    def _open_stages(self) -> RemoteStages:
        return RemoteStages(self._worker, self._named, lambda: self._memory.metered, self._take)

    def timed(self, case: Case) -> tuple[Any, float]:
        """Draw once.

        Returns:
            What it returned, an ``Output`` or None, or the ``PictureError`` that says why it is
            neither; and the seconds by the worker's clock.
        """
        told = self._worker.ask(
            "draw", self._named, case.seed, case.prompt, int(self._memory.metered)
        )
        return self._take(case, told), float(told["duration_s"])

    def _take(self, case: Case, told: Mapping[str, Any]) -> Any:
        """Take what a worker tells after a generation: its memory, and the pictures."""
        if self._memory.metered:
            self._memory.latest = told["peak_bytes"]
        return self._unpack(case, told)

    def _unpack(self, case: Case, told: Mapping[str, Any]) -> Any:
        if told["pictures"] is None:
            return None
        if told["pictures"] == "unreadable":
            return PictureError(told["why"])
        if told["pictures"] != "same":
            from pytest_sdspeed.judge.pictures.transfer import unpack

            self._pictures[case] = unpack(told)
        return self._pictures[case]
