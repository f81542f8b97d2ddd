"""The distillation table: every documented row against its baseline."""

import pytest


@pytest.mark.sd_latency(table="distillation")
def test_distillation(sd_latency, sd_setup):
    sd_latency(sd_setup)
