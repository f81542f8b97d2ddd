"""Metrics that users register: bounds on them hold, and what breaks in one fails the row."""

from __future__ import annotations

import json
import textwrap
from importlib import import_module

import pytest

METRIC = """
def worst(ours, theirs):
    import math  # what a metric needs it may import when it is called
    return math.sqrt(float(((ours - theirs) ** 2).max()))

def pytest_sdspeed_register(registry):
    registry.add_metric("worst", worst, format="worst pixel {:.2f}")
"""
TEST = """
@pytest.mark.sd_latency(speedup=1.5, image={{"worst": {bound}, "psnr": 5}})
def test_it(sd_latency):
    sd_latency(engine(1.0, picture() * 0.9), baseline=engine(1.5, picture()))
"""


def indented(conftest):
    """The conftest that it is added to is indented."""
    return textwrap.indent(conftest, " " * 12)


def stored(pytester):
    return [bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]


def test_a_bound_on_a_registered_metric_passes_and_is_stored(gated, pytester):
    result = gated(TEST.format(bound=0.2), "--benchmark-json=out.json", conftest=indented(METRIC))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["candidate*worst 0.1 *pass"])
    assert stored(pytester)[0]["image"]["worst"] == pytest.approx(0.1, abs=0.01)


def test_a_bound_on_a_registered_metric_fails_with_its_format(gated):
    result = gated(TEST.format(bound=0.05), conftest=indented(METRIC))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*worst pixel 0.10 is over 0.05*"])


@pytest.mark.parametrize(
    ("body", "says"),
    [("return float('nan')", "*metric 'worst' returned nan*"), ("import nobody_has_it", "*metric 'worst' raised ModuleNotFoundError*")],
)
def test_a_metric_that_breaks_fails_the_row_by_its_name(gated, body, says):
    conftest = METRIC.replace("import math  # what a metric needs it may import when it is called", body)
    result = gated(TEST.format(bound=0.2), conftest=indented(conftest))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([says])


def test_an_unknown_bound_lists_the_registered_ones_too(gated):
    result = gated(TEST.format(bound=0.2).replace("worst", "wurst"), conftest=indented(METRIC))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*valid: a dict with bounds for psnr, ssim, *, max_abs, mean_abs, cosine, worst*"])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("'psnr', worst", "*metric 'psnr' exists already*"),
        ("'max_abs', worst", "*metric 'max_abs' exists already*"),
        ("'clip', worst", "*metric 'clip' exists already*"),
        ("'control_worst', worst", "*those of negative controls*"),
        ("'Worst', worst", "*lower case letters*"),
        ("'other', 3", "*is no function*"),
        ("'other', worst, format='no number'", "*one pair of braces*"),
        ("'other', worst, format='{:.2q}'", "*one pair of braces*"),
    ],
)
def test_a_metric_that_cannot_be_registered_ends_the_run(gated, call, says):
    conftest = METRIC.replace('"worst", worst, format="worst pixel {:.2f}"', call)
    result = gated(TEST.format(bound=0.2), conftest=indented(conftest))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([says])


def test_a_name_cannot_be_registered_twice(gated):
    conftest = METRIC + '    registry.add_metric("worst", worst)\n'
    assert gated(TEST.format(bound=0.2), conftest=indented(conftest)).ret == pytest.ExitCode.USAGE_ERROR


TABLE = """
schema = 1
name = "mine"
title = "t"
source = "s"
device = "cpu"
[recipe]
model = "miniature"
prompt = "a vase"
height = 32
width = 32
steps = 1
scheduler = "ddim"
[[rows]]
setup = "baseline"
optimizations = []
[[rows]]
setup = "channels_last"
optimizations = ["channels_last"]
speedup = 1.0
tolerance = 0.9
image = {{ {name} = {bound} }}
"""
ROW = """
@pytest.mark.sd_latency(table="mine")
def test_row(sd_latency, sd_channels_last):
    sd_latency(sd_channels_last)
"""


@pytest.mark.slow
def test_a_table_may_bound_it_and_its_negative_control_shows_its_power(pytester, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
    import_module("small")  # a run inside forgets what it imported, and diffusers cannot be imported twice
    (pytester.path / "mine.toml").write_text(TABLE.format(name="worst", bound=0.3))
    pytester.makeconftest(METRIC)
    pytester.makepyfile(f"import pytest\n{ROW}")
    limits = ("--sd-max-blocks=2", "--sd-budget=5", "--sd-inconclusive=warn")
    pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default", "--sd-tables=mine.toml", "--benchmark-json=out.json", *limits)
    (record,) = stored(pytester)
    assert record["image_verdict"] == "pass", record["reasons"]
    assert record["image"]["worst"] < 0.3 < record["image"]["control_worst"]


def test_a_name_that_a_table_has_and_nobody_registered_ends_the_run(gated, pytester):
    (pytester.path / "mine.toml").write_text(TABLE.format(name="wurst", bound=0.3))
    result = gated(ROW, "--sd-tables=mine.toml", conftest=indented(METRIC))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mine.toml: rows[[]1].image.wurst: unknown key; did you mean 'worst'? valid: psnr, *cosine, worst*"])


@pytest.mark.slow
def test_a_worker_of_xdist_knows_the_metric(pytester, monkeypatch):
    # The worker is a process of its own, and loads no plugins that have no part in this.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    source = TEST.format(bound=0.05).replace("engine(1.0, picture() * 0.9)", "ours").replace("engine(1.5, picture())", "theirs")
    pytester.makeconftest(METRIC)
    pytester.makepyfile(
        """
        import sys
        import time
        import numpy as np
        import pytest

        PICTURE = np.random.default_rng(0).random((32, 32, 3))

        def theirs():
            time.sleep(0.02)
            return PICTURE

        def ours():
            assert "torch" not in sys.modules  # that it is a worker makes nobody pay for it
            time.sleep(0.01)
            return PICTURE * 0.9
        """
        + source.replace("\n", "\n        ")
    )
    plugins = ("-p", "benchmark", "-p", "sdspeed", "-p", "xdist")
    result = pytester.runpytest_inprocess(*plugins, "-n1", "--sd-max-blocks=3", "--sd-budget=5", "--sd-inconclusive=warn")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*worst pixel 0.10 is over 0.05*"])
