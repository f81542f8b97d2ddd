"""The other side of a comparison: from what a user names to an environment that a process of its own can start in."""

from pytest_sdspeed.versions.environments.environment import Environment
from pytest_sdspeed.versions.environments.spec import current_environment, open_environment

__all__ = ["Environment", "current_environment", "open_environment"]
