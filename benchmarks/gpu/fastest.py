"""The table of goals, every row against its baseline.

It runs only if its path is given: ``pytest benchmarks`` gates what is documented.
"""

import pytest


@pytest.mark.sd_latency(table="fastest")
def test_fastest(sd_latency, sd_setup):
    sd_latency(sd_setup)
