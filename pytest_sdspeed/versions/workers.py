"""The worker processes that draw with one version each, controlled from this process."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_sdspeed import errors
from pytest_sdspeed.errors import GenerationError, SdSpeedError, WorkerLostError
from pytest_sdspeed.run.processes import describe_end, find_telling_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import execnet

    from pytest_sdspeed.versions.environments import Environment

_PATIENCE_S = 2.0
"""How long a worker may take to end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What every worker is told.

    Attributes:
        arguments: command line of pytest.
        folder: working directory.
        temporary: folder for what pytest writes and what workers print.
        program: source of the first code that execnet runs in a worker.
    """

    arguments: Sequence[str]
    folder: Path
    temporary: Path
    program: str


class Worker:
    """One process that builds and draws when it is asked.

    Args:
        role: ``new``, ``old`` or ``control``; its files have this name.
        environment: its interpreter, and the folders that its modules come from.
        told: what every worker is told.
    """

    def __init__(self, role: str, environment: Environment, told: WorkerConfig) -> None:
        self.role, self.environment, self._told = role, environment, told
        self._log = told.temporary / f"{role}.log"
        self._group: execnet.Group | None = None
        self._channel: Any = None
        self._said_before = 0

    @property
    def alive(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._channel is not None

    def start(self) -> None:
        """Start the process, which then imports and collects its tests; ``wait`` waits for that.

        Raises:
            SdSpeedError: it could not be started.
        """
        import execnet

        self._log.unlink(missing_ok=True)
        self._group = execnet.Group()
        try:
            gateway = self._group.makegateway(
                f"popen//id={self.role}//python={shlex.quote(self.environment.python)}//execmodel=main_thread_only"
            )
            self._channel = gateway.remote_exec(self._told.program)
            self._channel.send(
                {
                    "log": str(self._log),
                    "folder": str(self._told.folder),
                    "temporary": str(self._told.temporary / self.role),
                    "arguments": list(self._told.arguments),
                    "finder": (
                        (files("pytest_sdspeed.versions.environments") / "finder.py").read_text(
                            encoding="utf-8"
                        )
                    ),
                    "roots": self.environment.roots,
                    "excluded": self.environment.excluded,
                    "path": self.environment.path,
                }
            )
        except (OSError, EOFError, execnet.HostNotFound) as error:
            self.stop()
            raise WorkerLostError(
                f"{self.environment.label}: no process could be started:"
                f" {error or 'it ended at once'}"
            ) from None

    def wait(self) -> None:
        """Wait until it has collected its tests.

        Raises:
            WorkerLostError: the process ended; the message has the last words of pytest.
        """
        said, told = self._receive()
        if said != "ready":
            self.stop()
            raise WorkerLostError(
                f"{self.environment.label}:"
                f" {told if isinstance(told, str) else describe_end(self._log_text(), told)}"
            )
        self._said_before = len(self._log_text())

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send a request, and return the answer.

        Raises:
            SdSpeedError: the error that the worker raised.
            WorkerLostError: the process has ended.
        """
        self.send(command, *arguments)
        return self.receive()

    def send(self, command: str, *arguments: Any) -> None:
        """Send a request; ``receive`` must follow.

        Raises:
            WorkerLostError: the process has ended.
        """
        if self._channel is None:
            raise WorkerLostError(f"the process of {self.environment.label} has ended")
        try:
            self._channel.send((command, *arguments))
        except OSError:
            self._raise_lost()

    def receive(self) -> Any:
        """Return the answer to what was sent.

        Raises:
            SdSpeedError: the error that the worker raised.
            WorkerLostError: the process has ended.
        """
        said, told = self._receive()
        if said == "error":
            kind, message = told
            raise _error(kind, message)
        if said == "ended":
            self._raise_lost()
        return told

    def stop(self) -> None:
        """End the process: ask it to end, and kill it if it does not."""
        if self._group is None:
            return
        group, self._group, self._channel = self._group, None, None
        group.terminate(timeout=_PATIENCE_S)

    def _receive(self) -> tuple[str, Any]:
        try:
            said: tuple[str, Any] = self._channel.receive()
        except EOFError:
            self._raise_lost()
        except self._channel.RemoteError as error:
            return "ended", str(error).strip().splitlines()[-1]
        except BaseException:
            # A time limit, or Ctrl+C: the answer is still to come, and is not the next one's.
            self.stop()
            raise
        return said

    def _raise_lost(self) -> NoReturn:
        self.stop()
        said = find_telling_line(self._log_text()[self._said_before :])
        raise WorkerLostError(
            f"invalid: the process of {self.environment.label} ended while it was"
            f" measured{f': {said}' if said else ''}"
        )

    def _log_text(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def start_missing(workers: Iterable[Worker]) -> None:
    """Start the workers that do not run: all of them at first, later the lost ones.

    Raises:
        SdSpeedError: one does not start, or does not import its version.
    """
    missing = [worker for worker in workers if not worker.alive]
    with ExitStack() as undo:
        for worker in missing:
            undo.callback(worker.stop)
            worker.start()
        for worker in missing:
            worker.wait()
        undo.pop_all()


def note_same_code(worker: Worker, found: str = "measured") -> tuple[str, ...]:
    """Note that the same code was used twice, if nothing that a worker imported is its version's.

    Args:
        worker: the worker of the other version.
        found: what was done with the code.
    """
    if not worker.environment.roots or worker.ask("served"):
        return ()
    return (
        (
            f"nothing that was imported comes from {worker.environment.label}: the same code was"
            f" {found} twice"
        ),
    )


def _error(kind: str, message: str) -> SdSpeedError:
    """Make the error of this process that stands for one of another process."""
    made = getattr(errors, kind, GenerationError)
    return made(message) if made.__init__ is SdSpeedError.__init__ else GenerationError(message)
