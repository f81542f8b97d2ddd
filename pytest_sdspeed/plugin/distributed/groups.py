"""What a worker tells the controller of a test by a tag on its id, before anything runs: its campaign, or why the run cannot be."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from pytest_sdspeed.model import CampaignKey

_TAG = "@sdspeed:"
_PROBLEM = "@sdspeed-problem:"


class Group(NamedTuple):
    """The row that a gated test asks for: all "" where it brings a campaign of its own."""

    table: str = ""
    baseline: str = ""
    setup: str = ""

    @property
    def campaign(self) -> CampaignKey | None:
        """What the campaign is known by, on any device; None for one of the test's own."""
        return CampaignKey(self.table, "", self.baseline) if self.setup else None


def add_group(test: str, tag: Group) -> str:
    """A test's id with its tag."""
    return test + _TAG + ":".join(quote(part, safe="") for part in tag)


def add_problem(test: str, problem: str) -> str:
    """A test's id with what is wrong with the run."""
    return test + _PROBLEM + quote(problem, safe="")


def read_group(tagged_id: str) -> tuple[str, Group | None]:
    """A test's own id, and its tag where it has one."""
    test, mark, rest = tagged_id.rpartition(_TAG)
    return (test, Group(*map(unquote, rest.split(":")))) if mark else (tagged_id, None)


def read_problem(tagged_id: str) -> str | None:
    """What is wrong with the run, where this id tells."""
    _, mark, rest = tagged_id.rpartition(_PROBLEM)
    return unquote(rest) if mark else None
