"""The comparison of accounts with a GPU, rehearsed on the CPU."""

import pytest
from profiled import profile_toy


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_the_profile_of_a_toy_pipeline_is_taken():
    profiled = profile_toy("flux", 2, "cpu")
    assert profiled.kernels > 300
    assert not profiled.waits
    assert profiled.peak_bytes == 0
