"""Which row of which table a setup's name means, on this device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.model import BASELINE, MINIATURE, CampaignKey, Recipe, Row, Table
from pytest_sdspeed.setups.names import BUILTIN_SETUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_sdspeed.setups.registry import Registry

DEFAULT_ON_GPU = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSetup:
    """A setup found.

    Attributes:
        table: whose recipe and baseline it has.
        setup: its name.
        optimizations: names of its stack.
        recipe: what it generates.
        row: what it is documented to deliver, or None where the table does not have it.
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
        """What its campaign is known by."""
        return CampaignKey(self.table.name, self.table.device, self.baseline)


class Catalog:
    """Tables and registered setups, looked up by name.

    Args:
        tables: all that are loaded.
        registry: setups that users registered.
        gpu: whether this run measures on the GPU, which decides the default table.
        device: names this machine's device; asked only where a recorded table could be for it.
    """

    def __init__(
        self, tables: Sequence[Table], registry: Registry, *, gpu: bool, device: Callable[[], str]
    ) -> None:
        self._tables, self._registry, self._gpu, self._device = tables, registry, gpu, device

    def named(self, name: str, where: str) -> list[Table]:
        """The tables of that name, best first: recorded for this device, then documented, then recorded for another.

        Raises:
            UnknownNameError: there is none.
        """
        found = [table for table in self._tables if table.name == name]
        if not found:
            raise UnknownNameError("table", name, {table.name for table in self._tables}, where)
        return found if len(found) == 1 else sorted(found, key=self._rank)

    def _rank(self, table: Table) -> int:
        if not table.recorded:
            return 1
        return 0 if table.device == self._device() else 2

    def default_table(self, setup: str) -> str:
        """The table of a test that names none: the miniature on the CPU; on a GPU the first that has the setup, one for GPUs if there is."""
        if not self._gpu:
            return MINIATURE
        holders = sorted(
            (table for table in self._tables if table.row(setup)), key=lambda table: table.on_cpu
        )
        names = [table.name for table in holders]
        return DEFAULT_ON_GPU if DEFAULT_ON_GPU in names or not names else names[0]

    def rows(self, name: str | None, where: str) -> tuple[str, ...]:
        """Setups of a table, baselines included, in its order; then those that only another table of its name has: ``choose`` finds them too."""
        tables = self.named(name or self.default_table(BASELINE), where)
        return tuple(dict.fromkeys(row.setup for table in tables for row in table.rows))

    def choose(self, name: str | None, setup: str, where: str) -> ResolvedSetup:
        """A setup by name. A row that the recorded table of this device lacks is that of the documented table of the same name.

        Args:
            name: of the table, or None for the default one.
            setup: a row of it, a registered setup or, in the default table, any built-in setup.
            where: who asks, for messages.

        Raises:
            UnknownNameError: no such table or setup.
        """
        tables = self.named(name or self.default_table(setup), where)
        for table in tables:
            row = table.row(setup)
            if row:
                return _row_of(table, row)
        base = next(row for row in tables[0].rows if row.is_baseline)
        registered = self._registry.setups.get(setup)
        if registered:
            stack, recipe = registered.optimizations, registered.recipe or base.recipe
        elif name is None and setup in BUILTIN_SETUPS:
            stack, recipe = self._builtin_stack(setup), base.recipe
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

    def shared_by_devices(self, name: str | None, setup: str) -> tuple[str, str]:
        """Table and baseline of a setup, whatever device it is measured on: what the tests of one campaign have in common everywhere.

        Args:
            name: of the table, or None for the default one.
            setup: a row of it; the baseline is "" where the table does not have it.
        """
        table = name or self.default_table(setup)
        tables = sorted(
            (one for one in self._tables if one.name == table), key=lambda one: bool(one.recorded)
        )
        return table, next((row.baseline for one in tables if (row := one.row(setup))), "")

    @staticmethod
    def baseline_of(choice: ResolvedSetup) -> ResolvedSetup:
        """What a choice is compared with: the baseline of its own table, whichever other table of that name has one."""
        row = choice.table.row(choice.baseline)
        assert row is not None  # noqa: S101 - no table lacks the baseline of a row
        return _row_of(choice.table, row)

    def _builtin_stack(self, setup: str) -> tuple[str, ...]:
        holders = sorted(
            (table for table in self._tables if table.row(setup)),
            key=lambda table: table.name != DEFAULT_ON_GPU,
        )
        row = holders[0].row(setup)
        assert row is not None  # noqa: S101 - chosen for having it
        return row.optimizations

    def setup_names(self) -> set[str]:
        """Every setup that has a fixture."""
        return (
            {row.setup for table in self._tables for row in table.rows}
            | BUILTIN_SETUPS.keys()
            | self._registry.setups.keys()
        )


def _row_of(table: Table, row: Row) -> ResolvedSetup:
    return ResolvedSetup(
        table=table,
        setup=row.setup,
        optimizations=row.optimizations,
        recipe=row.recipe,
        row=row,
        baseline=row.baseline,
    )
