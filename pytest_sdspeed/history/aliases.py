"""Names of before: a test, a file, a folder, a table or a setup that is called otherwise today."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import UsageMistakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_sdspeed.model import HistoryKey

OPTION = "--sd-history-alias"
_FORM = (
    "valid: OLD=NEW, each a test (test_a.py::test_engine), a file or folder (old/test_a.py), a"
    " table (inference), a setup of one (inference::fp16), or a callable's name (engine)"
)
_ENDS = ("::", "[", "/")
"""What may follow a name that is the beginning of another: a test of a file, a parameter of a test,
a file of a folder."""


class Alias(NamedTuple):
    """What was called ``old`` is called ``new`` today, and so is what begins with it."""

    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.old}={self.new}"

    def apply(self, name: str) -> str | None:
        """Return the name of today; None if this alias says nothing of a name.

        A name that is below the new one already is of today.
        """
        if _is_below(name, self.new) or not _is_below(name, self.old):
            return None
        return self.new + name[len(self.old) :]


def _is_below(name: str, beginning: str) -> bool:
    """Tell whether a name is another, or a part of what that names."""
    rest = name.removeprefix(beginning)
    return name == beginning or (rest != name and rest.startswith(_ENDS))


def parse_aliases(given: Iterable[str]) -> tuple[Alias, ...]:
    """Return the aliases that texts ``OLD=NEW`` stand for.

    Raises:
        UsageMistakeError: one is none, two contradict each other, or they lead in a circle.
    """
    found: dict[str, Alias] = {}
    for text in given:
        alias = _parse(text)
        other = found.setdefault(alias.old, alias)
        if other != alias:
            raise UsageMistakeError(
                f"{OPTION}={alias}: {alias.old} is {other.new} already: give it one name"
            )
    aliases = tuple(sorted(found.values(), key=lambda alias: -len(alias.old)))
    for alias in aliases:
        _follow(alias.old, aliases)
    return aliases


def _parse(text: str) -> Alias:
    """Split at the equals sign that stands in no brackets: parameters of tests may hold some."""
    depth, places = 0, []
    for place, letter in enumerate(text):
        depth = max(depth + (letter == "[") - (letter == "]"), 0)
        if letter == "=" and not depth:
            places.append(place)
    if len(places) != 1:
        raise UsageMistakeError(f"{OPTION}={text}: {_FORM}")
    old, new = (
        part.strip().replace("\\", "/").rstrip("/")
        for part in (text[: places[0]], text[places[0] + 1 :])
    )
    if not old or not new or old == new:
        raise UsageMistakeError(f"{OPTION}={text}: {_FORM}")
    return Alias(old, new)


def _follow(name: str, aliases: Sequence[Alias]) -> tuple[str, list[Alias]]:
    """Return what a name is called today, and the aliases that said so; the longest come first.

    Raises:
        UsageMistakeError: the aliases lead in a circle.
    """
    used: list[Alias] = []
    while True:
        step = next(
            ((alias, new) for alias in aliases if (new := alias.apply(name)) is not None), None
        )
        if step is None:
            return name, used
        alias, name = step
        if alias in used:
            circle = [*used[used.index(alias) :], alias]
            raise UsageMistakeError(
                f"{OPTION}: {' -> '.join(map(str, circle))}: a circle: name what is called so today"
            )
        used.append(alias)


class Renaming:
    """Renames keys of histories by aliases, and knows which aliases were of use.

    Args:
        aliases: as ``parse_aliases`` returns them.
    """

    def __init__(self, aliases: Sequence[Alias] = ()) -> None:
        self.aliases = aliases
        self._used: set[Alias] = set()
        self._both: dict[HistoryKey, int] = {}
        self._known: dict[HistoryKey, HistoryKey] = {}
        self._names: dict[str, None] = {}

    def learn(self, measured: Iterable[tuple[object, HistoryKey]]) -> None:
        """Look at what was stored, before anything is renamed.

        A key keeps its name if a run measured both the old and the new one: they are two rows.

        Args:
            measured: run and key of every result.
        """
        if not self.aliases:
            return
        runs: dict[HistoryKey, set[object]] = {}
        for run, key in measured:
            runs.setdefault(key, set()).add(run)
        for key, of_key in runs.items():
            today = self._find_today(key)
            both = of_key & runs.get(today, set()) if today != key else set()
            if both:
                self._both[key] = len(both)

    def rename(self, key: HistoryKey) -> HistoryKey:
        """Return the key of today.

        Args:
            key: key of a result, or one that does not tell all that a result's does.
        """
        if not self.aliases or key in self._both or any(key.fits(one) for one in self._both):
            return key
        return self._find_today(key)

    def describe_problems(self) -> list[str]:
        """Return a line for each alias that no stored run needs, and each key that is no old one.

        Nothing is said if nothing is stored.
        """
        unused = [
            f"sd history: {OPTION}={alias}: no stored run is called {alias.old}"
            f"{self._suggest(alias)}"
            for alias in self.aliases
            if self._names and alias not in self._used
        ]
        two = [
            f"sd history: {OPTION}: {_name(key)} and {_name(self._find_today(key))} were measured"
            f" side by side in {runs} run{'' if runs == 1 else 's'}: they are two rows, and stay so"
            for key, runs in self._both.items()
        ]
        return unused + two

    def _find_today(self, key: HistoryKey) -> HistoryKey:
        if key not in self._known:
            self._known[key] = (
                self._rename_callable(key) if key.table is None else self._rename_row(key)
            )
        return self._known[key]

    def _rename_callable(self, key: HistoryKey) -> HistoryKey:
        return replace(
            key,
            recipe=self._follow(key.recipe),
            setup=self._follow(key.setup),
            baseline=self._follow(key.baseline),
        )

    def _rename_row(self, key: HistoryKey) -> HistoryKey:
        table, _, setup = self._follow(f"{key.table}::{key.setup}").partition("::")
        _, _, baseline = self._follow(f"{key.table}::{key.baseline}").partition("::")
        return replace(
            key, table=table, setup=setup or key.setup, baseline=baseline or key.baseline
        )

    def _follow(self, name: str) -> str:
        self._names[name] = None
        today, used = _follow(name, self.aliases)
        self._used.update(used)
        return today

    def _suggest(self, alias: Alias) -> str:
        close = difflib.get_close_matches(alias.old, self._names, n=3)
        return f"; close: {', '.join(close)}" if close else ""


def _name(key: HistoryKey) -> str:
    return key.recipe if key.table is None else f"{key.table}::{key.setup}"
