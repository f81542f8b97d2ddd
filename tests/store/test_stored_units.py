"""Records of rows by calls and by stages: one history, since a call takes as long however it is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import RECIPE, result

from pytest_sdspeed.store.records import make_history_key, make_recipe_key, store_recipe


def key(unit, **facts):
    return make_history_key(result(recipe=replace(RECIPE, unit=unit, **facts)), "")


def test_calls_and_stages_are_one_history():
    assert key("stage") == key("call") == make_history_key(result(recipe=RECIPE), "")


@pytest.mark.parametrize("unit", ["denoising", "denoiser", "decode"])
def test_a_part_of_the_call_is_another_one(unit):
    assert key(unit) != key("call")


def test_other_work_by_stages_is_another_one():
    assert key("stage", steps=30) != key("stage")


def test_records_from_before_there_were_units_belong_to_it():
    before = store_recipe(result(recipe=RECIPE))
    del before["unit"]
    staged = store_recipe(result(recipe=replace(RECIPE, unit="stage")))
    assert staged["unit"] == "stage"
    assert make_recipe_key(before, "") == make_recipe_key(staged, "")
