"""Calls by stages that a worker makes; see ``versions.served_calls`` for its side."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import SdSpeedError, UnstageableError, WorkerLostError
from pytest_sdspeed.model.stages import StageTime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Case
    from pytest_sdspeed.versions.workers import Worker

    Take = Callable[[Case, Mapping[str, Any]], Any]


class RemoteStages:
    """Calls one setup by stages on a worker; see ``model.stages.Stages``.

    Args:
        worker: the process that draws.
        named: the setup, as ``WorkerServer`` names it.
        metered: tells whether the call that begins is to be metered.
        take: takes what a worker told at the end of a whole call of a case, and returns its
            pictures.

    Raises:
        UnstageableError: the worker cannot call it by stages; the message names its version.
    """

    def __init__(
        self, worker: Worker, named: tuple[str, ...], metered: Callable[[], bool], take: Take
    ) -> None:
        self._worker, self._named = worker, named
        self._metered, self._take = metered, take
        self._uneven = str(_ask(worker, "open_stages", named))

    @property
    def uneven(self) -> str:
        """Return why its denoising steps are of unlike cost, as the worker knew before."""
        return self._uneven

    @property
    def alone(self) -> str:
        """Return why two calls of it cannot take turns, as they showed so far; or ""."""
        return self._describe()[0]

    @property
    def casts(self) -> bool:
        """Return whether its calls are under autocast, as the last one showed."""
        return self._describe()[1]

    def _describe(self) -> tuple[str, bool]:
        """Return both; of a worker that was lost nothing, which its next call tells."""
        try:
            alone, casts = _ask(self._worker, "describe_calls", self._named)
        except WorkerLostError:
            return "", False
        return str(alone), bool(casts)

    def call(self, case: Case, steps: int | None, number: int) -> RemoteStagedCall:
        """Begin a call, which has done nothing yet; see ``model.stages.Stages``."""
        return RemoteStagedCall(
            self._worker,
            self._named,
            case,
            steps,
            number,
            metered=self._metered,
            take=self._take,
        )


class RemoteStagedCall:
    """A call on a worker that may stop at the borders of its stages; see ``StagedCall``.

    The worker hears of it when it first goes on.
    """

    def __init__(
        self,
        worker: Worker,
        named: tuple[str, ...],
        case: Case,
        steps: int | None,
        number: int,
        *,
        metered: Callable[[], bool],
        take: Take,
    ) -> None:
        self._worker, self._named = worker, named
        self._case, self._steps, self._number = case, steps, number
        self._metered, self._take = metered, take
        self._begun, self._returned = False, None
        self.done = False

    @property
    def pictures(self) -> Any:
        """Return what the call returned; None while it has not, and if it left steps out."""
        return self._returned

    def take_turn(self, parts: int) -> list[StageTime]:
        """Go on over so many parts, or to the end, timed by the worker's clock."""
        if not self._begun:
            self._begun = True
            case = self._case
            asked = (
                self._number,
                (case.seed, case.prompt),
                self._steps,
                int(self._metered()),
            )
            _ask(self._worker, "begin_call", self._named, *asked)
        told = _ask(self._worker, "take_turn", self._named, self._number, parts)
        self.done = bool(told["done"])
        if self.done and self._steps is None:
            self._returned = self._take(self._case, told)
        return [StageTime(*part) for part in told["parts"]]

    def close(self) -> None:
        """Abandon the call, if it has not returned. A worker that was lost has nothing of it."""
        if self._begun and not self.done:
            self.done = True
            with suppress(SdSpeedError):
                self._worker.ask("abandon_call", self._named, self._number)


def _ask(worker: Worker, command: str, *arguments: Any) -> Any:
    try:
        return worker.ask(command, *arguments)
    except UnstageableError as error:
        raise UnstageableError(f"{worker.environment.label}: {error}") from None
