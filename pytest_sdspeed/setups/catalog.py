"""Catalog of setups: it resolves a name to a row of a table, for this device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.model import BASELINE, MINIATURE, CampaignKey, Recipe, Row, Table, TableSet
from pytest_sdspeed.setups.names import BUILTIN_SETUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.setups.registry import Registry

DEFAULT_ON_GPU = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSetup:
    """What a setup's name means.

    Attributes:
        table: table that gives recipe and baseline.
        setup: name of the setup.
        optimizations: names of its stack.
        recipe: what it generates.
        row: what it is documented to deliver, or None if the table does not have it.
        baseline: name of the baseline row of ``table``.
    """

    table: Table
    setup: str
    optimizations: tuple[str, ...]
    recipe: Recipe
    row: Row | None
    baseline: str

    @property
    def campaign(self) -> CampaignKey:
        """Return the key of its campaign: the table, the table's device, and the baseline."""
        return CampaignKey(self.table.name, self.table.device, self.baseline)


class Catalog:
    """Tables and registered setups, looked up by name.

    Only the tables that an answer depends on are read. Every method raises TableError if one that
    is read now is malformed.

    Args:
        tables: all tables.
        registry: setups that users registered.
        gpu: whether this run measures on the GPU, which decides the default table.
        device: returns the name of this machine's device; called only if a recorded table could
            be for it.
    """

    def __init__(
        self, tables: TableSet, registry: Registry, *, gpu: bool, device: Callable[[], str]
    ) -> None:
        self._tables, self._registry, self._gpu, self._device = tables, registry, gpu, device

    def find_tables(self, name: str, where: str) -> list[Table]:
        """Return the tables of a name, the best first.

        The best is one recorded for this device, then a documented one, then one recorded for
        another device.

        Raises:
            UnknownNameError: no table has that name.
        """
        found = list(self._tables.find(name))
        if not found:
            raise UnknownNameError("table", name, self._tables.names, where)
        return found if len(found) == 1 else sorted(found, key=self._rank)

    def _rank(self, table: Table) -> int:
        if not table.recorded:
            return 1
        return 0 if table.device == self._device() else 2

    def choose_table(self, setup: str) -> str:
        """Return the name of the table for a test that names none.

        On the CPU it is the miniature. On a GPU it is ``DEFAULT_ON_GPU`` if that has the setup, or
        if no table has it; else the first that has it, those for GPUs first.
        """
        if not self._gpu:
            return MINIATURE
        holders = self._find_holders(setup)
        first = next(holders, None)
        if first is None or first.name == DEFAULT_ON_GPU:
            return DEFAULT_ON_GPU
        return min([first, *holders], key=lambda table: table.on_cpu).name

    def _find_holders(self, setup: str) -> Iterator[Table]:
        """Yield the tables that have a setup: ``DEFAULT_ON_GPU`` before the others are read."""
        for table in self._tables.find(DEFAULT_ON_GPU):
            if table.row(setup):
                yield table
        for table in self._tables:
            if table.name != DEFAULT_ON_GPU and table.row(setup):
                yield table

    def list_setups(self, name: str | None, where: str) -> tuple[str, ...]:
        """Return the setups of a table, baselines included, in its order.

        Setups that only another table of the same name has come last: ``choose`` finds them too.
        """
        tables = self.find_tables(name or self.choose_table(BASELINE), where)
        return tuple(dict.fromkeys(row.setup for table in tables for row in table.rows))

    def choose(
        self, name: str | None, setup: str, where: str, *, undocumented: bool = False
    ) -> ResolvedSetup:
        """Resolve a setup by name.

        If the recorded table of this device lacks the row, the documented table of the same name
        gives it.

        Args:
            name: name of the table, or None for the default one.
            setup: name of a row of the table, of a registered setup or, in the default table, of
                any built-in setup.
            where: what asks for it, for messages.
            undocumented: whether any table takes any built-in setup: something other than a row
                says what to expect of it.

        Raises:
            UnknownNameError: there is no such table or setup.
        """
        tables = self.find_tables(name or self.choose_table(setup), where)
        for table in tables:
            row = table.row(setup)
            if row:
                return _resolve_row(table, row)
        base = next(row for row in tables[0].rows if row.is_baseline)
        registered = self._registry.setups.get(setup)
        if registered:
            stack, recipe = registered.optimizations, registered.recipe or base.recipe
        elif (name is None or undocumented) and setup in BUILTIN_SETUPS:
            stack, recipe = self._find_builtin_stack(setup), base.recipe
        else:
            raise UnknownNameError(
                f"setup of table {tables[0].name!r}",
                setup,
                {row.setup for table in tables for row in table.rows},
                where,
            )
        return ResolvedSetup(
            table=tables[0],
            setup=setup,
            optimizations=stack,
            recipe=recipe,
            row=None,
            baseline=base.setup,
        )

    def find_campaign(self, name: str | None, setup: str) -> tuple[str, str]:
        """Return table and baseline of a setup, which do not depend on the device.

        The tests of one campaign have both in common on every machine.

        Args:
            name: name of the table, or None for the default one.
            setup: name of a row of the table; if the table does not have it, the baseline is "".
        """
        table = name or self.choose_table(setup)
        tables = sorted(self._tables.find(table), key=lambda one: bool(one.recorded))
        return table, next((row.baseline for one in tables if (row := one.row(setup))), "")

    @staticmethod
    def find_baseline(resolved: ResolvedSetup) -> ResolvedSetup:
        """Return what a setup is compared with: the baseline of its own table.

        Other tables of that name may have a baseline of their own.
        """
        row = resolved.table.row(resolved.baseline)
        assert row is not None  # noqa: S101 - no table lacks the baseline of a row
        return _resolve_row(resolved.table, row)

    def _find_builtin_stack(self, setup: str) -> tuple[str, ...]:
        row = next(self._find_holders(setup)).row(setup)
        assert row is not None  # noqa: S101 - chosen for having it
        return row.optimizations

    def is_setup(self, name: str) -> bool:
        """Tell whether a name is that of a setup, as a fixture ``sd_<name>`` would have it.

        The row of a built-in table has a name of ``BUILTIN_SETUPS``, or one that begins with its
        table's name: no other built-in table is read.
        """
        if name in BUILTIN_SETUPS or name in self._registry.setups:
            return True
        if any(table.row(name) for table in self._tables.added):
            return True
        named = [table for table in self._tables.names if name.startswith(f"{table}_")]
        return any(table.row(name) for table in self._tables.find(*named))


def _resolve_row(table: Table, row: Row) -> ResolvedSetup:
    return ResolvedSetup(
        table=table,
        setup=row.setup,
        optimizations=row.optimizations,
        recipe=row.recipe,
        row=row,
        baseline=row.baseline,
    )
