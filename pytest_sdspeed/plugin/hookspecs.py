"""Hooks that this plugin offers to conftest files and other plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sdspeed.setups.registry import Registry


@pytest.hookspec(historic=True)
def pytest_sdspeed_register(registry: Registry) -> None:
    """Add optimizations, setups and metrics of pictures.

    Called once for every conftest file or plugin, even if it is loaded late. The setup's fixture
    ``sd_<name>`` exists from then on.

    Args:
        registry: ``registry.add_optimization(Optimization(...))``, ``registry.add_setup(name,
            [optimization, ...])``, ``registry.add_metric(name, function)``.
    """
