"""Busy share, work and rates of one generation: what is known is computed, what is not stays unknown."""

from __future__ import annotations

import pytest

from pytest_sdspeed.judge.rates import compute_rates
from pytest_sdspeed.model import Profile


def test_rates_are_those_of_the_timed_latency():
    found = compute_rates(Profile(busy_s=1.5, flops=6 * 10**12), 2.0, 4e12)
    assert found == {"busy_share": 0.75, "flops": 6 * 10**12, "tflops": 3.0, "ceiling_tflops": 4.0, "ceiling_share": 0.75}


def test_a_gpu_is_busy_all_of_the_time_at_most():
    # The profiled generation is but one, and may be slower than the timed ones.
    assert compute_rates(Profile(busy_s=2.5), 2.0, None)["busy_share"] == 1.0
    assert compute_rates(Profile(busy_s=0.0), 2.0, None)["busy_share"] == 0.0


@pytest.mark.parametrize(
    ("profile", "latency_s", "ceiling", "known"),
    [
        (Profile(), 2.0, None, {}),
        (Profile(busy_s=1.0), 2.0, None, {"busy_share": 0.5}),
        (Profile(flops=10**12), 0.5, None, {"flops": 10**12, "tflops": 2.0}),
        (Profile(flops=10**12), 2.0, None, {"flops": 10**12, "tflops": 0.5}),
        (Profile(), 2.0, 3e12, {"ceiling_tflops": 3.0}),
        (Profile(busy_s=1.0, flops=10**12), 0.0, 3e12, {"flops": 10**12, "ceiling_tflops": 3.0}),
        (Profile(flops=0), 2.0, 3e12, {"flops": 0, "tflops": 0.0, "ceiling_tflops": 3.0, "ceiling_share": 0.0}),
    ],
)
def test_what_is_not_known_is_none(profile, latency_s, ceiling, known):
    unknown = dict.fromkeys(["busy_share", "flops", "tflops", "ceiling_tflops", "ceiling_share"])
    assert compute_rates(profile, latency_s, ceiling) == unknown | known
