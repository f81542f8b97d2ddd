"""The legacy table: every documented row against its baseline."""

import pytest


@pytest.mark.sd_latency(table="legacy")
def test_legacy(sd_latency, sd_setup):
    sd_latency(sd_setup)
