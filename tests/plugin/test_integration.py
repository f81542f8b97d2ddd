"""Real diffusers pipelines through the whole plugin, small enough for a laptop CPU."""

import json
import textwrap

import diffusers
import pytest
import torch
from failures import match_failures
from small import save_small_models

from pytest_sdspeed.judge.speed import intervals
from pytest_sdspeed.tables import load_table

pytestmark = pytest.mark.slow

TABLE = """
schema = 1
name = "small"
title = "The miniature, one step"
source = "https://example.org/small"
device = "cpu"
tolerance = 0.9

[recipe]
model = "{model}"
prompt = "a golden vase with different flowers"
{more}
height = 16
width = 16
steps = 2
scheduler = "pndm"
student = "{student}"
tiny_vae = "{tiny_vae}"

[[rows]]
setup = "baseline"
optimizations = []
speedup = 1

[[rows]]
setup = "distilled"
optimizations = ["distilled_unet"]
speedup = 1.4

[[rows]]
setup = "distilled_tiny_vae"
optimizations = ["distilled_unet", "tiny_vae"]
speedup = 1.8

[[rows]]
setup = "small_sdpa"
optimizations = ["sdpa"]
speedup = 1.0
image = {{psnr = 45}}
"""
VASE = "a golden vase with different flowers"
EVERY_ROW = """
@pytest.mark.sd_latency(table="small")
def test_row(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def run(pytester, saved, monkeypatch):
    """Runs a test file against the table above; ``models`` replaces its models.

    These runs take real time on a machine that may be busy, and ask nothing of it: one in a hundred A/A controls alarms by design, so
    here it is made to alarm never. What the machine itself can do is asked with ``canary`` only.
    """
    monkeypatch.setattr(intervals, "CONTROL_ERROR", 1e-12)

    def go(source, *arguments, conftest="", models=None, more="", canary=False):
        if not canary:
            monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
        (pytester.path / "small.toml").write_text(TABLE.format(more=more, **saved | (models or {})))
        pytester.makeconftest(textwrap.dedent(conftest))
        pytester.makepyfile("import pytest\n" + textwrap.dedent(source))
        options = ("--sd-tables=small.toml", "--sd-max-blocks=2", "--sd-inconclusive=warn", "-p", "no:randomly", "-W", "default", "-rs")
        return pytester.runpytest_inprocess(*options, *arguments)

    return go


def test_every_row_is_measured_in_one_campaign_and_stored(run, pytester):
    result = run(EVERY_ROW, "--benchmark-json=out.json", "--sd-report=out.html", "--sd-record=here.toml", "--sd-max-blocks=4", canary=True)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*sd speed-ups: small   documented on cpu, measured on * (pretrained weights)*", "small_sdpa*PSNR *pass"])
    records = {
        bench["extra_info"]["sdspeed"]["setup"]: bench for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    }
    assert records.keys() == {"baseline", "distilled", "distilled_tiny_vae", "small_sdpa"}
    shared = {tuple(map(tuple, bench["extra_info"]["sdspeed"]["samples_s"]["baseline"][:3])) for bench in records.values()}
    assert len(shared) == 1
    record = records["distilled"]["extra_info"]["sdspeed"]
    assert record["peak_memory_bytes"] is None or record["peak_memory_bytes"] > 100_000
    assert record["recipe"]["weights"] == "pretrained"
    assert record["versions"]["diffusers"] == diffusers.__version__
    shown = (pytester.path / "out.html").read_text()
    assert "small_sdpa" in shown
    assert "Stage times: unknown" not in shown
    profiles = {setup: bench["extra_info"]["sdspeed"] for setup, bench in records.items()}
    assert all(list(profile["stages_s"]) == ["text_encoder", "denoising", "decoding"] for profile in profiles.values())
    flops = {setup: profile["telemetry"]["flops"] for setup, profile in profiles.items()}
    assert flops["baseline"] == flops["small_sdpa"] > flops["distilled"] > flops["distilled_tiny_vae"] > 0
    assert all(0 < profile["telemetry"]["ceiling_share"] < 10 for profile in profiles.values())
    assert {profile["telemetry"]["busy_share"] for profile in profiles.values()} == {None}
    compared = pytester.run("pytest-benchmark", "compare", "out.json")
    assert compared.ret == 0
    compared.stdout.fnmatch_lines(["*test_row[[]distilled_tiny_vae[]]*"])
    # What may be recorded depends on how noisy this machine is: every row is in the file, or a line says why it is not.
    recorded = {row.setup for row in load_table(pytester.path / "here.toml").rows} if (pytester.path / "here.toml").exists() else set()
    left_out = {setup for setup in records if f"sd record: small: {setup} left out: " in result.stdout.str()}
    assert recorded | left_out >= records.keys() - {"baseline"}
    assert not recorded & left_out


def test_k_selects_the_campaign_whose_arms_draw_the_other_prompts_once_each_but_not_their_own(run, pytester):
    prompts = '["a boat", "a golden vase with different flowers"]'
    result = run(EVERY_ROW, "-k", "baseline or sdpa", "--benchmark-json=out.json", more=f"more_prompts = {prompts}")
    result.assert_outcomes(passed=2, deselected=2)
    result.stdout.no_fnmatch_line("distilled*")
    records = [bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]
    (row,) = (record for record in records if record["setup"] == "small_sdpa")
    shown = [(picture["seed"], picture["prompt"]) for picture in row["pictures"] if not picture["control"]]
    assert shown == [(0, VASE), (1, VASE), (0, "a boat")]
    assert row["image_verdict"] == "pass"


PLANTS = """
    import contextlib
    import torch
    from pytest_sdspeed import Optimization

    def spoil(kind):
        def apply(pipeline, recipe):
            whole = pipeline.vae.decode
            def decode(latents, *args, **kwargs):
                pictures = whole(latents, *args, **kwargs)[0]
                if kind == "nan":
                    pictures = pictures * float("nan")
                if kind == "black":
                    pictures = pictures * 0 - 1
                if kind == "small":
                    pictures = pictures[..., ::2, ::2]
                if kind == "late":
                    pictures = torch.roll(pictures, 3, dims=-1)
                return (pictures,)
            pipeline.vae.decode = decode
        return apply

    def leak(pipeline=None, recipe=None):
        torch.backends.cudnn.benchmark = True

    @contextlib.contextmanager
    def leaking_slot():
        leak()
        yield

    def pytest_sdspeed_register(registry):
        both = frozenset({"unet", "vae"})
        for kind in ("nan", "black", "small", "late"):
            registry.add_optimization(Optimization(name=f"spoil_{kind}", summary="", changes=both, apply=spoil(kind)))
            registry.add_setup(f"spoiled_{kind}", [f"spoil_{kind}"], doc="A planted fault.")
        registry.add_optimization(Optimization(name="pretended_vae", summary="", relation="other_autoencoder"))
        registry.add_setup("lost_vae", ["distilled_unet", "pretended_vae"])
        registry.add_optimization(Optimization(name="leaky_slot", summary="", slot=leaking_slot))
        registry.add_setup("leaky_slot", ["leaky_slot"])
        registry.add_optimization(Optimization(name="leaky_build", summary="", apply=leak))
        registry.add_setup("leaky_build", ["leaky_build"])
        registry.add_optimization(Optimization(name="elsewhere", summary="", supported=lambda machine: "elsewhere needs a unicorn: buy one"))
        registry.add_setup("elsewhere", ["elsewhere"])
        registry.add_setup("healthy", ["sdpa"])
"""
FAULTS = {
    "spoiled_nan": "*not finite*",
    "spoiled_black": "*black*",
    "spoiled_small": "*pictures of another size*",
    "spoiled_late": "*PSNR * is under 30*",
    "lost_vae": "*bit-identical to the reference: the optimization had no effect*",
    "leaky_slot": "*setup 'leaky_slot' left process-global flags behind: torch.backends.cudnn.benchmark is True, was False*",
    "leaky_build": "*building setup 'leaky_build' left process-global flags behind: torch.backends.cudnn.benchmark is True*",
}
PLANTED = """
    import torch

    pytestmark = pytest.mark.sd_latency(table="small", speedup=1.0, tolerance=0.9, image={"psnr": 30})

    @pytest.fixture(autouse=True)
    def clean():
        yield
        assert torch.backends.cudnn.benchmark is False
"""
TEST_OF = """
    def test_{name}(sd_latency, sd_{setup}):
        sd_latency(sd_{setup})
"""
# What spoils pictures changes its own copies; what leaks a flag would have it everywhere.
HEALTHY_AFTER = ("spoiled_late", "leaky_slot", "leaky_build")


def test_a_planted_fault_fails_alone_and_a_setup_that_this_machine_cannot_run_is_skipped_with_its_reason(run):
    source = PLANTED
    for setup in (*FAULTS, "elsewhere"):
        source += TEST_OF.format(name=setup, setup=setup)
        source += TEST_OF.format(name=f"healthy_after_{setup}", setup="healthy") if setup in HEALTHY_AFTER else ""
    result = run(source, conftest=PLANTS)
    result.assert_outcomes(passed=len(HEALTHY_AFTER), failed=len(FAULTS), skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    match_failures(result, {f"test_{setup}": said for setup, said in FAULTS.items()})
    assert torch.backends.cudnn.benchmark is False
    result.stdout.fnmatch_lines(["SKIPPED*elsewhere needs a unicorn: buy one*"])


GATES = """
    import numpy as np

    gate = pytest.mark.sd_latency

    @gate(table="small", speedup=1.0, tolerance=0.9, image={"psnr": 30})
    @pytest.mark.parametrize("seed", [0, 1])
    def test_seed(sd_latency, sd_baseline, seed):
        sd_latency(lambda: sd_baseline.generate(seed=seed), baseline=lambda: sd_baseline.generate(seed=0))

    @gate(table="small", speedup=1.0, tolerance=0.9, image={"psnr": 1})
    def test_another_seed_would_pass(sd_latency, sd_small_sdpa):
        result = sd_latency(sd_small_sdpa)
        assert result.image_verdict == "powerless"
        assert "no power" in " ".join(result.reasons)

    @gate(table="small")
    def test_another_baseline(sd_latency, sd_distilled_tiny_vae, sd_distilled):
        sd_latency(sd_distilled_tiny_vae, baseline=sd_distilled)

    @gate(table="small", speedup=1.0)
    def test_another_baseline_with_a_ratio_of_its_own(sd_latency, sd_distilled_tiny_vae, sd_distilled):
        sd_latency(sd_distilled_tiny_vae, baseline=sd_distilled)

    @gate(table="small")
    def test_contract(sd_latency, sd_distilled_tiny_vae, sd_baseline):
        setup = sd_distilled_tiny_vae
        assert setup.name == "distilled_tiny_vae"
        assert setup.recipe.steps == 2
        assert setup.optimizations == ("distilled_unet", "tiny_vae")
        pictures = setup.generate()
        assert (pictures.shape, pictures.dtype) == ((1, 16, 16, 3), np.float32)
        assert type(setup.pipeline).__name__ == "StableDiffusionPipeline"
        assert setup.pipeline.text_encoder is sd_baseline.pipeline.text_encoder
        sd_latency(sd_baseline)
"""


def test_gates_of_ones_own_on_rows_hold_what_the_contract_says(run):
    """Pictures of another seed fail, and a gate that they would pass has no power; a documented ratio is over its own baseline."""
    result = run(GATES, "--sd-tolerance=0.9")
    result.assert_outcomes(passed=4, failed=2)
    match_failures(
        result,
        {
            "test_seed[1]": "*PSNR * is under 30*",
            "test_another_baseline": "*documents distilled_tiny_vae over baseline, not over distilled: give the marker a speedup*",
        },
    )


def test_a_missing_student_fails_its_rows_and_measures_the_others(run):
    result = run(EVERY_ROW, models={"student": "/nowhere/student"})
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*cannot load '/nowhere/student'*"])


def test_a_model_that_is_not_there_fails_every_row_with_one_message(run):
    result = run(EVERY_ROW, models={"model": "nobody/nothing"})
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*cannot load 'nobody/nothing'*--sd-weights=random*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_unknown_optimization_in_a_table_is_a_usage_error(run, pytester):
    run(EVERY_ROW, "--collect-only")
    table = pytester.path / "small.toml"
    table.write_text(table.read_text().replace('["sdpa"]', '["spda"]'))
    result = pytester.runpytest_inprocess("--sd-tables=small.toml", "-p", "no:randomly", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*setup 'small_sdpa' of table 'small': unknown optimization 'spda'; valid: *autocast, bf16, *"])
