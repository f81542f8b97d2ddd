"""The setups of ``against.toml``, which ``against_planted.py`` compares; run by its path only."""

import pytest


@pytest.mark.sd_latency(table="short")
def test_short(sd_latency, sd_setup):
    sd_latency(sd_setup)
