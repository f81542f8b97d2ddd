"""Tables of schema 2: recipes of any pipeline, stacks with options, figures beside latencies."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tables_text
from tables_text import SECOND, VALID
from test_tables_faults import recorded, refused

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import Recipe
from pytest_sdspeed.tables import dumps_table
from pytest_sdspeed.tables.parser import parse_table

write = tables_text.write


def read(text):
    return parse_table(text, "mine.toml")


def test_every_key_is_read():
    table = read(SECOND)
    assert {row.recipe for row in table.rows} == {
        Recipe(
            model="org/video",
            prompt="",
            height=480,
            width=832,
            steps=50,
            scheduler="EulerDiscreteScheduler",
            guidance=None,
            pipeline="WanPipeline",
            frames=81,
            call={
                "negative_prompt": "blurry",
                "true_cfg_scale": 4.0,
                "joint_attention_kwargs": {"scale": 1, "layers": [1, 2.5, {"deep": True}]},
            },
            inputs=("image",),
            parts={"lora": "org/lora"},
            unit="denoising",
        )
    }
    baseline, cached, offloaded = table.rows
    assert (baseline.iterations_per_s, baseline.memory_gb, baseline.load_gb, baseline.slower) == (2, 22, 20.5, False)
    assert cached.optimizations == ("bf16", "first_block_cache(threshold=0.08)")
    assert (cached.compile_s, cached.warm_compile_s, cached.first_s) == (60, 12, 70.5)
    assert offloaded.optimizations == ("bf16", 'group_offload(parts=["transformer"], use_stream=true)')
    assert (offloaded.slower, offloaded.memory, offloaded.memory_gb, offloaded.load_gb) == (True, 0.5, 10, 1.5)


def test_arguments_of_the_call_keep_their_types():
    call = read(SECOND).rows[0].recipe.call
    assert type(call["true_cfg_scale"]) is float
    assert type(call["joint_attention_kwargs"]["scale"]) is int
    assert type(call["joint_attention_kwargs"]["layers"]) is list
    back = read(dumps_table(read(SECOND))).rows[0].recipe.call
    assert repr(back) == repr(call)


def test_it_reads_back_equal_and_a_table_that_needs_nothing_of_it_is_written_as_schema_1():
    table = read(SECOND)
    text = dumps_table(table)
    assert text.startswith("schema = 2\n")
    assert '{name = "first_block_cache", threshold = 0.08}' in text
    assert read(text) == table
    assert dumps_table(read(text)) == text
    plain = VALID.replace("schema = 1", "schema = 2").replace("steps = 50", "steps = 50\nguidance = 7.5")
    assert dumps_table(read(plain)) == dumps_table(read(VALID))
    assert dumps_table(read(plain)).startswith("schema = 1\n")


def test_guidance_and_scheduler_that_are_left_out_are_the_pipelines_own_and_in_schema_1_as_before():
    second = VALID.replace("schema = 1", "schema = 2").replace('scheduler = "ddim"\n', "")
    assert {(row.recipe.guidance, row.recipe.scheduler) for row in read(second).rows} == {(None, None)}
    assert {(row.recipe.guidance, row.recipe.scheduler) for row in read(VALID).rows} == {(7.5, "ddim")}
    assert read(dumps_table(read(second))) == read(second)


def test_a_speedup_follows_from_iterations_of_the_denoising_loop():
    table = read(SECOND.replace("speedup = 1.50\n", ""))
    assert table.row("cached").speedup == 1.5
    assert read(dumps_table(table)) == table


def test_a_recorded_table_may_find_a_row_on_either_side_of_1():
    text = recorded(SECOND).replace("speedup = 0.8", "speedup = 1.02").replace("speedup = 1.50", "speedup = 0.7")
    text = text.replace("iterations_per_s = 3.00\n", "")
    assert [row.speedup for row in read(text).rows] == [1, 0.7, 1.02]


def test_a_row_of_its_own_recipe_takes_a_key_as_a_whole():
    own = "recipe = {call = {max_sequence_length = 256}, frames = 33}"
    text = SECOND.replace("load_gb = 20.5\n", f"load_gb = 20.5\n{own}\n")
    recipe = read(text).rows[1].recipe
    assert (recipe.call, recipe.frames, recipe.inputs) == ({"max_sequence_length": 256}, 33, ("image",))
    assert read(dumps_table(read(text))) == read(text)


def test_the_same_optimization_may_be_there_twice_with_other_options():
    twice = '[{name = "lora", weight = 1.0}, {name = "lora", weight = 0.5}]'
    text = SECOND.replace('["bf16", {name = "first_block_cache", threshold = 0.08}]', twice)
    assert read(text).row("cached").optimizations == ("lora(weight=1.0)", "lora(weight=0.5)")
    assert read(dumps_table(read(text))) == read(text)


def test_a_label_stands_for_its_table_and_the_order_of_options_means_nothing():
    text = SECOND.replace('{name = "group_offload", parts = ["transformer"], use_stream = true}', "%s")
    tables = [
        text % "'group_offload(use_stream=true, parts=[\"transformer\"])'",
        text % '{use_stream = true, parts = ["transformer"], name = "group_offload"}',
    ]
    assert [read(one).rows for one in tables] == [read(SECOND).rows] * 2


# Each fault: a text of SECOND, its replacement, the key at fault, and words of the message.
CACHE = '{name = "first_block_cache", threshold = 0.08}'
FAULTS = {
    "pipeline is no string": ('"WanPipeline"', "3", "recipe.pipeline", ["must be a string, not an integer"]),
    "pipeline is no class": ('"WanPipeline"', '"Wan Pipeline"', "recipe.pipeline", ["not the name of a class"]),
    "scheduler in short": ('"EulerDiscreteScheduler"', '"euler"', "recipe.scheduler", ["unknown scheduler 'euler'", "EulerDiscreteScheduler"]),
    "frames of zero": ("frames = 81", "frames = 0", "recipe.frames", ["at least 1"]),
    "unit of steps": ('unit = "denoising"', 'unit = "step"', "recipe.unit", ["valid: call, stage, denoising, denoiser, decode"]),
    "call is no table": ("[recipe.call]", "[recipe.x]", "recipe.x", ["unknown key"]),
    "call holds a date": ('"blurry"', "2026-01-01", "recipe.call", ["negative_prompt: must be a boolean, a number", "not a date"]),
    "call holds a deep date": ("[1, 2.5,", "[1, 2026-01-01,", "recipe.call", ["joint_attention_kwargs", "not a date"]),
    "call holds no number": ("true_cfg_scale = 4.0", "true_cfg_scale = nan", "recipe.call", ["true_cfg_scale: must be finite"]),
    "call without end": ("true_cfg_scale = 4.0", f"x = {'[' * 40}{']' * 40}", "recipe.call", ["nested at most 16 deep"]),
    "call key that is no argument": ("true_cfg_scale", '"true cfg"', "recipe.call", ["'true cfg' cannot be an argument"]),
    **{
        f"call owns {name}": ("true_cfg_scale = 4.0", f"{name} = 4", "recipe.call", [f"{name!r} is not for here; valid: the recipe's key {key!r}"])
        for name, key in {
            "prompt": "prompt",
            "height": "height",
            "width": "width",
            "num_inference_steps": "steps",
            "guidance_scale": "guidance",
            "num_images_per_prompt": "images",
            "num_videos_per_prompt": "images",
            "num_images": "images",
            "num_videos": "images",
            "num_frames": "frames",
            "generator": "seed",
        }.items()
    },
    **{
        f"call owns {name}": ("true_cfg_scale = 4.0", f"{name} = 4", "recipe.call", [f"{name!r} is not for here; valid: none"])
        for name in ("latents", "output_type", "return_dict")
    },
    "inputs are no array": ('["image"]', '"image"', "recipe.inputs", ["must be an array, not a string"]),
    "an input that is owned": ('["image"]', '["prompt"]', "recipe.inputs", ["item 0 'prompt' is not for here"]),
    "an input that is in the call": ('["image"]', '["negative_prompt"]', "recipe", ["'negative_prompt' is in call and among the inputs"]),
    "a role in capitals": ("lora =", "Lora =", "recipe.parts", ["role 'Lora'", "lower-case"]),
    "a role without a model": ('"org/lora"', "3", "recipe.parts", ["role 'lora': must be a string"]),
    "a role twice": ('unit = "denoising"', 'student = "x"\nunit = "denoising"\nparts.student = "y"', "", ["not valid TOML"]),
    "an entry is a number": (CACHE, "3", "rows[1].optimizations", ["item 1 must be a string or a table, not an integer"]),
    "an entry without a name": (CACHE, "{threshold = 0.08}", "rows[1].optimizations", ["item 1 has no name"]),
    "an entry whose name is no string": (CACHE, "{name = 3}", "rows[1].optimizations", ["item 1 has no name"]),
    "an entry that is a label and a table": (CACHE, '{name = "a(x=1)", y = 2}', "rows[1].optimizations", ["has parentheses"]),
    "an option that is a date": (CACHE, '{name = "a", x = 2026-01-01}', "rows[1].optimizations", ["item 1 x: must be", "not a date"]),
    "an option that cannot be one": (CACHE, '{name = "a", "x-y" = 1}', "rows[1].optimizations", ["option 'x-y' cannot be an argument"]),
    "a label that is none": (CACHE, '"a(0.08)"', "rows[1].optimizations", ["item 1", "valid: name(option=value, ...)"]),
    "the same entry twice": ('"bf16", {name = "first', f'{CACHE}, {{name = "first', "rows[1].optimizations", ["twice"]),
    "iterations in words": ("iterations_per_s = 3.00", 'iterations_per_s = "3 it/s"', "rows[1].iterations_per_s", ["must be a number"]),
    "iterations against the speed-up": ("iterations_per_s = 3.00", "iterations_per_s = 3.10", "rows[1].speedup", ["contradicts the iterations per second", "1.55"]),
    "swapped iterations": (
        "iterations_per_s = 3.00\nspeedup = 1.50",
        "iterations_per_s = 1.00",
        "rows[1].speedup",
        ["x0.5: slower than its baseline 'baseline'", "slower = true"],
    ),
    "slower without memory": ("memory = 0.5\nmemory_gb = 10.0\nload_gb = 1.5\n", "", "rows[2].slower", ["promises memory", "memory_gb"]),
    "slower that may need all the memory": (
        "memory = 0.5\nmemory_gb = 10.0",
        "memory = 1",
        "rows[2].memory",
        ["1 allows no less than the baseline's peak", "valid: below 1"],
    ),
    "slower that is faster": ("speedup = 0.8", "speedup = 1.2", "rows[2].slower", ["x1.2 is faster than the baseline"]),
    "slower in words": ("slower = true", 'slower = "yes"', "rows[2].slower", ["must be a boolean, not a string"]),
    "a slower baseline": ("memory_gb = 22.0", "slower = true\nmemory_gb = 22.0", "rows[0].slower", ["a baseline row"]),
    "slower and larger": ("memory = 0.5\nmemory_gb = 10.0", "memory_gb = 23.0", "rows[2].memory_gb", ["no less than the 22.0 of the baseline"]),
    "slower by mistake": ("slower = true\n", "", "rows[2].speedup", ["x0.8: slower than its baseline", "slower = true, with memory"]),
    "more after loading than at the peak": ("load_gb = 1.5", "load_gb = 10.2", "rows[2].load_gb", ["10.2 is more than memory_gb 10.0"]),
    "peaks against the bound": ("memory = 0.5", "memory = 0.4", "rows[2].memory", ["0.4 contradicts the documented peaks", "0.455"]),
    "no memory": ("memory_gb = 10.0", "memory_gb = 0", "rows[2].memory_gb", ["greater than 0"]),
    "no time to compile": ("compile_s = 60", "compile_s = 0", "rows[1].compile_s", ["greater than 0"]),
    "a swapped key": ("first_s", "s_first", "rows[1].s_first", ["did you mean 'first_s'?"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(write, fault):
    old, new, key, words = FAULTS[fault]
    assert old in SECOND
    refused(write(SECOND.replace(old, new, 1)), key, *words)


@pytest.mark.parametrize("unit", ["call", "stage", "denoiser", "decode"])
def test_iterations_alone_document_the_denoising_loop_only(write, unit):
    text = SECOND.replace("speedup = 1.50\n", "").replace('unit = "denoising"', f'unit = "{unit}"')
    refused(write(text), "rows[1].iterations_per_s", f"speed-up of a {unit!r}", 'valid: unit = "denoising"', "latency_s")


def test_iterations_beside_a_latency_of_a_call_are_not_compared_with_it():
    text = SECOND.replace('unit = "denoising"', 'unit = "call"').replace("speedup = 1.50", "latency_s = 10.0")
    text = text.replace("iterations_per_s = 2.00", "iterations_per_s = 2.00\nlatency_s = 13.0")
    assert read(text).row("cached").speedup == 1.3


def test_latencies_and_iterations_of_the_loop_must_agree(write):
    text = SECOND.replace("speedup = 1.50", "latency_s = 10.0")
    text = text.replace("iterations_per_s = 2.00", "iterations_per_s = 2.00\nlatency_s = %s")
    assert read(text % "15.0").row("cached").speedup == 1.5
    refused(write(text % "13.0"), "rows[1].iterations_per_s", "contradict the latencies", "is 1.5,", "is 1.3;")
    refused(write(text % "17.0"), "rows[1].iterations_per_s", "contradict the latencies", "is 1.5,", "is 1.7;")


def test_a_speedup_agrees_with_every_pair_of_figures(write):
    text = SECOND.replace("iterations_per_s = 3.00", "iterations_per_s = 3.10\nlatency_s = 10.0")
    text = text.replace("iterations_per_s = 2.00", "iterations_per_s = 2.00\nlatency_s = 15.0")
    refused(write(text), "rows[1].speedup", "contradicts the iterations per second")


def test_a_recorded_table_keeps_a_bound_beside_figures_of_another_device():
    assert read(recorded(SECOND.replace("memory = 0.5", "memory = 0.4"))).row("offloaded").memory == 0.4


def test_what_just_agrees_is_accepted(write):
    """A row that costs nothing may be slower, a peak bounds its own memory, and 10.04 may be 10.0 as it is rounded."""
    just = SECOND.replace("speedup = 0.8", "speedup = 1").replace("memory = 0.5", "memory = 1").replace("load_gb = 1.5", "load_gb = 10.04")
    row = read(just).row("offloaded")
    assert (row.speedup, row.memory, row.memory_gb, row.load_gb) == (1, 1, 10, 10.04)
    refused(write(just.replace("memory_gb = 10.0", "memory_gb = 22.0")), "rows[2].memory_gb", "no less than the 22.0 of the baseline")


LATER = {
    "pipeline": 'recipe.pipeline = "WanPipeline"',
    "frames": "recipe.frames = 81",
    "call": "recipe.call = {}",
    "inputs": "recipe.inputs = []",
    "parts": "recipe.parts = {}",
    "unit": 'recipe.unit = "call"',
}


@pytest.mark.parametrize("name", LATER)
def test_schema_1_refuses_the_recipes_of_schema_2_and_says_so(write, name):
    text = VALID.replace("steps = 50", "steps = 50\n" + LATER[name].removeprefix("recipe."))
    refused(write(text), f"recipe.{name}", "is a key of schema 2", "begins with schema = 1; valid: schema = 2")


@pytest.mark.parametrize("name", ["iterations_per_s", "memory_gb", "load_gb", "compile_s", "warm_compile_s", "first_s", "slower"])
def test_schema_1_refuses_the_figures_of_schema_2_and_says_so(write, name):
    refused(
        write(VALID.replace("speedup = 1.27", f"speedup = 1.27\n{name} = 1")),
        f"rows[1].{name}",
        "is a key of schema 2",
        "valid: schema = 2",
    )


def test_schema_1_refuses_options_and_schedulers_by_class(write):
    refused(
        write(VALID.replace('["tf32"]', '["tf32(x=1)"]')),
        "rows[1].optimizations",
        "options, which schema 1 does not have; valid: schema = 2",
    )
    refused(
        write(VALID.replace('["tf32"]', '[{name = "tf32"}]')),
        "rows[1].optimizations",
        "options, which schema 1 does not have; valid: schema = 2",
    )
    refused(write(VALID.replace('"ddim"', '"EulerDiscreteScheduler"')), "recipe.scheduler", "schema = 2")
    refused(write(VALID.replace('scheduler = "ddim"\n', "")), "recipe.scheduler", "missing; required: model")


def test_schema_1_keeps_speedups_under_1():
    text = VALID.replace("latency_s = 4.14\nspeedup = 1.27", "speedup = 0.5")
    assert read(text).row("tf32").speedup == 0.5
    assert read(dumps_table(read(text))) == read(text)


def test_a_documented_row_within_its_tolerance_of_the_baseline_needs_no_promise():
    assert read(SECOND.replace("speedup = 0.8\nslower = true", "speedup = 0.96")).row("offloaded").speedup == 0.96


def test_a_role_is_a_key_or_a_part(write):
    text = SECOND.replace("steps = 50", 'steps = 50\nstudent = "x"').replace('lora = "org/lora"', 'student = "y"')
    refused(write(text), "recipe", "'student' is a key and a role of parts")


def test_a_fault_between_a_rows_own_keys_and_the_tables_is_the_rows(write):
    text = SECOND.replace("load_gb = 20.5\n", 'load_gb = 20.5\nrecipe = {inputs = ["true_cfg_scale"]}\n')
    refused(write(text), "rows[0].recipe", "'true_cfg_scale' is in call")


def test_python_made_tables_that_no_file_can_hold_are_refused():
    table = read(SECOND)
    rows = tuple(replace(row, recipe=replace(row.recipe, call={"x": object()})) for row in table.rows)
    with pytest.raises(TableError, match="is not valid TOML"):
        dumps_table(replace(table, rows=rows))
