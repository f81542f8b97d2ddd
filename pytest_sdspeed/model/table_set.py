"""Tables by name: those of which only the name is known are read when somebody asks for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pytest_sdspeed.model.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


class TableSet(Collection[Table]):
    """Tables in their order; who goes over all of them has all of them read.

    Args:
        readers: name -> reads the table of that name, each before those that are read already.
        added: tables that are read already; they may have names of others.

    Attributes:
        added: the same.
    """

    def __init__(
        self, readers: Mapping[str, Callable[[], Table]], added: Iterable[Table] = ()
    ) -> None:
        self._readers, self.added = readers, tuple(added)
        self._read: dict[str, Table] = {}

    def __iter__(self) -> Iterator[Table]:
        """Yield every table; one that was not read yet is read, which may raise TableError."""
        for name in self._readers:
            yield self._read_once(name)
        yield from self.added

    def __len__(self) -> int:
        """Return how many tables there are; none is read."""
        return len(self._readers) + len(self.added)

    def __contains__(self, table: object) -> bool:
        """Tell whether a table is one of them; only one of its name is read."""
        return isinstance(table, Table) and table in self.find(table.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all tables, each once; none is read."""
        return tuple(dict.fromkeys([*self._readers, *(table.name for table in self.added)]))

    def find(self, *names: str | None) -> tuple[Table, ...]:
        """Return the tables of these names, in their order; no other is read.

        Raises:
            TableError: one of them is read now, and is malformed.
        """
        return (
            *(self._read_once(name) for name in self._readers if name in names),
            *(table for table in self.added if table.name in names),
        )

    def add(self, table: Table) -> TableSet:
        """Return these tables and one more; what one of the two sets reads the other has."""
        more = TableSet(self._readers, (*self.added, table))
        more._read = self._read
        return more

    def _read_once(self, name: str) -> Table:
        if name not in self._read:
            self._read[name] = self._readers[name]()
        return self._read[name]
