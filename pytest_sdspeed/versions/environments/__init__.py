"""From what a user names to an environment in which a process of the other version can start."""

from pytest_sdspeed.versions.environments.environment import Environment
from pytest_sdspeed.versions.environments.spec import current_environment, open_environment

__all__ = ["Environment", "current_environment", "open_environment"]
