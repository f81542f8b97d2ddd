"""Models of users of which there is a configuration and no weights: gated and counted by a table or a conftest alone."""

from __future__ import annotations

import json

import pytest
from small import ARCHITECTURES as SMALL

CONFTEST = """
            import json
            from pytest_sdspeed.setups.setup import Setup

            SECONDS = {"float32": 1.5, "quick": 1.0}
            DRAW = Setup.draw


            def draw(self, case, *more):
                builtins.sd_fake_time.spend(SECONDS.get(self.name, 1.0) * NOISE.gauss(1, 0.003))
                return DRAW(self, case, *more)


            Setup.draw = draw
"""
REGISTER = """
            def pytest_sdspeed_register(registry):
                with open("small.json") as file:
                    registry.add_architecture("mine/small", json.load(file))
"""
TABLE = """
schema = 1
name = "own"
source = "made up"
device = "cpu"
baseline = "float32"

[recipe]
model = "{model}"
prompt = "a red ball"
height = 16
width = 16
steps = 2

[[rows]]
setup = "float32"
latency_s = 1.5

[[rows]]
setup = "quick"
optimizations = ["bf16"]
latency_s = 1.0
image = {{ psnr = 20 }}
image_random = {{ psnr = 20 }}
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
        return gated("", "own.toml", *arguments, conftest=CONFTEST + register)

    return run


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "register"), [("configuration", ""), ("mine/small", REGISTER)])
def test_a_table_gates_a_model_of_which_only_the_configuration_is_there(ran, model, register):
    result = ran(model, "--sd-weights=random", "--sd-max-blocks=3", register=register)
    out = result.stdout.str()
    assert "own" in out
    result.assert_outcomes(passed=2)


@pytest.mark.filterwarnings("ignore")
def test_without_random_weights_its_folder_is_incomplete_and_an_unknown_name_says_what_is_known(ran):
    assert "incomplete" in ran("configuration", "--sd-max-blocks=3").stdout.str()
    out = ran("mine/small", "--sd-weights=random", "--sd-max-blocks=3").stdout.str()
    assert "unknown architecture for random weights 'mine/small'; valid: " in out


@pytest.mark.filterwarnings("ignore")
def test_a_configuration_that_a_conftest_gets_wrong_ends_the_run_with_one_line(ran):
    wrong = REGISTER.replace("json.load(file)", '{"unet": {}}')
    result = ran("mine/small", "--sd-weights=random", register=wrong)
    both = result.stdout.str() + result.stderr.str()
    assert "mine/small: 'unet' is no configuration" in both
    assert "Traceback" not in both
    assert result.ret == pytest.ExitCode.USAGE_ERROR
