"""What setups ask of a GPU, counted once in a run for all that are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.run import accounting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_sdspeed.model import Account
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.setups.registry import Registry


class SetupCounts:
    """Counts setups, and remembers what it found.

    Many tables are of the same models: their baselines, and some of their rows, are the same
    generation on other devices. An account is of no device, so that one count serves them all. What
    raises is counted again, for a message that names its own row.

    Args:
        registry: what users registered.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._accounts: dict[Any, Account] = {}
        self._parameters: dict[Any, Mapping[str, int]] = {}

    def count(self, resolved: ResolvedSetup, stack: tuple[Optimization, ...]) -> Account:
        """Return the account of a setup, see ``accounting.count_setup``."""
        key = make_key(resolved, stack)
        if key not in self._accounts:
            self._accounts[key] = accounting.count_setup(resolved, stack, self._registry)
        return self._accounts[key]

    def count_parameters(
        self, resolved: ResolvedSetup, stack: tuple[Optimization, ...]
    ) -> Mapping[str, int]:
        """Return the parameters of a setup, see ``accounting.count_setup_parameters``."""
        key = make_key(resolved, stack)
        if key not in self._parameters:
            self._parameters[key] = accounting.count_setup_parameters(
                resolved, stack, self._registry
            )
        return self._parameters[key]


def make_key(resolved: ResolvedSetup, stack: tuple[Optimization, ...]) -> Any:
    """Return what the account of a setup depends on.

    That is all of its recipe but the calls and the unit that a latency is of, and every option of
    its optimizations, whether its row spells it out or leaves it at its default. It is not the
    table, nor the name of the row.

    Args:
        resolved: what the setup's name means.
        stack: its optimizations in order.
    """
    recipe = replace(resolved.recipe, repeats=1, unit="call")
    parts = tuple((part.name, repr(sorted(part.options.items()))) for part in stack)
    return repr(recipe), parts
