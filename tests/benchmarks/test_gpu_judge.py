"""The judge's own check of ``benchmarks/gpu``, on a small model and a clock that only calls of the UNet move: the plant is found, the same is not."""

from __future__ import annotations

import random
import shutil
import sys
import textwrap

import pytest
import torch
from small import ONE_BLOCK, exchange_unet, save_small_models
from test_gpu_script import GPU

from pytest_sdspeed.tables import load_table

sys.path.append(str(GPU))
import verdicts

pytestmark = pytest.mark.slow

sys.path.remove(str(GPU))


@pytest.fixture
def calls_take_time(fake_time):
    """20 ms for each pass of a UNet, however it is called, and 30 ms for a decoder's."""
    noise = random.Random(1)

    def spend(module, _inputs):
        if type(module).__name__ == "TimestepEmbedding":
            fake_time.spend(0.02 * noise.gauss(1, 0.01))
        if type(module).__name__ == "Decoder":
            fake_time.spend(0.03)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(spend)
    yield
    handle.remove()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A UNet of a block without attention on either side: its twenty calls a picture are real, and their time is the clock's."""
    unet = ONE_BLOCK.find_config("unet") | {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    return save_small_models(tmp_path_factory.mktemp("models"), exchange_unet(ONE_BLOCK, unet))["model"]


@pytest.fixture
def judged(pytester, small, calls_take_time):
    """Runs ``same.py`` small; ``plant`` replaces how often a call is repeated."""

    def run(plant="EVERY = 20"):
        table = (GPU / "same.toml").read_text()
        for full, ours in {
            'device = "NVIDIA"': 'device = "cpu"',
            "stable-diffusion-v1-5/stable-diffusion-v1-5": small,
            "= 512": "= 16",
            'dtype = "float16"': "",
        }.items():
            assert full in table
            table = table.replace(full, ours)
        (pytester.path / "same.toml").write_text(table)
        conftest = (GPU / "conftest.py").read_text()
        assert "EVERY = 20" in conftest
        pytester.makeconftest(conftest.replace("EVERY = 20", plant))
        shutil.copy(GPU / "same.py", pytester.path / "test_same.py")
        arguments = ("--sd-tables=same.toml", "--sd-inconclusive=warn", "--sd-max-blocks=6", "--junit-xml=out.xml")
        return pytester.runpytest_inprocess(*arguments, "-p", "no:randomly", "-W", "default")

    return run


def test_the_planted_work_fails_and_the_same_does_not(judged):
    result = judged()
    result.assert_outcomes(passed=2, xfailed=1)
    result.stdout.fnmatch_lines(["same_again *pass*", "same_once_more *pass*", "same_with_more_work *x0.9[56] *fail*"])


def test_a_judge_that_misses_the_plant_is_caught(judged, pytester):
    result = judged("EVERY = 20_000")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*DID NOT RAISE*"])
    page = (pytester.path / "out.xml").read_text()
    # It was measured, and yet it is no verdict that failed.
    assert verdicts.broken(page) == []


def test_the_plant_is_a_whole_number_of_calls_and_of_the_size_that_the_table_says():
    table = load_table(GPU / "same.toml")
    recipe = table.rows[0].recipe
    assert recipe.steps == 20
    unet, decoder = 2 * 401.6, 1257
    whole = recipe.steps * unet + decoder
    assert unet / whole == pytest.approx(0.046, abs=5e-4)
    row = table.row("same_with_more_work")
    assert whole / (whole + unet) < row.speedup * (1 - row.tolerance) - 0.015
    assert len({row.optimizations for row in table.rows if row.setup != "same_with_more_work"}) == 1


def case(inside, verdict=None):
    property_ = f'<properties><property name="sdspeed_verdict" value="{verdict}"/></properties>' if verdict else ""
    return f'<testcase name="{inside}">{property_}{inside and f"<{inside}/>"}</testcase>'


def test_only_failures_without_a_verdict_are_broken():
    page = "<testsuites>" + case("failure", "fail") + case("failure") + case("error") + case("skipped") + case("") + "</testsuites>"
    assert verdicts.broken(page) == ["failure", "error"]


def test_a_failing_verdict_of_a_real_run_is_a_result(gated, pytester):
    source = """
    @pytest.mark.sd_latency(speedup=2.0)
    def test_engine(sd_latency):
        sd_latency(engine(1.0), baseline=engine(1.0))

    @pytest.mark.sd_latency(speedup=1.0)
    def test_broken(sd_latency):
        def raises():
            raise ValueError("no")
        sd_latency(raises, baseline=engine(1.0))
    """
    gated(textwrap.dedent(source), "--junit-xml=out.xml").assert_outcomes(failed=2)
    assert verdicts.broken((pytester.path / "out.xml").read_text()) == ["test_broken"]
