"""A scheduler that keeps the tests of a campaign on one worker, and others as ``--dist`` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from xdist.report import report_collection_diff
from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

from pytest_sdspeed.plugin.distributed.groups import read_group

if TYPE_CHECKING:
    from collections.abc import Sequence

_RULES = {
    "loadscope": LoadScopeScheduling,
    "loadfile": LoadFileScheduling,
    "loadgroup": LoadGroupScheduling,
}
"""The values of ``--dist`` that keep tests together, and their rules."""


class CampaignScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed for others
    """The scheduler that replaces xdist's own as soon as a worker has collected tests that measure.

    Args:
        config: the run's configuration.
        log: xdist's log.
        nodes: workers that are ready.

    Attributes:
        lost: ids, with their groups, of the tests that were lost with the latest worker that broke,
            the one that it ran first.
    """

    def __init__(self, config: Any, log: Any, nodes: list[Any]) -> None:
        super().__init__(config, log)
        self._rule = _RULES.get(config.getvalue("dist"))
        self.lost: tuple[str, ...] = ()
        for node in nodes:
            self.add_node(node)

    def _split_scope(self, nodeid: str) -> str:
        _, group = read_group(nodeid)
        if group is not None:
            return repr(group.campaign) if group.campaign else nodeid
        return self._rule._split_scope(self, nodeid) if self._rule else nodeid  # noqa: SLF001 - xdist's documented way to group

    def _reschedule(self, node: Any) -> None:
        # A worker that has not collected yet knows no test by its index: it gets work later.
        if node.shutting_down or node not in self.registered_collections:
            return
        # A worker starts its last test only when it knows the next one. Tests that it gets earlier
        # wait behind a campaign, which takes long, while other workers may be idle.
        if self.workqueue and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take the tests that a worker collected.

        A replacement that collected other tests than those that were dealt out cannot be told which
        to run: that is reported as a failure to collect, as xdist reports it at the start of a run,
        and if nobody else can run what is left, the run ends.
        """
        super().add_node_collection(node, collection)
        if node in self.registered_collections:
            return
        difference = report_collection_diff(
            self.collection, collection, "the tests of this run", node.gateway.id
        )
        self.config.hook.pytest_collectreport(
            report=pytest.CollectReport(node.gateway.id, "failed", difference, [])
        )
        node.shutdown()
        if all(other.shutting_down for other in self.nodes):
            self.workqueue.clear()

    def remove_node(self, node: Any) -> str | None:
        """Take out a worker that ended.

        Other workers get what it had not begun, and the rest of a group that it had begun, unless
        the group is a campaign: what is left of that is lost.

        Returns:
            The test that it ran when it ended, or None.
        """
        left = {
            scope: tests
            for scope, tests in self.assigned_work.pop(node).items()
            if not all(tests.values())
        }
        if self.collection is None:
            # The tests are dealt out when as many workers have collected as there are: this one
            # no longer counts, its replacement does.
            self.registered_collections.pop(node, None)
        if not left:
            return None
        scope, tests = next(iter(left.items()))
        pending = [test for test, done in tests.items() if not done]
        _, group = read_group(pending[0])
        self.lost = tuple(pending) if group else (pending[0],)
        left[scope] = {test: test in self.lost or done for test, done in tests.items()}
        for name, unit in reversed(left.items()):
            if not all(unit.values()):
                self.workqueue[name] = unit
                self.workqueue.move_to_end(name, last=False)
        for other in self.nodes:
            self._reschedule(other)
        return str(pending[0])
