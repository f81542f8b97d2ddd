"""The stack table: every documented row against its baseline."""

import pytest


@pytest.mark.sd_latency(table="stack")
def test_stack(sd_latency, sd_setup):
    sd_latency(sd_setup)
