"""The table of goals, every row against its baseline. Given by its path only: ``pytest benchmarks`` gates what is documented."""

import pytest


@pytest.mark.sd_latency(table="fastest")
def test_fastest(sd_latency, sd_setup):
    sd_latency(sd_setup)
