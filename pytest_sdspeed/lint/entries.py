"""What rules look at: each row with its table, its baseline and its figures as printed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.lint.printed import Figure, read_stated
from pytest_sdspeed.model import StackEntry
from pytest_sdspeed.model.contradictions import Contradiction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.lint.counts import Counts
    from pytest_sdspeed.model import Row, Stated, Table


class Saying(NamedTuple):
    """A figure with what it is, for messages."""

    figure: Figure
    words: str


@dataclass(frozen=True)
class Entry:
    """A row in its table.

    Attributes:
        table: its table.
        index: its place among the table's rows.
        row: the row.
    """

    table: Table
    index: int
    row: Row

    @property
    def name(self) -> str:
        """Return ``TABLE/SETUP``."""
        return f"{self.table.name}/{self.row.setup}"

    @cached_property
    def baseline(self) -> Entry:
        """Return the row that it is compared with; itself on a baseline row."""
        if self.row.is_baseline:
            return self
        index = next(
            place for place, one in enumerate(self.table.rows) if one.setup == self.row.baseline
        )
        return Entry(self.table, index, self.table.rows[index])

    @cached_property
    def stack(self) -> tuple[StackEntry, ...]:
        """Return its optimizations; a label that cannot be read is a name without options."""
        return tuple(map(_parse, self.row.optimizations))

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the names of its optimizations."""
        return frozenset(one.name for one in self.stack)

    @cached_property
    def steps(self) -> int:
        """Return the denoising steps: those of its last ``scheduler``, or else its recipe's."""
        given = [one.options.get("steps") for one in self.stack if one.name == "scheduler"]
        return next((steps for steps in reversed(given) if steps), self.row.recipe.steps)

    def figure(self, name: str) -> Figure | None:
        """Return a documented figure of the row, or None."""
        number = getattr(self.row, name)
        return None if number is None else Figure.of(number, self.row.written.get(name, ""))

    @cached_property
    def call_s(self) -> Figure | None:
        """Return the documented latency of one call, seconds, or None."""
        latency, calls = self.figure("latency_s"), self.row.recipe.repeats
        return latency.scale(1 / calls) if latency and calls > 1 else latency

    @cached_property
    def measured_speedup(self) -> Saying | None:
        """Return the speed-up that follows from documented times of the row and its baseline."""
        return None if self.row.is_baseline else compare_times(self, self.baseline)

    @property
    def documented_speedup(self) -> Figure | None:
        """Return the speed-up that is documented for itself, not computed from times, or None."""
        if self.row.is_baseline or self.measured_speedup:
            return None
        return self.figure("speedup")

    def stated(self, name: str) -> Iterator[tuple[int, Stated, Figure]]:
        """List what else is stated of a figure: its place among ``stated``, where, the figure."""
        for index, one in enumerate(self.row.stated):
            figure = read_stated(one, name)
            if figure:
                yield index, one, figure

    def find(self, rule: str, key: str, message: str, others: Sequence[str] = ()) -> Contradiction:
        """Make a contradiction of this row.

        Args:
            rule: the rule that found it.
            key: place in the row, such as ``stated[0].speedup``; "" for the row.
            message: what is said, what it contradicts, and by how much.
            others: further rows that it is about.
        """
        place = f"rows[{self.index}]"
        return Contradiction(
            rule=rule,
            table=self.table.name,
            path=self.table.path,
            key=f"{place}.{key}" if key else place,
            setup=self.row.setup,
            message=message,
            others=tuple(others),
        )


def compare_times(fast: Entry, slow: Entry) -> Saying | None:
    """Return how many times as fast a row is as another one by their times, None without them.

    Iterations per second are those of the denoising loop: they stand for that unit alone.
    """
    ours, theirs = fast.figure("latency_s"), slow.figure("latency_s")
    if ours and theirs:
        return Saying(theirs / ours, f"{theirs} s / {ours} s")
    ours, theirs = fast.figure("iterations_per_s"), slow.figure("iterations_per_s")
    if ours and theirs and fast.row.recipe.unit == "denoising":
        return Saying(ours / theirs, f"{ours} it/s / {theirs} it/s")
    return None


def _parse(label: str) -> StackEntry:
    try:
        return StackEntry.parse(label)
    except ValueError:
        return StackEntry(label)


class Unchecked(NamedTuple):
    """What a rule could not look at, and why."""

    rule: str
    table: str
    setup: str
    reason: str


@dataclass(frozen=True)
class Material:
    """Everything that rules look at.

    Attributes:
        tables: the tables.
        counts: fingerprint of a row -> what it asks of a device.
        about: names of the tables that findings may be about; the others are there to be compared
            with.
        unchecked: what rules could not look at; they add to it.
    """

    tables: tuple[Table, ...]
    counts: Mapping[str, Counts]
    about: frozenset[str]
    unchecked: list[Unchecked] = field(default_factory=list)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Return the rows that findings may be about."""
        return tuple(one for one in self.all_entries if one.table.name in self.about)

    @cached_property
    def all_entries(self) -> tuple[Entry, ...]:
        """Return the rows of all tables."""
        return tuple(
            Entry(table, index, row)
            for table in self.tables
            for index, row in enumerate(table.rows)
        )

    @cached_property
    def by_table(self) -> Mapping[str, Sequence[Entry]]:
        """Return the rows that findings may be about by the name of their table and device."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for one in self.entries:
            found[f"{one.table.name} {one.table.device}"].append(one)
        return found

    def pass_over(self, rule: str, entry: Entry, reason: str) -> None:
        """Note that a rule could not look at a row."""
        self.unchecked.append(Unchecked(rule, entry.table.name, entry.row.setup, reason))


def acknowledge(found: Contradiction, reason: str) -> Contradiction:
    """Return a contradiction with the reason that its file gives for it."""
    return replace(found, acknowledged=reason)
