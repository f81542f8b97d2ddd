"""Other plugins beside which a gated test cannot work: it is said before anything is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest


def refuse_companions(gated: Iterable[pytest.Item]) -> Iterator[str]:
    """Yield why gated tests cannot run as other plugins would run them, a line for each test."""
    for item in gated:
        if item.get_closest_marker("skip"):
            continue
        if _is_forked(item):
            yield (
                f"{item.nodeid}: pytest-forked runs it in a child process, which shares no"
                " campaign, keeps no record and has no GPU: run the tests that use sd_latency or"
                " sd_account without --forked and without the forked marker"
            )
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            yield (
                f"{item.nodeid}: @given runs its body many times, and its gate answers once:"
                " parametrize the test instead"
            )


def _is_forked(item: pytest.Item) -> bool:
    """Tell whether pytest-forked runs a test in a child process."""
    if not item.config.pluginmanager.hasplugin("pytest_forked"):
        return False
    return bool(item.config.getoption("forked", default=False) or item.get_closest_marker("forked"))
