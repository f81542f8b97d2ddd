"""Which worker runs which tests: those of one campaign stay together, all others are dealt out as ``--dist`` asks."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

from pytest_sdspeed.plugin.distributed.tags import read

_RULES = {"loadscope": LoadScopeScheduling, "loadfile": LoadFileScheduling, "loadgroup": LoadGroupScheduling}
"""Of ``--dist``, those that keep tests together."""


class CampaignScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed for others
    """Takes over from xdist's own scheduler as soon as a worker has collected tests that measure.

    Args:
        config: of the run.
        log: as xdist gives it to schedulers.
        nodes: workers that are ready.

    Attributes:
        lost: tagged ids of the tests that went down with the latest worker that did, that which it ran first.
    """

    def __init__(self, config: Any, log: Any, nodes: list[Any]) -> None:
        super().__init__(config, log)
        self._rule = _RULES.get(config.getvalue("dist"))
        self.lost: tuple[str, ...] = ()
        for node in nodes:
            self.add_node(node)

    def _split_scope(self, nodeid: str) -> str:
        _, tag = read(nodeid)
        if tag is not None:
            return repr(tag.campaign) if tag.campaign else nodeid
        return self._rule._split_scope(self, nodeid) if self._rule else nodeid  # noqa: SLF001 - xdist's documented way to group

    def _reschedule(self, node: Any) -> None:
        # One that has just started has nothing to be told by yet: it is given work when it has collected.
        if node.shutting_down or node not in self.registered_collections:
            return
        # A worker waits with its last test for what comes after it. What it gets before that waits behind a campaign, which lasts long,
        # while other workers may be idle.
        if self.workqueue and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)

    def remove_node(self, node: Any) -> str | None:
        """Take a worker out that ended.

        What it had not begun is left to others, and so is the rest of an open group that is no campaign. That of an open campaign is lost.

        Returns:
            The test it ran when it ended, or None where it had none.
        """
        left = {scope: tests for scope, tests in self.assigned_work.pop(node).items() if not all(tests.values())}
        if self.collection is None:
            # The tests are dealt out when as many have collected as there are workers, of which it is none any more.
            self.registered_collections.pop(node, None)
        if not left:
            return None
        scope, tests = next(iter(left.items()))
        pending = [test for test, done in tests.items() if not done]
        _, tag = read(pending[0])
        self.lost = tuple(pending) if tag else (pending[0],)
        left[scope] = {test: test in self.lost or done for test, done in tests.items()}
        for name, unit in reversed(left.items()):
            if not all(unit.values()):
                self.workqueue[name] = unit
                self.workqueue.move_to_end(name, last=False)
        for other in self.nodes:
            self._reschedule(other)
        return str(pending[0])
