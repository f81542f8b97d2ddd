"""The attention table: every documented row against its baseline."""

import pytest


@pytest.mark.sd_latency(table="attention")
def test_attention(sd_latency, sd_setup):
    sd_latency(sd_setup)
