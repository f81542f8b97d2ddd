"""Which runs may have a total budget."""

from __future__ import annotations

import pytest

from pytest_sdspeed.plugin.options import flag


def find_total_budget(
    config: pytest.Config, total_s: float | None, *, against: str | None
) -> float | None:
    """Return the budget of a run on a GPU; one of another kind passes over that of the ini file.

    Args:
        config: the run's configuration.
        total_s: what is given, seconds.
        against: the other version that is measured against, or None.

    Raises:
        pytest.UsageError: the command line gives it to a run that cannot have it.
    """
    gpu, given = flag(config, "gpu"), config.getoption("sd_total_budget") is not None
    if given and not gpu:
        raise pytest.UsageError(
            "--sd-total-budget chooses among the tables that fit a GPU: give --sd-gpu too"
        )
    if given and against:
        raise pytest.UsageError(
            "--sd-total-budget and --sd-against: versions are compared in the order of the tests,"
            " all of them: give one of them; --sd-budget limits each campaign"
        )
    return total_s if gpu and not against else None
