"""Table files as tests: one for each row and for each claim, without any Python.

``pytest FILE.toml`` runs them, ``FILE.toml::setup`` a row, ``FILE.toml::claim`` the claims.

So have the files ``*.sdspeed.toml`` of collected folders, and the built-in tables, by ``pytest
--pyargs pytest_sdspeed.tables``.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import SdSpeedError, TableError
from pytest_sdspeed.model import name_claims
from pytest_sdspeed.plugin.fixtures import setup_fixtures
from pytest_sdspeed.plugin.options import CLAIM, GATE
from pytest_sdspeed.plugin.state import CLAIM_NAME, PREFIX, PROBLEMS, run_of
from pytest_sdspeed.run.session import describe_setups
from pytest_sdspeed.setups.names import RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import Table
    from pytest_sdspeed.run.session import Session


def load_named(session: Session, arguments: Sequence[str], folder: Path) -> None:
    """Load the tables that the command line names, so that what is wrong ends the run at once.

    Args:
        session: gets the tables.
        arguments: files and ids of tests, as on the command line.
        folder: what relative paths start from.

    Raises:
        SdSpeedError: a table is malformed, or another one has its name.
    """
    for argument in arguments:
        path = folder / argument.partition("::")[0]
        if path.suffix == ".toml" and path.is_file():
            session.add_table(path)


def load_collected(session: Session, tests: Iterable[str], root: Path) -> None:
    """Load the tables whose rows workers of pytest-xdist found in folders.

    The controller, which collects nothing, records what they measure, and tells of lost rows. What
    is wrong with a table its worker says.

    Args:
        session: gets the tables.
        tests: ids of tests.
        root: what the files in these ids start from.
    """
    for file in dict.fromkeys(test.partition("::")[0] for test in tests):
        path = root / file
        if path.suffix == ".toml" and path.is_file():
            with suppress(SdSpeedError):
                session.add_table(path)


class TableFile(pytest.Module):
    """A table, and a test for each of its rows and claims."""

    def _getobj(self) -> ModuleType:
        return ModuleType(self.path.stem)

    def collect(self) -> Iterator[RowTest]:
        """Yield a test for each row, then for each claim; of a broken table one that fails."""
        session = run_of(self.config).session
        try:
            table = session.add_table(self.path)
            _refuse_reserved(table)
        except SdSpeedError as error:
            self.config.stash[PROBLEMS].append(str(error))
            yield self._make_test("table", _make_failure(str(error)))
            return
        self.add_marker(pytest.mark.sd_latency(table=table.name))
        name = f"sdspeed-table-{self.nodeid}"
        if not self.config.pluginmanager.hasplugin(name):
            self.config.pluginmanager.register(setup_fixtures(describe_setups([table])), name)
        for row in table.rows:
            yield self._make_test(row.setup, _make_gate(row.setup))
        for claim in name_claims(table.claims):
            test = self._make_test(f"claim[{claim}]", _with_arguments(_judge, CLAIM))
            test.stash[CLAIM_NAME] = claim
            yield test

    def _make_test(self, name: str, function: Callable[..., None]) -> RowTest:
        return RowTest.from_parent(self, name=name, callobj=function)


class RowTest(pytest.Function):
    """The gate of one row or claim of a table."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the table as the place of the test, and not this module."""
        return self.path, 0, self.name


def _refuse_reserved(table: Table) -> None:
    for index, row in enumerate(table.rows):
        if row.setup in RESERVED:
            raise TableError(
                table.path,
                f"rows[{index}].setup",
                f"{row.setup!r} is a name that no setup can have, since the fixture"
                f" {PREFIX}{row.setup} means something else",
            )


def _make_gate(setup: str) -> Callable[..., None]:
    fixture = f"{PREFIX}{setup}"

    def measure(**fixtures: Any) -> None:
        fixtures[GATE](fixtures[fixture])

    return _with_arguments(measure, GATE, fixture)


def _judge(**fixtures: Any) -> None:
    fixtures[CLAIM]()


def _make_failure(message: str) -> Callable[..., None]:
    def fail(**_: Any) -> None:
        pytest.fail(message, pytrace=False)

    return _with_arguments(fail, GATE)


def _with_arguments(function: Callable[..., None], *names: str) -> Callable[..., None]:
    """Have pytest see arguments of these names."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, keyword) for name in names]
    )
    return function
