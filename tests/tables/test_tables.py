"""The documented figures, what a table file says, and the way back to TOML."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest
import tables_text
from tables_text import VALID

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import ImageGate, Recipe, Row, Table, toml_text
from pytest_sdspeed.tables import dumps_table, list_builtin_names, load_table, load_tables, schema

ROOT = Path(__file__).parents[2]
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
NASTY = 'quote " backslash \\ \\u0041 \\n, tab \t, newline \n, return \r\n, bell \b\f, null \x00, escape \x1b, delete \x7f, # = [x] """, é, 漢, 🚀, \u2028\x85'

write = tables_text.write


@pytest.fixture(scope="module")
def builtin():
    return {table.name: table for table in load_tables()}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_figures(builtin, name):
    rows = builtin[name].rows
    assert [(row.setup, row.latency_s) for row in rows] == [(setup, latency) for setup, latency, _ in DOCUMENTED[name]]
    for row, (_, _, speedup) in zip(rows, DOCUMENTED[name], strict=True):
        assert row.speedup == pytest.approx(speedup, abs=5e-4), row.setup


def test_builtin_tables_are_named_after_their_files(builtin):
    assert set(DOCUMENTED) <= set(list_builtin_names())
    assert tuple(builtin) == list_builtin_names()


def test_builtin_tables_are_described(builtin):
    for name in DOCUMENTED:
        table = builtin[name]
        assert table.source.startswith("https://")
        assert table.notes
        assert not table.recorded
        assert table.device == ("NVIDIA TITAN RTX" if name == "legacy" else "NVIDIA A100")
        assert all(row.tolerance == 0.05 for row in table.rows)


def test_the_miniature_names_its_measurements_and_would_miss_a_lost_student(builtin):
    table = builtin["miniature"]
    assert (ROOT / table.source).is_file()
    floors = {row.setup: row.speedup * (1 - row.tolerance) for row in table.rows}
    assert floors["distilled"] > 1
    assert floors["distilled_tiny_vae"] > 1


def test_the_miniature_has_the_recipes_of_the_documented_tables(builtin):
    table = builtin["miniature"]
    for setup, documented in (("baseline", "inference"), ("distilled", "distillation")):
        ours, theirs = table.row(setup).recipe, builtin[documented].rows[0].recipe
        assert ours.prompt == theirs.prompt
    assert {(row.recipe.steps, row.recipe.guidance, row.recipe.scheduler) for row in table.rows} == {(15, 3, "ddim")}
    # The title and the notes name the differences.
    assert "15 DDIM steps" in table.title
    assert "Guidance is 3: at 7.5" in " ".join(table.notes)
    assert {row.baseline for row in table.rows} == {"baseline"}


def test_every_row_of_the_miniature_promises_a_speedup_whose_floor_a_lost_optimization_misses(builtin):
    promised = {row.setup: row for row in builtin["miniature"].rows}
    assert promised.pop("baseline").speedup == 1
    assert len(promised) == 5
    for row in promised.values():
        assert row.speedup * (1 - row.tolerance) > 1.1
    # A stack that has lost one of its two is no faster than the other alone.
    stacked = promised["distilled_feature_cache_2"]
    for alone in (promised["distilled"], promised["feature_cache_2"]):
        assert stacked.speedup * (1 - stacked.tolerance) > alone.speedup * 1.1


def test_our_own_table_says_that_its_figures_are_goals_and_that_no_row_is_slower_than_the_one_before(builtin):
    table = builtin["fastest"]
    assert (ROOT / table.source).is_file()
    assert table.device == "no device yet (goals)"
    assert "goals: none of them was measured" in table.notes[0]
    assert table.row("fastest_compile_cache_3_tiny_vae_distilled_b1").speedup == 8
    for group in ("b1", "b4"):
        for branch in ("graphs", "compile"):
            other = {"graphs": "compile", "compile": "graphs"}[branch]
            rows = [row for row in table.rows if row.setup.endswith(group) and other not in row.setup]
            assert [row.speedup for row in rows] == sorted(row.speedup for row in rows)
            stacks = [set(row.optimizations) - {"feature_cache_2", "feature_cache_3"} for row in rows]
            assert all(one <= other for one, other in pairwise(stacks))


def test_our_own_table_holds_every_row_of_equal_weights_and_autoencoder_against_the_baseline(builtin):
    for row in builtin["fastest"].rows:
        other = {"tiny_vae", "distilled_unet"} & set(row.optimizations)
        assert (row.image_random is None) == (row.is_baseline or bool(other)), row.setup
        assert (row.image is not None and row.image.psnr is not None) == (not row.is_baseline and not other), row.setup


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
            more_prompts=("a golden vase with different flowers",),
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
            more_prompts=("a golden vase with different flowers",),
        )
    }
    assert [row.optimizations for row in table.rows] == [(), ("distilled_unet",), ("distilled_unet", "tiny_vae")]
    assert [row.image for row in table.rows] == [None, *[ImageGate(clip_drop=0.03)] * 2]
    assert all(row.image_random is None for row in table.rows)
    assert [row.memory for row in table.rows] == [None, 0.95, 0.8]


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
    # Bounds on registered metrics are keys of their own.
    assert [*schema.GATE, "further"] == [field.name for field in fields(ImageGate)]


def test_a_valid_table_is_read(write):
    path = write(VALID)
    table = load_table(path)
    assert (table.name, table.title, table.source, table.device) == ("mine", "Mine", "https://example.org/page", "NVIDIA A100")
    assert (table.path, table.notes, table.recorded) == (str(path), (), {})
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
                memory=0.1 + 0.2,
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


def test_what_all_baselines_agree_on_is_written_once_and_what_is_default_not_at_all(builtin):
    # Without claims it is one of schema 1, as it was published first.
    text = dumps_table(replace(builtin["inference"], claims=()))
    assert "recipe = {" not in text
    assert not any(f"{name} =" in text for name in ("guidance", "dtype", "repeats", "seed", "images"))
    rows = make_table().rows
    one, other = (replace(recipe, seed=7, guidance=guidance) for recipe, guidance in ((rows[0].recipe, 2.5), (rows[2].recipe, 3.5)))
    rows = tuple(replace(row, recipe=recipe) for row, recipe in zip(rows, (one, one, other, other), strict=True))
    shared, _, own = dumps_table(make_table(rows=rows)).partition("[[rows]]")
    assert "seed = 7\n" in shared
    assert "guidance" not in shared
    assert "seed" not in own
    assert [line.count(f"guidance = {figure}") for figure in (2.5, 3.5) for line in own.splitlines() if "recipe = {" in line] == [
        1,
        0,
        0,
        1,
    ]


def test_what_must_be_escaped_is_written_as_people_write_it():
    assert toml_text.quote('a "b" \\ \b\t\n\f\r') == r'"a \"b\" \\ \b\t\n\f\r"'
    assert toml_text.quote("\0\x1b\x7f\x9b\u2028é") == r'"\u0000\u001b\u007f\u009b\u2028é"'


def test_a_whole_figure_is_written_without_places_that_it_never_had(write):
    """A speed-up of 1 stands for 0.5 to 1.5, which agrees with the latencies; 1.0 does not."""
    table = load_table(write(VALID.replace("speedup = 1.27", "speedup = 1").replace("latency_s = 3.51", "latency_s = 4")))
    text = dumps_table(table)
    assert "speedup = 1\n" in text
    assert "latency_s = 4\n" in text
    assert replace(load_table(write(text)), path=table.path) == table


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
    with pytest.raises(TableError, match=r"^somewhere.toml: rows: no row is compared with a baseline"):
        dumps_table(make_table(rows=rows[:1]))
    with pytest.raises(TableError, match="must be finite"):
        dumps_table(make_table(rows=(rows[0], replace(rows[1], speedup=float("nan")))))
    with pytest.raises(TableError, match=r"^somewhere.toml: cannot be written as UTF-8: '\\ud800' is not a character") as caught:
        dumps_table(make_table(title="\ud800"))
    assert caught.value.key == ""
    with pytest.raises(TableError, match=r"^somewhere.toml: would not read back") as caught:
        dumps_table(make_table(notes=["a list"]))
    assert caught.value.key == ""


def test_tables_import_nothing_heavy():
    code = "import sys, pytest_sdspeed.tables; print([m for m in ('numpy', 'torch', 'pytest', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
