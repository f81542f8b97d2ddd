"""Answer what a worker is asked: build, draw, and tell where the time goes."""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.cuda import synchronize
from pytest_sdspeed.errors import SdSpeedError, explain
from pytest_sdspeed.model import Case
from pytest_sdspeed.run.targets import Target, targets_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.run.session import Session


_SETTLED_DRAWS = 2
"""Warm-up draws so often at least: what exists then stays."""


class WorkerServer:
    """Answers requests about setups and callables.

    They are named by tuples: ``("setup", table, name)``, or ``("call", "module:name")``.

    Args:
        run: of this worker, which knows its tables, registered setups and machine.
        finder: ``sides.finder.RootsFinder`` of this side.
    """

    def __init__(self, run: Session, finder: Any) -> None:
        self._run, self._finder = run, finder
        self._arms: dict[tuple[str, ...], Arm] = {}
        self._draws: dict[tuple[str, ...], int] = {}
        self._sent: dict[tuple[object, ...], bytes] = {}

    def answer(self, command: str, *arguments: Any) -> tuple[str, Any]:
        """``ok`` and what was asked for; or ``error``, with the kind of error and its message."""
        try:
            return "ok", getattr(self, f"on_{command}")(*arguments)
        except SdSpeedError as error:
            return "error", (type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a setup or an import raises, the worker goes on
            told = explain(str(arguments[0][-1]) if arguments else command, error)
            return "error", (type(told).__name__, str(told))

    def on_check(self, named: tuple[str, ...]) -> None:
        """See that this side has it, and that its libraries can be imported.

        Raises:
            SdSpeedError: it has not.
        """
        target = self._find_target(named)
        if target.setup is not None:
            from pytest_sdspeed.device.quiet import quiet

            with quiet():
                import diffusers

                # Lazily imported by diffusers: only now is it known to work.
                _ = diffusers.StableDiffusionPipeline

    def on_versions(self) -> dict[str, str]:
        """Package -> version: of what is imported its own word, since a checkout has no other."""
        loaded = {
            name: getattr(sys.modules.get(name.replace("-", "_")), "__version__", None)
            for name in self._run.machine.versions
        }
        return {
            **self._run.machine.versions,
            **{name: str(version) for name, version in loaded.items() if version is not None},
        }

    def on_served(self) -> list[str]:
        """Top-level names that came from this side's own folders."""
        return sorted(self._finder.served)

    def on_build(self, named: tuple[str, ...]) -> None:
        """Build what draws."""
        from pytest_sdspeed.device.quiet import quiet

        with quiet():
            self._arm(named).prepare()

    def on_held(self, named: tuple[str, ...]) -> int:
        """Bytes of its weights."""
        return self._arm(named).held_bytes()

    def on_draw(
        self, named: tuple[str, ...], seed: int, prompt: str, metered: int
    ) -> dict[str, Any]:
        """Draw once, timed here.

        Args:
            named: what draws.
            seed: of the case.
            prompt: of the case.
            metered: whether to meter memory; 0 or 1.

        Returns:
            ``duration_s``; ``peak_bytes``, or None; ``shape`` and ``pictures``, float32 in bytes:
            None where nothing was drawn, and ``same`` where it is what was sent last.
        """
        from pytest_sdspeed.device.quiet import quiet

        arm, meter = self._arm(named), self._run.memory()
        try:
            with quiet(), arm.slot():
                if metered:
                    meter.start()
                synchronize()
                start = time.perf_counter()
                drawn = arm.generate(Case(seed, prompt))
                synchronize()
                duration_s = time.perf_counter() - start
                peak_bytes = meter.peak_bytes() if metered else None
            return {
                "duration_s": duration_s,
                "peak_bytes": peak_bytes,
                **self._pack((named, seed, prompt), drawn),
            }
        finally:
            self._settle(named)

    def on_stages(self, named: tuple[str, ...], seed: int) -> Mapping[str, float]:
        """Stage -> seconds, of one generation more; empty for a callable."""
        setup = self._find_target(named).setup
        if setup is None:
            return {}
        from pytest_sdspeed.pipelines.profiling import time_stages

        found = time_stages(
            setup.pipeline, lambda: setup.generate(seed), kind=self._run.machine.kind
        )
        gc.collect()
        return dict(found)

    def on_release(self) -> None:
        """Give the memory of everything that was built back."""
        self._arms.clear()
        self._sent.clear()
        gc.unfreeze()
        self._run.release()

    def _settle(self, named: tuple[str, ...]) -> None:
        """Collect garbage between draws, never inside one; what warm-up left stays."""
        gc.disable()
        gc.collect()
        self._draws[named] = self._draws.get(named, 0) + 1
        if self._draws[named] == _SETTLED_DRAWS:
            gc.freeze()

    def _pack(self, asked: tuple[object, ...], drawn: Any) -> dict[str, Any]:
        if drawn is None:
            return {"pictures": None, "shape": None}
        from pytest_sdspeed.judge.pictures.conversion import as_pictures

        pictures = as_pictures(drawn)
        content = pictures.tobytes()
        digest = hashlib.blake2b(content).digest()
        if self._sent.get(asked) == digest:
            return {"pictures": "same", "shape": None}
        self._sent[asked] = digest
        return {"pictures": content, "shape": pictures.shape}

    def _arm(self, named: tuple[str, ...]) -> Arm:
        if named not in self._arms:
            self._arms[named] = self._find_target(named).arm(None)
        return self._arms[named]

    def _find_target(self, named: tuple[str, ...]) -> Target:
        if named[0] == "call":
            return targets_of(named[1], None)[0]
        resolved = self._run.catalog.choose(named[1], named[2], "")
        setup = self._run.setup(resolved)
        return Target(setup.name, setup, None)
