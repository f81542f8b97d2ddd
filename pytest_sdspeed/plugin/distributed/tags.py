"""What a worker tells the controller of a test by a tag on its id, before anything runs: its campaign, or why the run cannot be."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

_TAG = "@sdspeed:"
_PROBLEM = "@sdspeed-problem:"


class Tag(NamedTuple):
    """The row that a gated test asks for: all "" where it brings a campaign of its own."""

    table: str = ""
    baseline: str = ""
    setup: str = ""

    @property
    def campaign(self) -> tuple[str, str] | None:
        """What the campaign is known by, whatever device it is measured on; None for one of the test's own."""
        return (self.table, self.baseline) if self.setup else None


def tagged(test: str, tag: Tag) -> str:
    """A test's id with its tag."""
    return test + _TAG + ":".join(quote(part, safe="") for part in tag)


def with_problem(test: str, problem: str) -> str:
    """A test's id with what is wrong with the run."""
    return test + _PROBLEM + quote(problem, safe="")


def read(tagged_id: str) -> tuple[str, Tag | None]:
    """A test's own id, and its tag where it has one."""
    test, mark, rest = tagged_id.rpartition(_TAG)
    return (test, Tag(*map(unquote, rest.split(":")))) if mark else (tagged_id, None)


def problem_of(tagged_id: str) -> str | None:
    """What is wrong with the run, where this id tells."""
    _, mark, rest = tagged_id.rpartition(_PROBLEM)
    return unquote(rest) if mark else None
