"""``python -m pytest_sdspeed dry``: accounts of rows and of saved pipelines, printed."""

import json
import shutil

import pytest
from saved_pipelines import save_flux, save_from_picture, save_of_classes, save_stable_diffusion
from since import needs

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.model.devices import DEVICES

TABLE = """
schema = 1
name = "own"
title = "a short generation of the miniature"
source = "https://example.org"
device = "NVIDIA A100"

[recipe]
model = "miniature"
prompt = "a dog"
height = 64
width = 64
steps = 3
scheduler = "ddim"
student = "miniature-student"

[[rows]]
setup = "baseline"
optimizations = []
latency_s = {baseline}
speedup = 1

[[rows]]
setup = "own_student"
optimizations = ["distilled_unet"]
latency_s = {student}
speedup = {speedup}
{memory}
"""


@pytest.fixture
def table(tmp_path):
    def write(baseline=4.0, student=2.0, memory=""):
        file = tmp_path / "own.toml"
        file.write_text(TABLE.format(baseline=baseline, student=student, speedup=baseline / student, memory=memory))
        return file

    return write


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture(autouse=True)
def counted_once(known, monkeypatch):
    """Count each stack of rows once for all tests: what is printed of it is what they are about."""
    from pytest_sdspeed.run import accounting

    count = accounting.count_setup

    def count_once(resolved, stack):
        if resolved.optimizations not in known:
            known[resolved.optimizations] = count(resolved, stack)
        return known[resolved.optimizations]

    monkeypatch.setattr(accounting, "count_setup", count_once)
    return count


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_stable_diffusion(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "mine")


def dry(capsys, *arguments, status=0):
    """What the command prints, and says beside it."""
    assert main(["dry", *map(str, arguments)]) == status
    printed = capsys.readouterr()
    return printed.out, printed.err


def counted(capsys, *arguments, status=0):
    return json.loads(dry(capsys, *arguments, "--json", status=status)[0])


# Rows


def test_a_row_is_counted_with_its_stages_places_and_limits(capsys, table):
    said, _ = dry(capsys, "own/own_student", "--sd-tables", table())
    assert said.startswith("own/own_student   3 denoising steps, ")
    assert "parameters" in said
    assert [line.split("  ")[0] for line in said.splitlines()[2:5]] == ["operations", "host syncs", "copies to the device"]
    assert "one step" in said.splitlines()[1]
    assert "host sync" in said
    assert "scheduling_ddim.py:" in said
    assert "NVIDIA A100 80GB" in said
    assert "is part of no limit" in said
    assert "2 s" in said  # the documented latency


def test_a_table_is_counted_row_by_row(capsys, table):
    found = counted(capsys, "own", "--sd-tables", table())
    assert [one["name"] for one in found] == ["own/baseline", "own/own_student"]
    base, student = found
    assert student["account"]["flops"] < base["account"]["flops"]
    assert student["account"]["parameters"] < base["account"]["parameters"]
    assert base["documented"]["errors"] == student["documented"]["errors"] == []
    assert student["documented"]["share"] == pytest.approx(student["limits"][0]["limit_s"] / 2)


def test_a_documented_latency_that_no_device_reaches_fails(capsys, table):
    said, _ = dry(capsys, "own/own_student", "--sd-tables", table(baseline=2e-9, student=1e-9), status=1)
    assert "error: documented 1e-09 s on NVIDIA A100 80GB is impossible" in said


def test_a_documented_memory_that_the_counts_contradict_fails(capsys, table):
    said, _ = dry(capsys, "own/own_student", "--sd-tables", table(memory="memory = 0.1"), status=1)
    assert "of its baseline's peak memory" in said


def test_another_device_has_its_own_limit_and_the_documented_latency_stays_the_tables(capsys, table):
    (found,) = counted(capsys, "own/own_student", "--sd-tables", table(), "--device", "NVIDIA H200")
    assert [one["device"] for one in found["limits"]] == ["NVIDIA H200"]
    said, _ = dry(capsys, "own/own_student", "--sd-tables", table(), "--device", "NVIDIA H200")
    assert "explained" not in said


def test_a_row_for_a_device_without_published_peaks_gets_the_limits_of_all(capsys, table):
    file = table()
    file.write_text(file.read_text().replace("NVIDIA A100", "NVIDIA B300"))
    (found,) = counted(capsys, "own/own_student", "--sd-tables", file)
    assert [one["device"] for one in found["limits"]] == [spec.name for spec in DEVICES]
    assert found["documented"]["share"] is None
    assert found["documented"]["errors"] == []


def test_a_row_that_cannot_be_counted_is_named_and_the_others_are_counted(capsys, table):
    file = table()
    file.write_text(file.read_text() + '\n[[rows]]\nsetup = "own_xformers"\noptimizations = ["xformers"]\nspeedup = 1\n')
    said, beside = dry(capsys, "own", "--sd-tables", file, status=1)
    assert said.count("denoising steps") == 2
    assert "own/own_xformers: xformers" in beside


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing", "nothing"),
        ("inference/fp17", "fp16"),
        ("infrence/fp16", "inference"),
        ("some/folder/of/mine", "some/folder/of/mine"),
    ],
)
def test_an_unknown_table_or_row_is_refused_with_the_known_ones(capsys, target, said):
    _, beside = dry(capsys, target, status=2)
    assert said in beside


def test_an_unknown_device_is_refused_with_the_known_ones(capsys):
    _, beside = dry(capsys, "inference/fp16", "--device", "NVIDIA GeForce RTX 3090 Ti", status=2)
    assert "NVIDIA RTX 3090" in beside


def test_what_a_row_raises_while_it_is_counted_is_one_message(capsys, table, monkeypatch):
    def fail(resolved, stack):
        raise TypeError("cond must be a bool")

    monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup", fail)
    _, beside = dry(capsys, "own", "--sd-tables", table(), status=1)
    assert beside.count("raised TypeError: cond must be a bool") == 2


def test_a_torch_that_cannot_count_is_told(capsys, table, monkeypatch, counted_once):
    from pytest_sdspeed.dry import guard
    from pytest_sdspeed.errors import UnsupportedError

    def refuse():
        raise UnsupportedError("a dry run needs another torch")

    monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup", counted_once)
    monkeypatch.setattr(guard, "_find_registry", refuse)
    monkeypatch.setattr("torch.backends.cuda.is_built", lambda: False)
    _, beside = dry(capsys, "own/own_student", "--sd-tables", table(), status=1)
    assert "a dry run needs another torch" in beside


# Folders


def test_a_saved_pipeline_is_counted_without_its_weights(capsys, folder):
    size = ("--height", "16", "--width", "16")
    (few,) = counted(capsys, folder, "--steps", "2", *size)
    (more,) = counted(capsys, folder, "--steps", "3", *size)
    assert "StableDiffusionPipeline, float32, called with prompt" in few["name"]
    assert (few["account"]["steps"], more["account"]["steps"]) == (3, 4)  # PNDM's, one more than asked for
    assert more["account"]["flops"] > few["account"]["flops"] > 0
    assert list(few["account"]["stages"]) == ["text_encoder", "denoising", "decoding"]
    assert [one["device"] for one in few["limits"]] == [spec.name for spec in DEVICES]
    assert few["documented"] is None


def test_half_precision_halves_the_weights_of_a_folder(capsys, folder):
    size = ("--height", "16", "--width", "16", "--steps", "1")
    (whole,) = counted(capsys, folder, *size)
    (half,) = counted(capsys, folder, *size, "--dtype", "float16")
    assert half["account"]["parameters"] == whole["account"]["parameters"]
    assert half["account"]["weight_bytes"] < 0.51 * whole["account"]["weight_bytes"]
    assert half["account"]["flops"] == whole["account"]["flops"]


def test_a_diffusion_transformer_is_counted_with_further_arguments(capsys, tmp_path):
    folder = save_flux(tmp_path)
    said, _ = dry(
        capsys, folder, "--dtype", "bfloat16", "--steps", "2", "--height", "16", "--width", "16", "--call", "max_sequence_length=16"
    )
    assert "FluxPipeline, bfloat16" in said
    assert "2 denoising steps" in said
    assert "no published rate of NVIDIA T4 for bfloat16" in said


def test_a_pipeline_that_draws_from_a_picture_is_given_one(capsys, tmp_path):
    (found,) = counted(capsys, save_from_picture(tmp_path), "--steps", "4", "--call", "strength=0.5")
    assert "called with image, prompt" in found["name"]
    assert found["account"]["steps"] == 3  # half of four, and PNDM's one more


@needs("diffusers", "0.40", "a DiTPipeline that returns tensors")
def test_what_cannot_be_made_up_is_named_and_can_be_given(capsys, tmp_path):
    folder = save_of_classes(tmp_path)
    _, beside = dry(capsys, folder, status=2)
    assert "DiTPipeline needs class_labels, which cannot be made up" in beside
    assert "--call class_labels=VALUE" in beside
    (found,) = counted(capsys, folder, "--steps", "2", "--call", "class_labels=[1]")
    assert found["account"]["steps"] == 2


def test_a_misspelt_argument_of_the_call_is_refused_not_passed_over(capsys, folder):
    _, beside = dry(capsys, folder, "--call", "guidence_scale=1", status=2)
    assert "takes no argument 'guidence_scale'" in beside
    assert "guidance_scale" in beside
    _, beside = dry(capsys, folder, "--call", "guidance_scale", status=2)
    assert "valid: KEY=VALUE" in beside


def test_what_a_pipeline_refuses_is_told_with_what_it_was_called_with(capsys, folder):
    _, beside = dry(capsys, folder, "--steps", "1", "--call", "negative_prompt=[1, 2]", status=1)
    assert "StableDiffusionPipeline called with prompt" in beside
    assert "raised TypeError" in beside


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (lambda folder: (folder / "model_index.json").write_text("{"), "model_index.json cannot be read"),
        (lambda folder: (folder / "model_index.json").write_text("{}"), "names no pipeline class"),
        (lambda folder: replace(folder, "StableDiffusionPipeline", "NoSuchPipeline"), "names the pipeline 'NoSuchPipeline'"),
        (lambda folder: replace(folder, "UNet2DConditionModel", "UNet9"), "gives 'unet' as ['diffusers', 'UNet9']"),
        (
            lambda folder: replace(folder, '"diffusers",\n    "UNet2DConditionModel"', '"unet_of_mine",\n    "Mine"'),
            "code of a model folder is not run",
        ),
        (lambda folder: (folder / "unet" / "config.json").unlink(), "unet cannot be built without weights"),
        (lambda folder: quantize(folder / "unet" / "config.json"), "unet is saved quantized"),
    ],
)
def test_a_broken_folder_is_told_with_the_part_at_fault(capsys, folder, planted, said):
    planted(folder)
    _, beside = dry(capsys, folder, status=1)
    assert said in beside
    assert str(folder) in beside


def replace(folder, before, after):
    file = folder / "model_index.json"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def quantize(file):
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantization_config": {"quant_method": "bitsandbytes"}}))


def test_a_folder_without_a_pipeline_is_told(capsys, tmp_path):
    _, beside = dry(capsys, tmp_path, status=1)
    assert "no saved pipeline: model_index.json is missing" in beside
