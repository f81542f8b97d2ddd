"""Models of users of which there is a configuration and no weights: counted by a table alone, or with a conftest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import ARCHITECTURES as SMALL

REGISTER = """
            import json

            def pytest_sdspeed_register(registry):
                with open("small.json") as file:
                    registry.add_architecture("mine/small", json.load(file))
"""
BREAK = """
            import pathlib

            pathlib.Path("configuration/vae/config.json").unlink(missing_ok=True)
"""
TABLE = """
schema = 2
name = "own"
title = "A model of which there are no weights"
source = "made up"
device = "NVIDIA A100"

[recipe]
model = "{model}"
prompt = "a red ball"
height = 16
width = 16
steps = 2

[[rows]]
setup = "baseline"
optimizations = []
latency_s = 1.5

[[rows]]
setup = "quick"
optimizations = ["bf16"]
latency_s = 1.0
"""


@pytest.fixture
def ran(gated, pytester):
    def run(model, *arguments, register=""):
        (pytester.path / "own.toml").write_text(TABLE.format(model=model))
        (pytester.path / "small.json").write_text(json.dumps(SMALL["small"].files))
        folder = pytester.path / "configuration"
        for path, content in SMALL["small"].files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(json.dumps(content))
        return gated("", "own.toml", *arguments, conftest=register)

    return run


@pytest.mark.filterwarnings("ignore")
def test_a_table_counts_a_model_of_which_only_the_configuration_is_there(ran):
    counts = []
    for model, register in (("configuration", ""), ("mine/small", REGISTER)):
        result = ran(model, "--sd-dry", "--benchmark-json=out.json", register=register)
        result.assert_outcomes(passed=2)
        benches = json.loads(Path("out.json").read_text())["benchmarks"]
        counts.append([bench["extra_info"]["sdspeed"]["account"]["operations"] for bench in benches])
    assert counts[0] == counts[1]
    assert min(counts[0]) > 100


@pytest.mark.filterwarnings("ignore")
def test_a_name_that_nobody_registered_says_what_is_known_and_a_broken_folder_what_it_lacks(ran, pytester):
    out = ran("mine/small", "--sd-dry").stdout.str()
    assert "unknown architecture for random weights 'mine/small'; valid: " in out
    out = ran("configuration", "--sd-dry", register=BREAK).stdout.str()
    assert "configuration: vae cannot be built without weights: its configuration is missing" in out


@pytest.mark.filterwarnings("ignore")
def test_a_configuration_that_a_conftest_gets_wrong_ends_the_run_with_one_line(ran):
    wrong = REGISTER.replace("json.load(file)", '{"unet": {}}')
    result = ran("mine/small", "--sd-dry", register=wrong)
    both = result.stdout.str() + result.stderr.str()
    assert "mine/small: 'unet' is no configuration" in both
    assert "Traceback" not in both
    assert result.ret == pytest.ExitCode.USAGE_ERROR
