"""The setups of ``against.toml``, which ``against_planted.py`` compares; run by its path only."""

from typing import Any

import pytest


@pytest.mark.sd_latency(table="short")
def test_short(sd_latency: Any, sd_setup: Any) -> None:
    sd_latency(sd_setup)
