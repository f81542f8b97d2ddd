"""Keys of what a run keeps in pytest's stash, and facts that a test's name and fixtures tell."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.plugin.options import CLAIM, COUNTING, GATE

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_sdspeed.model import AccountResult, ClaimResult, Result
    from pytest_sdspeed.plugin.asking import Asking
    from pytest_sdspeed.run.plan import Plan
    from pytest_sdspeed.run.planned_claims import PlannedClaim
    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.store.benchmark import ReplayClock

OPTIONS: pytest.StashKey[Options] = pytest.StashKey()
RUN: pytest.StashKey[Run] = pytest.StashKey()
REGISTRY: pytest.StashKey[Registry] = pytest.StashKey()
PLAN: pytest.StashKey[tuple[list[Any], Plan]] = pytest.StashKey()
"""The markers of a test, and what the test asks for; set when it is collected."""
CLOCK: pytest.StashKey[ReplayClock] = pytest.StashKey()
RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""What the gate of a test measured."""
ACCOUNTS: pytest.StashKey[list[AccountResult]] = pytest.StashKey()
"""What the gates of a test counted."""
CLAIMED: pytest.StashKey[ClaimResult] = pytest.StashKey()
"""What became of the claim of a test."""
ASKING: pytest.StashKey[dict[str, Asking]] = pytest.StashKey()
"""Gate -> whether a test, in the attempt that runs, has asked it, and how that ended."""
PROCESS: pytest.StashKey[int] = pytest.StashKey()
"""The id of the process that collects, reports and stores."""
BEGUN: pytest.StashKey[dict[str, float]] = pytest.StashKey()
"""Phase of a test -> when it began, seconds of the wall clock: ``protocol`` and ``call``."""
COUNTED: pytest.StashKey[bool] = pytest.StashKey()
"""Set if the plan of the run has counted what a test asks for."""
PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()
"""What is wrong with the collected tests: it ends the run before any of them."""
ANSWER: pytest.StashKey[Path] = pytest.StashKey()
"""The file for the finding of a run that is to confirm another one's failure."""
COLD: pytest.StashKey[Any] = pytest.StashKey()
"""What a run is asked that only starts with one row."""
CLAIM_NAME: pytest.StashKey[str] = pytest.StashKey()
"""The name of the claim that a test of a table's file judges."""
PREFIX = "sd_"
ROW = "sd_setup"
GATES = (GATE, COUNTING)

_CLOCK = (perf_counter,)
"""Held here: freezegun replaces the functions of every module, and no members of tuples."""


def now() -> float:
    """Return seconds of the wall clock, which nothing in a test stops."""
    return _CLOCK[0]()


def note_begin(item: pytest.Item, phase: str) -> None:
    """Note that a phase of a test begins, if that is not known yet."""
    item.stash.setdefault(BEGUN, {}).setdefault(phase, now())


def options_of(config: pytest.Config) -> Options:
    """Return the options of this run; read them when they are first needed.

    Raises:
        pytest.UsageError: the value of an option is not valid.
    """
    if OPTIONS not in config.stash:
        from pytest_sdspeed.plugin.settings import read_options

        config.stash[OPTIONS] = read_options(config)
    return config.stash[OPTIONS]


def run_of(config: pytest.Config) -> Run:
    """Find this run; make it when it is first needed.

    Raises:
        pytest.UsageError: the value of an option is not valid.
    """
    if RUN not in config.stash:
        given = options_of(config)
        from pytest_sdspeed.plugin.progress import make_watcher
        from pytest_sdspeed.run.run import Run

        planned: list[str] = []
        watcher = make_watcher(config, planned.append)
        run = config.stash[RUN] = Run(given, config.stash[REGISTRY], watcher)
        run.planned = planned
        config.add_cleanup(run.end)
    return config.stash[RUN]


def gates_of(item: pytest.Item) -> list[str]:
    """Name the gates that a test may call: it has the marker, or gets the fixture in any way.

    A marker beside ``sd_claim`` names the table of the claims, and no other gate. ``must_ask`` says
    which of them it must.
    """
    names = getattr(item, "fixturenames", ())
    if CLAIM in names:
        return [CLAIM, *(gate for gate in GATES if gate in names)]
    return [gate for gate in GATES if gate in names or item.get_closest_marker(gate) is not None]


def is_gated(item: pytest.Item) -> bool:
    """Tell whether a test may measure or count."""
    return bool(gates_of(item))


def is_timed(item: pytest.Item) -> bool:
    """Tell whether a test may measure times: under ``--sd-dry`` none does."""
    return GATE in gates_of(item) and not run_of(item.config).options.dry


def claim_of(item: pytest.Item) -> PlannedClaim | None:
    """Return the claim that a test judges, as its collection found it, or None."""
    known: tuple[Any, Plan] | None = item.stash.get(PLAN, None)
    return known[1].claim if known else None


def is_measured(item: pytest.Item) -> bool:
    """Tell whether a test may measure: a row, a callable, or the rows that a claim compares."""
    claim = claim_of(item)
    measures_claim = claim is not None and claim.is_measured
    return is_timed(item) or (measures_claim and not run_of(item.config).options.dry)


def measures_nothing(config: pytest.Config) -> bool:
    """Tell whether pytest-benchmark was told not to measure, and this run would.

    A rehearsal measures nothing in any case.
    """
    from pytest_sdspeed.store.benchmark import is_measuring_off

    return is_measuring_off(config.option) and not run_of(config).options.rehearses


def only_counts(item: pytest.Item) -> bool:
    """Tell whether a test counts and measures no time, so that its setups are those of a GPU."""
    return run_of(item.config).options.dry or gates_of(item) == [COUNTING]


def must_ask(item: pytest.Item, gate: str = GATE) -> bool:
    """Tell whether a test must call a gate.

    It must if it has the marker itself, if it has that of its class or module and can get the gate,
    or if it asks for the gate itself: by its arguments, a mark ``usefixtures`` of its own, or a
    fixture that these name. An autouse fixture that offers the gate to every test of a class
    obliges none of them.
    """
    if CLAIM in getattr(item, "fixturenames", ()):
        return gate in _fixtures_asked_for(item)
    if any(mark.name == gate for mark in item.own_markers):
        return True
    if item.get_closest_marker(gate) is not None:
        return not {gate, "request"}.isdisjoint(getattr(item, "fixturenames", ()))
    return gate in _fixtures_asked_for(item)


def _fixtures_asked_for(item: pytest.Item) -> set[str]:
    """Name the fixtures that a test asks for itself, and those that they ask for."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return set()
    found: set[str] = set()
    open_ = [
        *info.argnames,
        *(name for mark in item.own_markers if mark.name == "usefixtures" for name in mark.args),
    ]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            for definition in info.name2fixturedefs.get(name, ()):
                open_ += definition.argnames
    return found


def is_of_body(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """Tell whether a report is of a gated test's body, and not of a subtest inside.

    Args:
        item: the test.
        call: what the report is made of.
    """
    askings = item.stash.get(ASKING, {})
    return call.when == "call" and any(asking.ended for asking in askings.values())


def own_id(item: pytest.Item) -> str:
    """Return the id of a test, without the group that ``--dist=loadgroup`` adds in a worker."""
    test, _, _ = item.nodeid.rpartition("@")
    return test if test.endswith(item.name) else item.nodeid
