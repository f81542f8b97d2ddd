"""The inference table: every documented row against its baseline."""

import pytest


@pytest.mark.sd_latency(table="inference")
def test_inference(sd_latency, sd_setup):
    sd_latency(sd_setup)
