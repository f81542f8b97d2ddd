"""Ask the tests: a plugin of pytest that collects them once, and forks for every mutant.

It is run in a folder of ``planting.plant``. First each test runs as it is, which tells the mutated
functions that it calls, and how long it takes. Then each mutant is shown to the tests that call its
function, the one that killed the mutant before it first, until one fails.

A child inherits the modules. A function that is called while its module is imported has done its
work by then; its mutants are shown to all tests, which import the modules anew.
"""

from __future__ import annotations

import gc
import json
import math
import os
import pkgutil
import resource
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import settings

from mutation.planting import Mutant, digest, read_mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

MUTANT, ROOM, ONLY = "MUTANT_UNDER_TEST", "MUTANTS_ROOM", "MUTANTS_ONLY"
OUTCOMES = "outcomes.json"
SURVIVED, OUT_OF_TIME, CRASHED, IMPORTS = "", "time limit", "crash", "import"
"""What stands in place of the test that killed a mutant: none did; it ran for too long, ended the
process, or could not be imported."""

RUNS_INSIDE = {"gated", "pytester", "fake_time", "bucket", "fetched"}
"""Fixtures of tests that run pytest inside: they are not the room's own, and take seconds."""
LONG_S = 1.0
"""Tests that take more CPU time are not asked either: a survivor costs all tests that are. So the
score is what the others find, a lower bound."""

LEAST_CPU_S, SLOWER = 5, 20
"""With a mutant a test may take so many seconds of CPU time, and so many times as long as without.
Wall time tells nothing on a machine that others use too; at ``LONGEST_S`` it ends."""
LONGEST_S = 900

settings.register_profile(
    "mutants", derandomize=True, database=None, deadline=None, max_examples=10
)
settings.load_profile("mutants")


def _note_calls() -> set[str]:
    """Return the set into which mutmut puts the mutated functions that are called."""
    from mutmut.state import state

    called: set[str] = state()._stats  # noqa: SLF001 - it has no other name
    return called


class Asked(NamedTuple):
    """A test: the mutated functions that it calls, and what it takes without any mutant."""

    item: pytest.Item
    functions: frozenset[str]
    seconds: float


def pytest_configure(config: pytest.Config) -> None:
    """Import the room, and note which of its functions that calls."""
    if os.environ.get(MUTANT):
        return  # in a child, for a function that imports call: the tests run as ever
    os.environ[MUTANT] = "stats"
    package = import_module(f"pytest_sdspeed.{os.environ[ROOM]}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    config.pluginmanager.register(_Asking(frozenset(_note_calls())))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is slow, what runs pytest inside, and files made of hundreds of examples."""
    items[:] = [
        item
        for item in items
        if not item.path.stem.endswith("_anything")
        and "slow" not in item.keywords
        and RUNS_INSIDE.isdisjoint(getattr(item, "fixturenames", ()))
    ]


class _Asking:
    """Takes the place of pytest's loop over the tests.

    Attributes:
        imported: functions that are called by imports.
        outcomes: mutant -> what became of it.
    """

    def __init__(self, imported: frozenset[str]) -> None:
        self.imported = imported
        self.file = Path.cwd() / OUTCOMES
        self.outcomes: dict[str, dict[str, str]] = (
            json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        )
        self.killers: dict[str, str] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        mutants = read_mutants(Path())
        digests = {str(path): digest([path]) for path in {item.path for item in session.items}}
        every = digest(Path("tests").rglob("*.py"))
        asked = [self._observe(item, following) for item, following in _with_next(session.items)]
        long = [one for one in asked if one.seconds > LONG_S]
        print(
            f"{len(asked)} tests; not asked, since they are long:", *(one.item.name for one in long)
        )
        asked = [one for one in asked if one.seconds <= LONG_S]
        # In no order of theirs: what an interrupted run found is a sample of them all.
        waiting = sorted(
            (m for m in mutants if not m.prose and os.environ.get(ONLY, "") in m.name),
            key=lambda mutant: mutant.digest,
        )
        gc.collect()
        gc.freeze()  # children copy no page of the parent's for its counts
        shown = time.monotonic()
        for number, mutant in enumerate(waiting):
            if self._is_known(mutant, every, digests):
                continue
            tests = [one for one in asked if mutant.function in one.functions]
            killer = self._show(mutant, asked, tests)
            self.outcomes[mutant.name] = {
                "digest": mutant.digest,
                "by": killer,
                "tests": digests.get(str(Path(killer.partition("::")[0]).absolute()), every),
            }
            if time.monotonic() - shown > 5 or number == len(waiting) - 1:
                shown = time.monotonic()
                self._save()
                alive = sum(one["by"] == SURVIVED for one in self.outcomes.values())
                spent = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
                print(
                    f"{number + 1} of {len(waiting)}, {alive} survived, {spent:.0f} s of CPU time",
                    flush=True,
                )
        self._save()
        return True

    def _is_known(self, mutant: Mutant, every: str, digests: dict[str, str]) -> bool:
        """Tell whether an earlier outcome holds.

        That of a survivor does until any test changes, that of a kill until the test's file does.
        """
        known = self.outcomes.get(mutant.name)
        if known is None or known["digest"] != mutant.digest:
            return False
        file = str(Path(known["by"].partition("::")[0]).absolute())
        if known["tests"] == digests.get(file, every):
            return True
        self.killers[mutant.function] = known["by"]
        return False

    def _observe(self, item: pytest.Item, following: pytest.Item | None) -> Asked:
        """Run a test as it is."""
        called = _note_calls()
        called.clear()
        begun = time.process_time()
        if not _passes(item, following):
            print(f"{item.nodeid} fails without any mutant: nothing can be told", flush=True)
            raise item.session.Failed
        return Asked(item, frozenset(called), time.process_time() - begun)

    def _show(self, mutant: Mutant, every: Sequence[Asked], tests: Sequence[Asked]) -> str:
        """Return the id of the test that killed a mutant, or what stands in its place."""
        if mutant.function in self.imported:
            return _ask_in_child(mutant, lambda: _ask_all(every))
        last = self.killers.get(mutant.function)
        ordered = sorted(tests, key=lambda one: (one.item.nodeid != last, one.seconds))
        killer = _ask_in_child(mutant, lambda: _ask(ordered)) if ordered else SURVIVED
        if killer not in (SURVIVED, OUT_OF_TIME):
            self.killers[mutant.function] = killer
        return killer

    def _save(self) -> None:
        self.file.write_text(json.dumps(self.outcomes, indent=0), encoding="utf-8")


def _with_next(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Yield every test with the one that follows it, whose fixtures stay."""
    return zip(items, [*items[1:], None], strict=True)


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    from _pytest.runner import runtestprotocol

    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _ask(tests: Sequence[Asked]) -> str:
    """Run tests, and return the id of the first that fails; "" if none does."""
    for one, (item, following) in zip(tests, _with_next([one.item for one in tests]), strict=True):
        _limit(one.seconds)
        if not _passes(item, following):
            return item.nodeid
    return ""


def _limit(seconds: float) -> None:
    """End this process if it takes too much CPU time from now on.

    Args:
        seconds: CPU time that what follows takes without a mutant.
    """
    limit = time.process_time() + LEAST_CPU_S + SLOWER * seconds
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), resource.RLIM_INFINITY))


def _ask_all(tests: Sequence[Asked]) -> str:
    """Run whole files, the modules imported anew, and return what failed first; "" if nothing."""
    import pytest

    _limit(sum(one.seconds for one in tests))
    files = {one.item.path for one in tests}
    here = str(Path.cwd())
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(here):
            del sys.modules[name]
    first = _FirstFailure()
    plain = ["-x", "-q", "-p", "no:cacheprovider", "--tb=native", *map(str, sorted(files))]
    code = pytest.main(plain, plugins=[sys.modules[__name__], first])
    return first.nodeid or ("" if code == 0 else IMPORTS)


class _FirstFailure:
    def __init__(self) -> None:
        self.nodeid = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.nodeid = self.nodeid or report.nodeid


def _ask_in_child(mutant: Mutant, ask: Callable[[], str]) -> str:
    """Return what ``ask`` returns in a child of this process in which the mutant is called.

    Args:
        mutant: it.
        ask: tells which test fails.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _be_child(mutant, ask, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        killer = told.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM):
        return OUT_OF_TIME
    return killer if os.waitstatus_to_exitcode(status) == 0 else CRASHED


def _be_child(mutant: Mutant, ask: Callable[[], str], writer: int) -> None:
    """Ask, tell the parent, and end this process; never return."""
    status = 1
    try:
        os.environ[MUTANT] = mutant.name
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        signal.alarm(LONGEST_S)
        os.write(writer, ask().encode())
        status = 0
    finally:
        os._exit(status)
