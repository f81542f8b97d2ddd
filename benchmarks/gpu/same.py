"""The judge, judged on a GPU: equal setups do not fail, 5% more work does.

It needs ``--sd-tables benchmarks/gpu/same.toml``.
"""

import pytest


@pytest.mark.sd_latency(table="same")
def test_the_same_does_not_fail(sd_latency, sd_same_again):
    sd_latency(sd_same_again)


@pytest.mark.sd_latency(table="same")
def test_the_same_under_a_third_name_does_not_fail(sd_latency, sd_same_once_more):
    sd_latency(sd_same_once_more)


@pytest.mark.sd_latency(table="same")
def test_five_percent_more_calls_fail(sd_latency, sd_same_with_more_work):
    with pytest.raises(pytest.fail.Exception, match="slower than its floor"):
        sd_latency(sd_same_with_more_work)
    # A gate that fails fails its test, unless the test says that it is to.
    pytest.xfail("5% more work is planted, and found")
