"""Which history another one goes on from, and what is said of the difference."""

import json
from dataclasses import replace

import histories
import pytest

from pytest_sdspeed.judge.changes.succession import add_predecessors, describe_difference, find_predecessor
from pytest_sdspeed.model import History, HistoryKey
from pytest_sdspeed.store.records import make_recipe_key

RECIPE = {"model": "mini", "prompt": "a vase", "width": 64, "height": 32, "steps": 25, "scheduler": "ddim"}


def key(recipe=RECIPE, **facts):
    known = {"table": "t", "setup": "fp16", "baseline": "baseline", "device": "d", "recipe": make_recipe_key(recipe, "")}
    return HistoryKey(**{**known, **facts})


def difference(**fields):
    return describe_difference(key(), key({**RECIPE, **fields}))


def runs(first, end):
    return tuple(histories.run(number) for number in range(first, end))


def history(first, end, steps=25, **facts):
    """A history of the runs of these numbers."""
    return History.with_runs(replace(key({**RECIPE, "steps": steps}), **facts), runs(first, end))


# What it says


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"steps": 30}, "25 -> 30 steps"),
        ({"width": 128}, "size 64x32 -> 128x32"),
        ({"height": 16}, "size 64x32 -> 64x16"),
        ({"images": 4}, "1 -> 4 images per call"),
        ({"prompt": "a dog"}, "another prompt"),
        ({"more_prompts": ["a dog"]}, "other further prompts"),
        ({"scheduler": "pndm"}, "scheduler ddim -> pndm"),
        ({"guidance": 2.0}, "guidance 7.5 -> 2.0"),
        ({"tiny_vae": "taesd"}, "tiny vae none -> taesd"),
        ({"weights": "random"}, "weights none -> random"),
        ({"guidance": None}, "guidance 7.5 -> none"),
        ({"pipeline": "FluxPipeline"}, "pipeline none -> FluxPipeline"),
        ({"frames": 33}, "frames none -> 33"),
        ({"call": {"true_cfg_scale": 4.0}}, "call true_cfg_scale none -> 4.0"),
        ({"parts": {"lora": "org/lora"}}, "parts lora none -> org/lora"),
        ({"inputs": ["image"]}, "inputs none -> image"),
        ({"unit": "denoising"}, "unit call -> denoising"),
        ({"steps": 30, "width": 128}, "size 64x32 -> 128x32, 25 -> 30 steps"),
    ],
)
def test_a_fact_that_changed_is_named_as_readers_know_it(fields, said):
    assert difference(**fields) == f"recipe changed: {said}"


def test_what_has_its_default_is_told_from_another_value_and_from_nothing_else():
    assert describe_difference(key({**RECIPE, "images": 4}), key()) == "recipe changed: 4 -> 1 images per call"
    old = json.dumps({**RECIPE, "images": 1, "more_prompts": []})
    assert describe_difference(key(), replace(key(), recipe=old)) == ""


def test_long_values_are_cut_and_are_one_line():
    long = "x" * 61
    assert difference(model=long) == f"recipe changed: model mini -> {'x' * 60}..."
    assert difference(model="x" * 60) == f"recipe changed: model mini -> {'x' * 60}"
    assert difference(model="a\n b") == "recipe changed: model mini -> a b"


def test_of_long_values_that_begin_alike_it_says_where_they_part():
    stack = "bf16, channels_last, fuse_qkv, " + "x" * 40
    old, new = (key(optimizations=f"{stack}, cache(threshold={one}), tiling") for one in (0.08, 0.1))
    (said,) = [describe_difference(old, new)]
    assert said.startswith("optimizations changed: ...")
    assert "cache(threshold=0.08), tiling -> ..." in said
    assert said.endswith("cache(threshold=0.1), tiling")


@pytest.mark.parametrize("other", ["test_a.py::test_it", "[1]", "", "[" * 100_000])
def test_what_is_no_recipe_says_nothing(other):
    assert describe_difference(key(), replace(key(), recipe=other)) == ""
    assert describe_difference(replace(key(), recipe=other), key()) == ""


def test_baseline_stacks_and_weights_are_named():
    old = key(optimizations="fp16", baseline_optimizations="", revision="mini@a")
    new = key(optimizations="fp16, tf32", baseline_optimizations="tf32", revision="mini@b", baseline="plain")
    assert describe_difference(old, new) == (
        "baseline changed: baseline -> plain; optimizations changed: fp16 -> fp16, tf32;"
        " optimizations of the baseline changed: none -> tf32; model revision changed: mini@a -> mini@b"
    )
    assert describe_difference(new, old).startswith("baseline changed: plain -> baseline; optimizations changed: fp16, tf32 -> fp16;")
    assert "optimizations of the baseline changed: tf32 -> none" in describe_difference(new, old)
    assert describe_difference(old, old) == ""


@pytest.mark.parametrize("name", ["optimizations", "baseline_optimizations", "revision"])
def test_what_one_of_them_does_not_tell_is_no_difference(name):
    assert describe_difference(key(), key(**{name: "x"})) == ""
    assert describe_difference(key(**{name: "x"}), key()) == ""


# Which one


def test_it_goes_on_from_the_latest_that_was_over():
    oldest, old, new = history(0, 5, steps=10), history(5, 15, steps=20), history(15, 20)
    for others in ([oldest, old, new], [new, old, oldest]):
        found = find_predecessor(new, others)
        assert (found.changed, found.runs, found.until) == ("recipe changed: 20 -> 25 steps", 10, old.runs[-1].date)
    assert find_predecessor(oldest, [oldest, old, new]) is None
    assert find_predecessor(new, []) is None


def test_the_last_run_of_each_tells_which_is_the_latest():
    long, short = history(0, 2, steps=10), history(5, 8, steps=20)
    long = replace(long, runs=(*long.runs, histories.run(9)))
    for others in ([long, short], [short, long]):
        assert find_predecessor(history(15, 20), others).changed == "recipe changed: 10 -> 25 steps"


def test_one_that_is_not_over_or_ends_with_the_first_run_is_no_predecessor():
    new = history(15, 20)
    assert find_predecessor(new, [history(0, 18, steps=20)]) is None
    assert find_predecessor(new, [history(0, 16, steps=20)]) is None
    assert find_predecessor(new, [history(0, 15, steps=20)]).runs == 15


@pytest.mark.parametrize("facts", [{"setup": "tf32"}, {"device": "e"}, {"table": "u"}])
def test_another_row_is_no_predecessor(facts):
    assert find_predecessor(history(15, 20), [history(0, 15, steps=20, **facts)]) is None


@pytest.mark.parametrize(("ours", "theirs", "found"), [("A", "A", 1), (None, "A", 1), ("A", None, 1), (None, None, 1), ("A", "B", 0)])
def test_another_processor_is_no_predecessor_if_both_are_known(ours, theirs, found):
    assert bool(find_predecessor(history(15, 20, cpu=ours), [history(0, 15, steps=20, cpu=theirs)])) == found


def test_one_that_says_nothing_of_a_difference_is_no_predecessor():
    assert find_predecessor(history(15, 20), [history(0, 15)]) is None


def test_callables_and_histories_without_runs_follow_nothing():
    old = history(0, 15, steps=20)
    assert find_predecessor(history(15, 20, table=None), [replace(old, table=None)]) is None
    assert find_predecessor(history(15, 15), [old]) is None
    assert find_predecessor(history(15, 20), [replace(old, runs=()), old]).runs == 15
    assert find_predecessor(history(15, 20), [replace(old, runs=())]) is None


def test_each_history_of_a_list_gets_its_own():
    old, new, other = history(0, 5, steps=10), history(5, 9, steps=20), history(5, 9, setup="tf32")
    found = add_predecessors(iter([new, other, old]))
    assert [one.setup for one in found] == ["fp16", "tf32", "fp16"]
    assert found[0].follows.changed == "recipe changed: 10 -> 20 steps"
    assert [one.follows for one in found[1:]] == [None, None]
    assert found[0].runs == new.runs
