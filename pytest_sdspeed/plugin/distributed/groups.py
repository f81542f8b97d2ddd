"""The group of a test: what a worker adds to the test's id for the controller.

It names the test's campaign, before anything runs, or says what is wrong with the run.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from pytest_sdspeed.model import CampaignKey

_GROUP = "@sdspeed:"
_PROBLEM = "@sdspeed-problem:"


class Group(NamedTuple):
    """The row that a gated test asks for: all "" if it brings a campaign of its own.

    A test that counts and measures no time has ``counts``, and no campaign; one of a claim has
    ``claim``, and a campaign if it is measured: that of the rows that it compares.
    """

    table: str = ""
    baseline: str = ""
    setup: str = ""
    counts: str = ""
    claim: str = ""

    @property
    def campaign(self) -> CampaignKey | None:
        """Return the key of the campaign, on any device; None for one of the test's own."""
        return CampaignKey(self.table, "", self.baseline) if self.setup else None


def add_group(test: str, group: Group) -> str:
    """Add a group to a test's id."""
    return test + _GROUP + ":".join(quote(part, safe="") for part in group)


def add_problem(test: str, problem: str) -> str:
    """Add to a test's id what is wrong with the run."""
    return test + _PROBLEM + quote(problem, safe="")


def read_group(sent_id: str) -> tuple[str, Group | None]:
    """Return a test's own id, and its group if it has one."""
    test, mark, rest = sent_id.rpartition(_GROUP)
    return (test, Group(*map(unquote, rest.split(":")))) if mark else (sent_id, None)


def read_problem(sent_id: str) -> str | None:
    """Return what is wrong with the run, or None if this id does not say."""
    _, mark, rest = sent_id.rpartition(_PROBLEM)
    return unquote(rest) if mark else None
