"""Real diffusers pipelines through the whole plugin, small enough for a laptop CPU."""

import json
import textwrap

import diffusers
import pytest
import torch
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
    here it is made to alarm never.
    """
    monkeypatch.setattr(intervals, "CONTROL_ERROR", 1e-12)

    def go(source, *arguments, conftest="", models=None, more=""):
        (pytester.path / "small.toml").write_text(TABLE.format(more=more, **saved | (models or {})))
        pytester.makeconftest(textwrap.dedent(conftest))
        pytester.makepyfile("import pytest\n" + textwrap.dedent(source))
        options = ("--sd-tables=small.toml", "--sd-max-blocks=4", "--sd-inconclusive=warn", "-p", "no:randomly", "-W", "default", "-rs")
        return pytester.runpytest_inprocess(*options, *arguments)

    return go


def test_every_row_is_measured_in_one_campaign_and_stored(run, pytester):
    result = run(EVERY_ROW, "--benchmark-json=out.json", "--sd-report=out.html", "--sd-record=here.toml")
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


def test_every_arm_draws_the_other_prompts_once_each_but_not_its_own(run, pytester):
    prompts = '["a boat", "a golden vase with different flowers"]'
    result = run(EVERY_ROW, "-k", "baseline or sdpa", "--benchmark-json=out.json", more=f"more_prompts = {prompts}")
    result.assert_outcomes(passed=2, deselected=2)
    records = [bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]
    (row,) = (record for record in records if record["setup"] == "small_sdpa")
    shown = [(picture["seed"], picture["prompt"]) for picture in row["pictures"] if not picture["control"]]
    assert shown == [(0, VASE), (1, VASE), (0, "a boat")]
    assert row["image_verdict"] == "pass"


def test_the_printed_table_survives_failing_rows_and_k_selects_the_campaign(run):
    result = run(EVERY_ROW, "-k", "baseline or sdpa")
    result.assert_outcomes(passed=2, deselected=2)
    result.stdout.no_fnmatch_line("distilled*")


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
PLANTED_TEST = """
    @pytest.mark.sd_latency(table="small", speedup=1.0, tolerance=0.9, image={{"psnr": 30}})
    def test_planted(sd_latency, sd_{setup}):
        sd_latency(sd_{setup})

    @pytest.mark.sd_latency(table="small", speedup=1.0, tolerance=0.9, image={{"psnr": 30}})
    def test_healthy(sd_latency, sd_healthy):
        sd_latency(sd_healthy)
"""


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ("spoiled_nan", "*not finite*"),
        ("spoiled_black", "*black*"),
        ("spoiled_small", "*pictures of another size*"),
        ("spoiled_late", "*PSNR * is under 30*"),
        ("lost_vae", "*bit-identical to the reference: the optimization had no effect*"),
        ("leaky_slot", "*setup 'leaky_slot' left process-global flags behind: torch.backends.cudnn.benchmark is True, was False*"),
        ("leaky_build", "*building setup 'leaky_build' left process-global flags behind: torch.backends.cudnn.benchmark is True*"),
    ],
)
def test_a_planted_fault_fails_alone(run, setup, reason):
    result = run(PLANTED_TEST.format(setup=setup), conftest=PLANTS)
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([reason])
    assert torch.backends.cudnn.benchmark is False


def test_a_registered_setup_that_this_machine_cannot_run_is_skipped_with_its_reason(run):
    result = run(PLANTED_TEST.format(setup="elsewhere"), conftest=PLANTS)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*elsewhere needs a unicorn: buy one*"])


def test_pictures_of_another_seed_fail(run):
    source = """
    @pytest.mark.sd_latency(table="small", speedup=1.0, tolerance=0.9, image={"psnr": 30})
    @pytest.mark.parametrize("seed", [0, 1])
    def test_seed(sd_latency, sd_baseline, seed):
        sd_latency(lambda: sd_baseline.generate(seed=seed), baseline=lambda: sd_baseline.generate(seed=0))
    """
    result = run(source)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*PSNR * is under 30*", "*test_seed[[]1[]]*"])


def test_a_gate_that_another_seed_would_pass_says_that_it_has_no_power(run):
    result = run(
        """
        @pytest.mark.sd_latency(table="small", speedup=1.0, tolerance=0.9, image={"psnr": 1})
        def test_sdpa(sd_latency, sd_small_sdpa):
            result = sd_latency(sd_small_sdpa)
            assert result.image_verdict == "powerless"
            assert "no power" in " ".join(result.reasons)
        """
    )
    result.assert_outcomes(passed=1)


def test_a_missing_student_fails_its_rows_and_measures_the_others(run):
    result = run(EVERY_ROW, models={"student": "/nowhere/student"})
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*cannot load '/nowhere/student'*"])


def test_a_model_that_is_not_there_fails_every_row_with_one_message(run):
    result = run(EVERY_ROW, models={"model": "nobody/nothing"})
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*cannot load 'nobody/nothing'*--sd-weights=random*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_row_is_not_held_to_its_documented_ratio_over_another_baseline(run):
    result = run(
        """
        @pytest.mark.sd_latency(table="small")
        def test_other(sd_latency, sd_distilled_tiny_vae, sd_distilled):
            sd_latency(sd_distilled_tiny_vae, baseline=sd_distilled)

        @pytest.mark.sd_latency(table="small", speedup=1.0)
        def test_marked(sd_latency, sd_distilled_tiny_vae, sd_distilled):
            sd_latency(sd_distilled_tiny_vae, baseline=sd_distilled)
        """,
        "--sd-tolerance=0.9",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*documents distilled_tiny_vae over baseline, not over distilled: give the marker a speedup*"])


def test_an_unknown_optimization_in_a_table_is_a_usage_error(run, pytester):
    run(EVERY_ROW, "--collect-only")
    table = pytester.path / "small.toml"
    table.write_text(table.read_text().replace('["sdpa"]', '["spda"]'))
    result = pytester.runpytest_inprocess("--sd-tables=small.toml", "-p", "no:randomly", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*setup 'small_sdpa' of table 'small': unknown optimization 'spda'; valid: autocast, bf16, *"])


def test_the_fixture_of_a_row_is_what_the_contract_says(run):
    result = run(
        """
        import numpy as np

        @pytest.mark.sd_latency(table="small")
        def test_values(sd_latency, sd_distilled_tiny_vae, sd_baseline):
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
    )
    result.assert_outcomes(passed=1)
