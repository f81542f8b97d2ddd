"""The documented figures, what a table file may not say, and the way back to TOML."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from types import MappingProxyType

import pytest

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import ImageGate, Recipe, Row, Table
from pytest_sdspeed.tables import builtin_names, dumps_table, load_table, load_tables, schema

DOCUMENTED = {
    "inference": [("baseline", 5.27, 1), ("tf32", 4.14, 1.27), ("fp16", 3.51, 1.50), ("combined", 3.41, 1.54)],
    "distillation": [("baseline", 6.37, 1), ("distilled", 4.18, 1.52), ("distilled_tiny_vae", 3.83, 1.66)],
    "attention": [
        ("vanilla_fp16_b1", 2.69, 1),
        ("xformers_fp16_b1", 2.7, 0.996),
        ("sdpa_fp16_b1", 1.98, 1.359),
        ("sdpa_compile_fp16_b1", 2.47, 1.089),
        ("vanilla_fp16_b4", 5.27, 1),
        ("xformers_fp16_b4", 3.91, 1.348),
        ("sdpa_fp16_b4", 3.89, 1.355),
        ("sdpa_compile_fp16_b4", 3.53, 1.493),
        ("vanilla_fp16_b16", 18.95, 1),
        ("xformers_fp16_b16", 13.57, 1.396),
        ("sdpa_fp16_b16", 13.55, 1.399),
        ("sdpa_compile_fp16_b16", 13.20, 1.436),
        ("vanilla_fp32_b1", 4.97, 1),
        ("xformers_fp32_b1", 3.86, 1.288),
        ("sdpa_fp32_b1", 2.6, 1.912),
        ("sdpa_compile_fp32_b1", 2.86, 1.738),
        ("vanilla_fp32_b4", 16.70, 1),
        ("xformers_fp32_b4", 12.42, 1.345),
        ("sdpa_fp32_b4", 7.94, 2.103),
        ("sdpa_compile_fp32_b4", 7.54, 2.215),
    ],
    "stack": [
        ("baseline", 1.512, 1),
        ("bf16", 1.302, 1.161),
        ("bf16_sdpa", 1.178, 1.284),
        ("bf16_sdpa_compile", 0.500, 3.024),
        ("bf16_sdpa_compile_fused_qkv", 0.494, 3.06),
    ],
    "legacy": [
        ("baseline", 9.50, 1),
        ("cudnn_benchmark", 9.37, 1.01),
        ("autocast", 5.47, 1.74),
        ("fp16", 3.61, 2.63),
        ("channels_last", 3.30, 2.88),
        ("traced_unet", 3.21, 2.96),
        ("memory_efficient_attention", 2.63, 3.61),
    ],
}

VALID = """\
schema = 1
name = "mine"
title = "Mine"
source = "https://example.org/page"
device = "NVIDIA A100"
[recipe]
model = "org/model"
prompt = "a prompt"
height = 512
width = 768
steps = 50
scheduler = "ddim"
[[rows]]
setup = "baseline"
optimizations = []
latency_s = 5.27
speedup = 1
[[rows]]
setup = "tf32"
optimizations = ["tf32"]
latency_s = 4.14
speedup = 1.27
image = {psnr = 28, ssim = 0.90}
[[rows]]
setup = "fp16"
optimizations = ["fp16"]
latency_s = 3.51
speedup = 1.50
[[rows]]
setup = "combined"
optimizations = ["fp16", "tf32"]
latency_s = 3.41
speedup = 1.54
"""
NASTY = 'quote " backslash \\ \\u0041 \\n, tab \t, newline \n, return \r\n, bell \b\f, null \x00, escape \x1b, delete \x7f, # = [x] """, é, 漢, 🚀, \u2028\x85'


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture(scope="module")
def builtin():
    return {table.name: table for table in load_tables()}


def refused(path, key, *words):
    """Load a faulty file; the one error must name the file, the key, and each of the words."""
    with pytest.raises(TableError) as caught:
        load_table(path)
    error = caught.value
    assert (error.path, error.key) == (str(path), key)
    assert str(error) == (f"{path}: {key}: {error.problem}" if key else f"{path}: {error.problem}")
    for word in words:
        assert word in error.problem
    return error


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_figures(builtin, name):
    rows = builtin[name].rows
    assert [(row.setup, row.latency_s) for row in rows] == [(setup, latency) for setup, latency, _ in DOCUMENTED[name]]
    for row, (_, _, speedup) in zip(rows, DOCUMENTED[name], strict=True):
        assert row.speedup == pytest.approx(speedup, abs=5e-4), row.setup


def test_builtin_tables_are_named_after_their_files(builtin):
    assert set(DOCUMENTED) <= set(builtin_names())
    assert tuple(builtin) == builtin_names()


def test_builtin_tables_are_described(builtin):
    for name in DOCUMENTED:
        table = builtin[name]
        assert table.source.startswith("https://")
        assert table.notes
        assert not table.recorded
        assert table.device == ("NVIDIA TITAN RTX" if name == "legacy" else "NVIDIA A100")
        assert all(row.tolerance == 0.05 for row in table.rows)


def test_inference_recipe_and_stacks(builtin):
    table = builtin["inference"]
    assert {row.recipe for row in table.rows} == {
        Recipe(
            model="stable-diffusion-v1-5/stable-diffusion-v1-5",
            prompt="a photo of an astronaut riding a horse on mars",
            height=512,
            width=512,
            steps=50,
            scheduler="ddim",
        )
    }
    assert [row.optimizations for row in table.rows] == [(), ("tf32",), ("fp16",), ("fp16", "tf32")]
    assert [row.is_baseline for row in table.rows] == [True, False, False, False]
    assert table.rows[1].image == ImageGate(psnr=28, ssim=0.9)
    assert [row.image_random for row in table.rows] == [None, ImageGate(psnr=50), ImageGate(psnr=45), ImageGate(psnr=45)]


def test_distillation_recipe_and_stacks(builtin):
    table = builtin["distillation"]
    assert {row.recipe for row in table.rows} == {
        Recipe(
            model="CompVis/stable-diffusion-v1-4",
            prompt="a photo of an astronaut riding a horse on mars",
            height=512,
            width=512,
            steps=25,
            scheduler="pndm",
            images=4,
            dtype="float16",
            repeats=3,
            student="nota-ai/bk-sdm-small",
            tiny_vae="sayakpaul/taesd-diffusers",
        )
    }
    assert [row.optimizations for row in table.rows] == [(), ("distilled_unet",), ("distilled_unet", "tiny_vae")]
    assert all(row.image is None and row.image_random is None for row in table.rows)


def test_attention_rows_take_the_recipe_of_their_group(builtin):
    for row in builtin["attention"].rows:
        _, dtype, batch = row.setup.rsplit("_", 2)
        assert row.baseline == f"vanilla_{dtype}_{batch}"
        assert row.recipe.dtype == {"fp16": "float16", "fp32": "float32"}[dtype]
        assert row.recipe.images == int(batch.removeprefix("b"))
        assert row.is_baseline == row.setup.startswith("vanilla")
        assert ("vanilla_attention" in row.optimizations) == row.is_baseline
        assert ("compile" in row.optimizations) == row.setup.startswith("sdpa_compile")


def test_rows_without_efficient_attention_ask_for_vanilla_attention(builtin):
    vanilla = {name: [row.setup for row in builtin[name].rows if "vanilla_attention" in row.optimizations] for name in ("stack", "legacy")}
    assert vanilla["stack"] == ["baseline", "bf16"]
    assert vanilla["legacy"] == [row.setup for row in builtin["legacy"].rows][:-1]


def test_the_bfloat16_gate_is_its_own(builtin):
    gates = {row.setup: row.image_random for row in builtin["stack"].rows}
    assert gates.pop("baseline") is None
    assert set(gates.values()) == {ImageGate(psnr=35)}


def test_recipe_keys_are_the_fields_of_the_recipe():
    assert list(schema.RECIPE) == [field.name for field in fields(Recipe)]
    assert list(schema.GATE) == [field.name for field in fields(ImageGate)]


def test_a_valid_table_is_read(write):
    path = write(VALID)
    table = load_table(path)
    assert (table.name, table.title, table.source, table.device) == ("mine", "Mine", "https://example.org/page", "NVIDIA A100")
    assert table.path == str(path)
    assert table.row("tf32").image == ImageGate(psnr=28.0, ssim=0.9)
    assert isinstance(table.row("tf32").image.psnr, float)
    assert isinstance(table.row("baseline").speedup, float)


def test_tolerance_of_a_row_over_the_tables(write):
    text = VALID.replace("[recipe]", "tolerance = 0.1\n[recipe]").replace('setup = "fp16"', 'setup = "fp16"\ntolerance = 0')
    assert [row.tolerance for row in load_table(write(text)).rows] == [0.1, 0.1, 0.0, 0.1]


def test_candidates_inherit_the_recipe_of_a_baseline_further_down(write):
    text = VALID.replace('setup = "fp16"', 'setup = "fp16"\nbaseline = "four"').replace("speedup = 1.50\n", "")
    text += '[[rows]]\nsetup = "four"\nbaseline = "four"\noptimizations = []\nlatency_s = 7.02\nrecipe = {images = 4, dtype = "float16", guidance = 1.5}\n'
    table = load_table(write(text))
    assert table.row("fp16").recipe == table.row("four").recipe == replace(table.rows[0].recipe, images=4, dtype="float16", guidance=1.5)
    assert table.row("fp16").speedup == pytest.approx(2)
    assert table.row("four").speedup == 1


@pytest.mark.parametrize(
    ("latency", "baseline", "speedup"),
    [
        ("3.41", "5.27", "1.54"),
        ("3.41", "5.27", "1.55"),
        ("2", "3", "1.5"),
        ("2", "3", "1"),
        ("2.70", "2.69", "0.996"),
        ("1.0", "2.0", "2"),
        ("2e-3", "5.0e-3", "2.5"),
        ("0.3", "0.1", repr(0.1 / 0.3)),
        ("0.7000000000000001", "0.30000000000000004", repr(0.30000000000000004 / 0.7000000000000001)),
    ],
)
def test_a_speedup_within_rounding_is_no_contradiction(write, latency, baseline, speedup):
    text = VALID.replace("latency_s = 5.27", f"latency_s = {baseline}").replace("latency_s = 3.41", f"latency_s = {latency}")
    text = text.replace("speedup = 1.54", f"speedup = {speedup}").replace("speedup = 1.27\n", "").replace("speedup = 1.50\n", "")
    assert load_table(write(text)).row("combined").speedup == float(speedup)


def test_a_speedup_is_computed_from_latencies(write):
    assert load_table(write(VALID.replace("speedup = 1.54\n", ""))).row("combined").speedup == 5.27 / 3.41


def test_a_speedup_needs_no_latency(write):
    row = load_table(write(VALID.replace("latency_s = 3.41\n", ""))).row("combined")
    assert (row.speedup, row.latency_s) == (1.54, None)


# Each fault: what of VALID is replaced by what, the key to blame, and words of the message.
FAULTS = {
    "unknown table key": (
        "[recipe]",
        'tittle = "x"\n[recipe]',
        "tittle",
        ["unknown key", "did you mean 'title'?", "valid: schema, name, title"],
    ),
    "unknown key unlike any": ("[recipe]", '"a.b" = 1\n[recipe]', '"a.b"', ["unknown key; valid: schema"]),
    "unknown recipe key": ("steps = 50", "steps = 50\nstep = 1", "recipe.step", ["did you mean 'steps'?", "tiny_vae"]),
    "unknown row key": ("speedup = 1.27", "speed_up = 1.27", "rows[1].speed_up", ["did you mean 'speedup'?", "latency_s"]),
    "unknown gate": ("psnr = 28", "lpips = 28", "rows[1].image.lpips", ["unknown key", "valid: psnr, ssim, mae"]),
    "empty gate": ("{psnr = 28, ssim = 0.90}", "{}", "rows[1].image", ["must not be empty; valid: psnr, ssim, mae"]),
    "missing schema": ("schema = 1\n", "", "schema", ["missing"]),
    "missing name": ('name = "mine"\n', "", "name", ["missing", "title, source, device"]),
    "missing device": ('device = "NVIDIA A100"\n', "", "device", ["missing"]),
    "missing recipe key": (
        'model = "org/model"\n',
        "",
        "recipe.model",
        ["missing; required: model, prompt, height, width, steps, scheduler"],
    ),
    "missing setup": ('setup = "tf32"\n', "", "rows[1].setup", ["missing; required: setup, optimizations"]),
    "missing optimizations": ('optimizations = ["tf32"]\n', "", "rows[1].optimizations", ["missing"]),
    "missing speedup and latency": (
        "latency_s = 4.14\nspeedup = 1.27",
        "",
        "rows[1].speedup",
        ["missing; valid: speedup, or latency_s", "'baseline'"],
    ),
    "other schema": ("schema = 1", "schema = 2\nlater = true", "schema", ["unknown schema 2; valid: 1"]),
    "schema is no integer": ("schema = 1", "schema = true", "schema", ["must be an integer, not a boolean"]),
    "title is no string": ('title = "Mine"', "title = 3", "title", ["must be a string, not an integer"]),
    "title is a date": ('title = "Mine"', "title = 2024-01-01", "title", ["must be a string, not a date"]),
    "title is a date-time": ('title = "Mine"', "title = 2024-01-01T00:00:00", "title", ["not a date-time"]),
    "title is empty": ('title = "Mine"', 'title = " "', "title", ["must not be empty"]),
    "name in capitals": ('name = "mine"', 'name = "Mine"', "name", ["'Mine' is no valid name", "lower-case"]),
    "name ends in newline": ('name = "mine"', 'name = "mine\\n"', "name", ["no valid name"]),
    "setup with a dash": ('setup = "tf32"', 'setup = "tf-32"', "rows[1].setup", ["'tf-32' is no valid name"]),
    "reserved setup": ('setup = "tf32"', 'setup = "control"', "rows[1].setup", ["A/A control"]),
    "notes are no array": ("[recipe]", 'notes = "x"\n[recipe]', "notes", ["must be an array, not a string"]),
    "notes hold a number": ("[recipe]", 'notes = ["x", 1.5]\n[recipe]', "notes", ["item 1 must be a string, not a float"]),
    "optimizations are no array": ('["tf32"]', '"tf32"', "rows[1].optimizations", ["must be an array, not a string"]),
    "optimizations hold a boolean": ('["tf32"]', "[true]", "rows[1].optimizations", ["item 0 must be a string, not a boolean"]),
    "optimization twice": ('["fp16", "tf32"]', '["fp16", "fp16"]', "rows[3].optimizations", ["lists 'fp16' twice"]),
    "recipe is no table": ("[recipe]", "[[recipe]]", "recipe", ["must be a table, not an array"]),
    "image is no table": ("{psnr = 28, ssim = 0.90}", "28", "rows[1].image", ["must be a table, not an integer"]),
    "row recipe is no table": ("speedup = 1\n", "speedup = 1\nrecipe = 1\n", "rows[0].recipe", ["must be a table, not an integer"]),
    "latency is a boolean": ("latency_s = 4.14", "latency_s = true", "rows[1].latency_s", ["must be a number, not a boolean"]),
    "latency is a string": ("latency_s = 4.14", 'latency_s = "4.14"', "rows[1].latency_s", ["must be a number, not a string"]),
    "latency is a time": ("latency_s = 4.14", "latency_s = 04:14:00", "rows[1].latency_s", ["must be a number, not a time"]),
    "latency is NaN": ("latency_s = 4.14", "latency_s = nan", "rows[1].latency_s", ["must be finite"]),
    "latency is infinite": ("latency_s = 4.14", "latency_s = inf", "rows[1].latency_s", ["must be finite"]),
    "latency overflows": ("latency_s = 4.14", "latency_s = 1e999", "rows[1].latency_s", ["must be finite"]),
    "latency overflows as integer": ("latency_s = 4.14", f"latency_s = 1{'0' * 400}", "rows[1].latency_s", ["must be finite"]),
    "latency underflows": ("latency_s = 4.14", "latency_s = 1e-999", "rows[1].latency_s", ["must be greater than 0"]),
    "latency is zero": ("latency_s = 4.14", "latency_s = 0.0", "rows[1].latency_s", ["must be greater than 0, not 0.0"]),
    "latency is negative": ("latency_s = 4.14", "latency_s = -1", "rows[1].latency_s", ["must be greater than 0, not -1"]),
    "speedup is zero": ("speedup = 1.27", "speedup = 0", "rows[1].speedup", ["must be greater than 0"]),
    "tolerance of one": ("[recipe]", "tolerance = 1\n[recipe]", "tolerance", ["at least 0 and below 1, not 1"]),
    "negative tolerance": ("speedup = 1.27", "speedup = 1.27\ntolerance = -0.1", "rows[1].tolerance", ["at least 0 and below 1"]),
    "psnr of zero": ("psnr = 28", "psnr = 0", "rows[1].image.psnr", ["must be greater than 0"]),
    "ssim above one": ("ssim = 0.90", "ssim = 1.1", "rows[1].image.ssim", ["between -1 and 1, not 1.1"]),
    "ssim below minus one": ("ssim = 0.90", "ssim = -1.1", "rows[1].image.ssim", ["between -1 and 1"]),
    "mae of zero": ("ssim = 0.90", "mae = 0", "rows[1].image.mae", ["must be greater than 0"]),
    "unknown scheduler": ('"ddim"', '"euler"', "recipe.scheduler", ["unknown scheduler 'euler'; valid: ddim, pndm"]),
    "unknown dtype": (
        "steps = 50",
        'steps = 50\ndtype = "half"',
        "recipe.dtype",
        ["unknown dtype 'half'; valid: float32, float16, bfloat16"],
    ),
    "height no multiple of 8": ("height = 512", "height = 500", "recipe.height", ["multiple of 8, not 500"]),
    "width no multiple of 8": ("width = 768", "width = 767", "recipe.width", ["multiple of 8, not 767"]),
    "height of zero": ("height = 512", "height = 0", "recipe.height", ["at least 8, not 0"]),
    "height is a float": ("height = 512", "height = 512.0", "recipe.height", ["must be an integer, not a float"]),
    "no steps": ("steps = 50", "steps = 0", "recipe.steps", ["at least 1, not 0"]),
    "steps are a boolean": ("steps = 50", "steps = true", "recipe.steps", ["must be an integer, not a boolean"]),
    "no images": ("steps = 50", "steps = 50\nimages = 0", "recipe.images", ["at least 1, not 0"]),
    "no repeats": ("steps = 50", "steps = 50\nrepeats = 0", "recipe.repeats", ["at least 1, not 0"]),
    "negative guidance": ("steps = 50", "steps = 50\nguidance = -1.0", "recipe.guidance", ["0 or greater"]),
    "negative seed": ("steps = 50", "steps = 50\nseed = -1", "recipe.seed", ["at least 0"]),
    "seed too large": ("steps = 50", f"steps = 50\nseed = {2**63}", "recipe.seed", ["at most"]),
    "bad value in a row's recipe": ("speedup = 1\n", "speedup = 1\nrecipe = {images = 0}\n", "rows[0].recipe.images", ["at least 1"]),
    "unknown key in a row's recipe": ("speedup = 1\n", "speedup = 1\nrecipe = {batch = 4}\n", "rows[0].recipe.batch", ["unknown key"]),
    "recipe on a candidate": (
        "speedup = 1.27",
        "speedup = 1.27\nrecipe = {images = 4}",
        "rows[1].recipe",
        ["only a baseline row", "'baseline'"],
    ),
    "duplicate row": ('setup = "fp16"', 'setup = "tf32"', "rows[2].setup", ["'tf32' is already the setup of rows[1]"]),
    "missing baseline": (
        'setup = "tf32"',
        'setup = "tf32"\nbaseline = "fp23"',
        "rows[1].baseline",
        ["no row has the setup 'fp23'; valid: baseline"],
    ),
    "no default baseline": ('setup = "baseline"', 'setup = "base"', "rows[0].baseline", ["no row has the setup 'baseline'; valid: none"]),
    "chained baseline": (
        'setup = "combined"',
        'setup = "combined"\nbaseline = "fp16"',
        "rows[3].baseline",
        ["'fp16' is itself compared with 'baseline'", "valid: baseline"],
    ),
    "baseline compared with another": (
        'setup = "baseline"',
        'setup = "baseline"\nbaseline = "tf32"',
        "rows[0].baseline",
        ["compared with no other"],
    ),
    "speedup of a baseline": ("speedup = 1\n", "speedup = 1.1\n", "rows[0].speedup", ["1.1 on a baseline row", "valid: 1"]),
    "contradiction": (
        "speedup = 1.54",
        "speedup = 1.60",
        "rows[3].speedup",
        ["1.60 contradicts", "5.27 s / 3.41 s is 1.545", "1.542 to 1.549"],
    ),
    "contradiction below": ("speedup = 1.54", "speedup = 1.53", "rows[3].speedup", ["1.53 contradicts", "1.545"]),
    "recorded is empty": ("[recipe]", "[recorded]\n[recipe]", "recorded", ["must not be empty"]),
    "recorded holds a number": ("[recipe]", "[recorded]\ntorch = 2.13\n[recipe]", "recorded.torch", ["must be a string, not a float"]),
    "rows are a table": (VALID[VALID.index("[[rows]]") :], '[rows]\nsetup = "baseline"', "rows", ["must be an array, not a table"]),
    "rows hold a string": (
        VALID[VALID.index("[recipe]") :],
        f'rows = ["x"]\n{VALID[VALID.index("[recipe]") : VALID.index("[[rows]]")]}',
        "rows",
        ["item 0"],
    ),
    "no rows": (
        VALID[VALID.index("[recipe]") :],
        f"rows = []\n{VALID[VALID.index('[recipe]') : VALID.index('[[rows]]')]}",
        "rows",
        ["at least two rows"],
    ),
    "nothing compared": (
        VALID[VALID.index('[[rows]]\nsetup = "tf32"') :],
        '[[rows]]\nsetup = "other"\nbaseline = "other"\noptimizations = []\n',
        "rows",
        ["no row is compared with a baseline"],
    ),
    "invalid TOML": ("width = 768", "width 768", "", ["is not valid TOML", "line 10"]),
    "key twice": ("width = 768", "width = 768\nwidth = 512", "", ["is not valid TOML", "line 11"]),
    "nested too deeply": ('title = "Mine"', f"title = {'[' * 5000}", "", ["is not valid TOML"]),
    "integer too long": ("steps = 50", f"steps = {'1' * 5000}", "", ["number is too large"]),
    "exponent too large": ("latency_s = 4.14", "latency_s = 1e99999999999999999999", "", ["number is too large"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(write, fault):
    old, new, key, words = FAULTS[fault]
    assert old in VALID
    refused(write(VALID.replace(old, new, 1)), key, *words)


@pytest.mark.parametrize(
    "seam",
    [f"{line}\n" for line in VALID.splitlines() if line.split(" ")[0] not in ("latency_s", "speedup", "image") and "rows" not in line],
)
def test_no_required_line_can_be_left_out(write, seam):
    with pytest.raises(TableError):
        load_table(write(VALID.replace(seam, "", 1)))


def test_random_gate_faults_name_their_own_key(write):
    refused(write(VALID.replace("image = {psnr = 28", "image_random = {psnr = -1")), "rows[1].image_random.psnr", "greater than 0")


def test_not_utf8(write):
    refused(write(VALID.replace("Mine", "Mäne").encode("latin-1")), "", "is not UTF-8 (byte 0xe4 at line 3)")


def test_unreadable(tmp_path):
    refused(tmp_path / "absent.toml", "", "cannot be read", "No such file")
    refused(tmp_path, "", "cannot be read")


def test_impossible_path():
    for load in (load_table, lambda path: load_tables([path])):
        with pytest.raises(TableError, match="cannot be read"):
            load("a\0b")


def test_load_tables_reads_files_and_folders_after_the_builtin_ones(write, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "folder.toml").mkdir()
    write(VALID.replace('"mine"', '"second"'), "more/b.toml")
    first = write(VALID.replace('"mine"', '"first"'), "more/a.toml")
    write("not a table", "more/readme.txt")
    lone = write(VALID.replace('"mine"', '"lone"'), "lone.table")
    names = [table.name for table in load_tables([lone, tmp_path / "more", first])]
    assert names == [*builtin_names(), "lone", "first", "second"]


def test_load_tables_names_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(TableError, match="no such file or folder; valid: a table file") as caught:
        load_tables([tmp_path / "absent"])
    assert caught.value.path == str(tmp_path / "absent")


def test_load_tables_names_a_folder_without_tables(tmp_path):
    with pytest.raises(TableError, match=r"holds no \*\.toml file") as caught:
        load_tables([tmp_path])
    assert caught.value.path == str(tmp_path)


def recorded(text):
    return text.replace("[recipe]", '[recorded]\ndate = "2026-01-01"\n[recipe]')


@pytest.mark.parametrize("change", [lambda text: text, recorded])
def test_same_name_and_device_is_refused(write, change):
    one, two = write(VALID, "one.toml"), write(change(VALID), "two.toml")
    with pytest.raises(TableError) as caught:
        load_tables([one, two])
    assert (caught.value.path, caught.value.key) == (str(two), "name")
    assert str(one) in caught.value.problem
    assert "'mine' for device 'NVIDIA A100'" in caught.value.problem


def test_same_name_for_another_device_must_be_recorded(write):
    one, two = write(VALID, "one.toml"), write(VALID.replace("A100", "H200"), "two.toml")
    with pytest.raises(TableError, match="only a recorded table") as caught:
        load_tables([one, two])
    assert (caught.value.path, caught.value.key) == (str(two), "name")
    assert str(one) in caught.value.problem


def test_a_recorded_table_shares_a_name_with_one_for_another_device(write):
    one = write(recorded(VALID.replace('"mine"', '"inference"').replace("A100", "H200")), "one.toml")
    two = write(recorded(VALID.replace('"mine"', '"inference"').replace("A100", "H100")), "two.toml")
    found = [table for table in load_tables([two, one]) if table.name == "inference"]
    assert [table.device for table in found] == ["NVIDIA A100", "NVIDIA H100", "NVIDIA H200"]
    assert found[2].recorded == {"date": "2026-01-01"}


def test_a_recorded_speedup_may_differ_from_its_medians_by_the_tolerance(write):
    # Documented figures are rounded; recorded ones are estimated apart, from paired blocks and from medians.
    assert load_table(write(recorded(VALID.replace("speedup = 1.54", "speedup = 1.60")))).row("combined").speedup == 1.6
    refused(write(recorded(VALID.replace("speedup = 1.54", "speedup = 1.70"))), "rows[3].speedup", "1.70 contradicts")


def test_builtin_tables_survive_the_round_trip(builtin, write):
    for table in builtin.values():
        assert replace(load_table(write(dumps_table(table))), path=table.path) == table


def make_table(**changes):
    recipe = Recipe(model=NASTY, prompt=NASTY, height=64, width=72, steps=3, scheduler="pndm", student="s", guidance=0.1 + 0.2)
    other = replace(recipe, student=None, tiny_vae="v", images=2, width=80, guidance=7.5)
    facts = {
        "name": "mine",
        "title": NASTY,
        "source": NASTY,
        "device": NASTY,
        "notes": (NASTY, "second"),
        "recorded": {"date": NASTY, NASTY: "odd key", "": "empty key", "a.b": "dotted", "bare-key_1": ""},
        "path": "somewhere.toml",
        "rows": (
            Row(setup="a", optimizations=(), baseline="a", recipe=recipe, speedup=1.0, latency_s=1e-7),
            Row(setup="b", optimizations=(NASTY, "x"), baseline="a", recipe=recipe, speedup=1 / 3, latency_s=3e-7, notes=NASTY),
            Row(
                setup="c",
                optimizations=("x",),
                baseline="d",
                recipe=other,
                speedup=1e-5,
                tolerance=0.1,
                image=ImageGate(psnr=30.0, ssim=-0.5),
            ),
            Row(setup="d", optimizations=(), baseline="d", recipe=other, speedup=1.0, image_random=ImageGate(mae=1e-9)),
        ),
    }
    return Table(**{**facts, **changes})


def test_nasty_strings_and_numbers_survive_the_round_trip(write):
    table = make_table()
    text = dumps_table(table)
    assert tomllib.loads(text)["title"] == NASTY
    back = load_table(write(text))
    assert replace(back, path=table.path) == table
    assert dumps_table(back) == text


@pytest.mark.parametrize("code", [*range(0x20), 0x22, 0x5C, 0x7F, 0x80, 0x85, 0xA0, 0x2028, 0xFEFF, 0xFFFF, 0x10FFFF])
def test_every_awkward_character_survives_the_round_trip(write, code):
    table = make_table(title=f"<{chr(code)}>", path="")
    assert load_table(write(dumps_table(table))).title == table.title


def test_a_read_only_mapping_can_be_written():
    table = make_table(recorded=MappingProxyType({"torch": "2.13"}))
    assert 'torch = "2.13"' in dumps_table(table)


def test_a_subclass_of_float_is_written_as_a_number():
    class Loud(float):
        def __repr__(self):
            return f"Loud({float(self)})"

    rows = make_table().rows
    table = make_table(rows=(replace(rows[0], latency_s=Loud(1e-7)), *rows[1:]))
    assert "latency_s = 1e-07\n" in dumps_table(table)


def test_a_table_that_could_not_be_read_back_is_not_written():
    rows = make_table().rows
    unlike = replace(rows[1], recipe=replace(rows[1].recipe, steps=4))
    with pytest.raises(TableError, match=r"rows\[1\]: would not read back as it is"):
        dumps_table(make_table(rows=(rows[0], unlike, *rows[2:])))
    with pytest.raises(TableError, match="no row is compared with a baseline"):
        dumps_table(make_table(rows=rows[:1]))
    with pytest.raises(TableError, match="must be finite"):
        dumps_table(make_table(rows=(rows[0], replace(rows[1], speedup=float("nan")))))
    with pytest.raises(TableError, match=r"somewhere.toml: cannot be written as UTF-8: '\\ud800' is no character"):
        dumps_table(make_table(title="\ud800"))
    with pytest.raises(TableError, match="would not read back"):
        dumps_table(make_table(notes=["a list"]))


def test_tables_import_nothing_heavy():
    code = "import sys, pytest_sdspeed.tables; print([m for m in ('numpy', 'torch', 'pytest', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
