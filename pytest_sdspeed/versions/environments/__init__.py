"""The other side of a comparison: from what a user names to an environment that a process of its own can start in."""

from pytest_sdspeed.versions.environments.environment import Side
from pytest_sdspeed.versions.environments.spec import in_hand, opened

__all__ = ["Side", "in_hand", "opened"]
