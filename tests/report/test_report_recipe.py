"""What was generated, as the page tells it."""

from __future__ import annotations

from dataclasses import fields, replace

from fakes import RECIPE, tf32
from tables_text import SECOND
from test_report_page import words

from pytest_sdspeed.model import Recipe
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.report.page.recipe import describe_recipe
from pytest_sdspeed.tables.parser import parse_table

VIDEO = replace(parse_table(SECOND, "mine.toml").rows[0].recipe, prompt="a fox", student="org/small")


def test_every_key_of_a_recipe_changes_what_is_said():
    other = {
        "model": "x", "prompt": "x", "height": 8, "width": 8, "steps": 1, "scheduler": "ddim", "images": 4, "guidance": 3.0, "dtype": "float16",
        "repeats": 2, "student": "x", "tiny_vae": "x", "seed": 7, "pipeline": "X", "frames": 5, "call": {}, "inputs": (), "parts": {}, "unit": "call",
    }  # fmt: skip
    # Further prompts have pictures of their own below.
    assert {*other, "more_prompts"} == {field.name for field in fields(Recipe)}
    for name, value in other.items():
        assert describe_recipe(replace(VIDEO, **{name: value})) != describe_recipe(VIDEO), name


def test_a_video_with_further_arguments_is_described():
    said = describe_recipe(VIDEO)
    assert (said["pipeline"], said["videos per call"], said["steps"]) == ("WanPipeline", "1 of 81 frames", "50, EulerDiscreteScheduler")
    assert said["call: joint_attention_kwargs"] == '{"scale": 1, "layers": [1, 2.5, {"deep": true}]}'
    assert (said["call: negative_prompt"], said["seeded inputs"], said["part: lora"]) == ('"blurry"', "image", "org/lora")
    assert said["a latency is of"] == "the denoising loop"
    assert "guidance" not in said


def test_what_is_left_to_the_model_is_said_or_left_out():
    said = describe_recipe(replace(RECIPE, scheduler=None))
    assert said["steps"].endswith(", the scheduler of the model")
    assert not {"pipeline", "seeded inputs", "a latency is of"} & said.keys()
    assert "pictures per call" in said


def test_the_page_shows_it():
    said = words(render_page([tf32(recipe=VIDEO)]))
    assert "call: true_cfg_scale 4.0" in said
    assert "part: lora org/lora" in said
