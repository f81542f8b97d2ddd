"""SDXL and FLUX at full size, by stages or by calls: ``run_all.sh --stages`` runs it both ways.

It needs ``--sd-tables benchmarks/gpu/stages``.
"""

import pytest


@pytest.mark.sd_latency(table="stages_sdxl")
def test_stages_sdxl(sd_latency, sd_setup):
    sd_latency(sd_setup)


@pytest.mark.sd_latency(table="stages_flux")
def test_stages_flux(sd_latency, sd_setup):
    sd_latency(sd_setup)
