"""The attention table: every documented row against its baseline, and what its source claims."""

import pytest


@pytest.mark.sd_latency(table="attention")
def test_attention(sd_latency, sd_setup):
    sd_latency(sd_setup)


@pytest.mark.sd_latency(table="attention")
def test_claims(sd_claim):
    sd_claim()
