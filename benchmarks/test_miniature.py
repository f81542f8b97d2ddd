"""The miniature table: every documented row against its baseline."""

import pytest


@pytest.mark.sd_latency(table="miniature")
def test_miniature(sd_latency, sd_setup):
    sd_latency(sd_setup)
