"""The requests that a worker answers: build, draw, draw by stages, time the stages."""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.errors import PictureError, SdSpeedError, explain
from pytest_sdspeed.measure.tracers import call_traced, call_untraced
from pytest_sdspeed.model import Case
from pytest_sdspeed.run.targets import Target, targets_of
from pytest_sdspeed.versions.served_calls import ServedCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.model import AccountResult
    from pytest_sdspeed.run.session import Session


_SETTLED_DRAWS = 2
"""Warm-up draws at least this often: what exists after that is kept until the end."""


class WorkerServer:
    """Answers requests about setups and callables.

    A target is named by a tuple: ``("setup", table, name)``, or ``("call", "module:name")``.

    Args:
        session: knows the tables, the registered setups and the machine of this worker.
        finder: the ``versions.environments.finder.RootsFinder`` of this worker.
        count: runs a test, by its id and the gate that it asks, and returns what that gate counted.
    """

    def __init__(
        self,
        session: Session,
        finder: Any,
        count: Callable[[str, str], AccountResult] | None = None,
    ) -> None:
        self._session, self._finder, self._count = session, finder, count
        self._arms: dict[tuple[str, ...], Arm] = {}
        self._draws: dict[tuple[str, ...], int] = {}
        self._sent: dict[tuple[object, ...], bytes] = {}
        self._calls = ServedCalls()

    def answer(self, command: str, *arguments: Any) -> tuple[str, Any]:
        """Answer ``ok`` and what was asked for, or ``error``, its kind and its message."""
        try:
            return "ok", getattr(self, f"on_{command}")(*arguments)
        except SdSpeedError as error:
            return "error", (type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a setup or an import raises, the worker goes on
            told = explain(str(arguments[0][-1]) if arguments else command, error)
            return "error", (type(told).__name__, str(told))

    def on_check(self, named: tuple[str, ...]) -> None:
        """Check that this version has a target, and that the libraries it needs can be imported.

        Raises:
            SdSpeedError: this version has no such target.
        """
        target = self._find_target(named)
        if target.setup is not None:
            self._session.load_libraries(pipelines=True)

    def on_versions(self) -> dict[str, str]:
        """Return package -> version; an imported one is asked, since a checkout has no metadata."""
        loaded = {
            name: getattr(sys.modules.get(name.replace("-", "_")), "__version__", None)
            for name in self._session.machine.versions
        }
        return {
            **self._session.machine.versions,
            **{name: str(version) for name, version in loaded.items() if version is not None},
        }

    def on_served(self) -> list[str]:
        """Return the top-level names that were imported from the folders of this version."""
        return sorted(self._finder.served)

    def on_account(self, test: str, gate: str) -> dict[str, Any]:
        """Count what a test asks for.

        Args:
            test: id of the test.
            gate: name of the gate that it asks.

        Returns:
            ``account``: the result as JSON; ``modules``: name of a file in it -> its path from the
            folder of its package, if a module is loaded from it.

        Raises:
            SdSpeedError: it could not be counted.
        """
        from pytest_sdspeed.store.accounts import account_to_json
        from pytest_sdspeed.versions.file_names import name_from_packages

        assert self._count is not None  # noqa: S101 - the run that has the workers counts
        result = self._count(test, gate)
        named = name_from_packages(result.account, self._finder.roots)
        told = account_to_json(replace(result, account=named.account), work=True)
        return {"account": json.dumps(told), "modules": dict(named.modules)}

    def on_build(self, named: tuple[str, ...]) -> None:
        """Build a target."""
        from pytest_sdspeed.device.quiet import quiet

        # A campaign begins: its controller has nothing of what was sent for an earlier one.
        self._sent = {asked: sent for asked, sent in self._sent.items() if asked[0] != named}
        with quiet():
            self._arm(named).prepare()

    def on_unchanged(self, named: tuple[str, ...]) -> None:
        """Check that what a target shares with others is what was loaded."""
        self._arm(named).check()

    def on_held(self, named: tuple[str, ...]) -> int:
        """Return the bytes of a target's weights."""
        return self._arm(named).held_bytes()

    def on_draw(
        self, named: tuple[str, ...], seed: int, prompt: str, metered: int
    ) -> dict[str, Any]:
        """Draw once, and time it by the clock of this process.

        Args:
            named: the target that draws.
            seed: seed of the case.
            prompt: prompt of the case.
            metered: whether to meter memory; 0 or 1.

        Returns:
            ``duration_s``; ``peak_bytes``, or None; ``pictures``: bytes, None if the target draws
            none, or ``same`` if they equal those sent last for this case; and what the bytes mean,
            see ``judge.pictures.transfer``. ``unreadable`` for what is neither pictures nor an
            array, and ``why``.
        """
        from pytest_sdspeed.device.quiet import quiet

        arm, meter = self._arm(named), self._session.memory()
        try:
            call = call_untraced if named in self._draws else call_traced
            with quiet(), arm.slot():
                if metered:
                    meter.start()
                synchronize()
                drawn, duration_s = call(_time_draw, arm, Case(seed, prompt))
                peak_bytes = meter.peak_bytes() if metered else None
            return {
                "duration_s": duration_s,
                "peak_bytes": peak_bytes,
                **self._pack((named, seed, prompt), drawn),
            }
        finally:
            self._settle(named)

    def on_open_stages(self, named: tuple[str, ...]) -> str:
        """Open what calls a target by stages; see ``ServedCalls.open``."""
        return self._calls.open(named, self._arm(named))

    def on_describe_calls(self, named: tuple[str, ...]) -> tuple[str, bool]:
        """Return what calls by stages of a target showed; see ``ServedCalls.describe``."""
        return self._calls.describe(named)

    def on_begin_call(
        self,
        named: tuple[str, ...],
        number: int,
        case: tuple[int, str],
        steps: int | None,
        metered: int,
    ) -> None:
        """Begin a call by stages, which has done nothing yet.

        Args:
            named: the target, whose stages were opened.
            number: which of its calls that take turns.
            case: seed and prompt of the case.
            steps: denoising steps after which it goes on to decoding; None for a whole call.
            metered: whether to meter memory; 0 or 1.
        """
        meter = self._session.memory() if metered else None
        self._calls.begin(named, number, self._arm(named), Case(*case), steps, meter=meter)

    def on_take_turn(self, named: tuple[str, ...], number: int, parts: int) -> dict[str, Any]:
        """Go on with a call by stages over so many parts.

        Returns:
            ``parts``, each as ``StageTime``, and ``done``; at the end of a whole call also its
            pictures and ``peak_bytes``, as ``on_draw`` tells them.
        """
        told = self._calls.take_turn(named, number, parts)
        if not told["done"]:
            return told
        case, drawn = told.pop("case", None), told.pop("drawn", None)
        packed = self._pack((named, case.seed, case.prompt), drawn) if case else {}
        del drawn
        self._settle(named)
        return {"peak_bytes": None, **told, **packed}

    def on_abandon_call(self, named: tuple[str, ...], number: int) -> None:
        """Abandon a call by stages, if it has not returned."""
        self._calls.abandon(named, number)

    def on_prove(
        self, named: tuple[str, ...], seed: int, prompt: str
    ) -> list[tuple[str, bool | None, str]]:
        """Return what is seen of a target's optimizations in one more generation.

        Label, whether it acted, and the text; nothing if there is nothing to prove.
        """
        arm = self._arm(named)
        found = arm.prove(Case(seed, prompt)) if arm.prove else ()
        gc.collect()
        return [(one.optimization, one.finding.acted, one.finding.text) for one in found]

    def on_stages(self, named: tuple[str, ...], seed: int) -> Mapping[str, float]:
        """Time the stages of one more generation: stage -> seconds.

        They are empty for a callable, and for a pipeline whose denoiser has a name of its own.
        """
        setup = self._find_target(named).setup
        if setup is None:
            return {}
        from pytest_sdspeed.pipelines.profiling import time_stages

        timed = partial(
            time_stages,
            setup.pipeline,
            lambda: setup.generate(seed),
            kind=self._session.machine.kind,
        )
        found: Mapping[str, float] = {}
        with suppress(LookupError):
            found = call_untraced(timed)
        gc.collect()
        return dict(found)

    def on_release(self) -> None:
        """Free the memory of everything that was built."""
        self._calls.release()
        self._arms.clear()
        self._sent.clear()
        self._draws.clear()
        gc.unfreeze()
        self._session.release()

    def _settle(self, named: tuple[str, ...]) -> None:
        """Collect garbage between draws, never inside one; objects left by warm-up are exempt."""
        gc.disable()
        gc.collect()
        self._draws[named] = self._draws.get(named, 0) + 1
        if self._draws[named] == _SETTLED_DRAWS:
            gc.freeze()

    def _pack(self, asked: tuple[object, ...], drawn: Any) -> dict[str, Any]:
        """Pack what was drawn, by value: right after it was drawn, and before anything else is."""
        from pytest_sdspeed.judge.pictures.transfer import pack

        try:
            packed = pack(drawn)
        except PictureError as error:
            return {"pictures": "unreadable", "why": str(error)}
        content = packed["pictures"]
        if content is None:
            return packed
        told = repr([value for name, value in packed.items() if name != "pictures"])
        digest = hashlib.blake2b(told.encode())
        digest.update(content)
        if self._sent.get(asked) == digest.digest():
            return {"pictures": "same"}
        self._sent[asked] = digest.digest()
        return packed

    def _arm(self, named: tuple[str, ...]) -> Arm:
        if named not in self._arms:
            self._arms[named] = self._find_target(named).arm(None)
        return self._arms[named]

    def _find_target(self, named: tuple[str, ...]) -> Target:
        if named[0] == "call":
            return targets_of(named[1], None)[0]
        resolved = self._session.catalog.choose(named[1], named[2], "", undocumented=True)
        setup = self._session.setup(resolved)
        return Target(setup.name, setup, None)


def _time_draw(arm: Arm, case: Case) -> tuple[Any, float]:
    """Return what an arm draws, and the seconds that it takes."""
    if arm.timed:
        return arm.timed(case)
    start = time.perf_counter()
    drawn = arm.generate(case)
    synchronize()
    return drawn, time.perf_counter() - start
