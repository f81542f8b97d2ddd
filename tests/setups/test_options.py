"""Stacks with options: registered setups and rows get what they say, and what they may not say is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tables_text import SECOND

from pytest_sdspeed.errors import RegistrationError, UnknownNameError
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup
from pytest_sdspeed.tables.parser import parse_table

CACHE = Optimization(name="mine", summary="", options={"threshold": 0.5, "parts": ["unet"], "mode": None}, apply=lambda *_, **__: None)


@pytest.fixture
def registry():
    made = Registry()
    made.add_optimization(CACHE)
    return made


def test_a_registered_setup_takes_names_dictionaries_and_labels(registry, recipe):
    registry.add_setup("cached", ["sdpa", {"name": "mine", "threshold": 0.1, "parts": ("unet", "vae")}])
    registry.add_setup("same", ["sdpa", 'mine(threshold=0.1, parts=["unet", "vae"])'])
    label = 'mine(parts=["unet", "vae"], threshold=0.1)'
    assert registry.setups["cached"].optimizations == registry.setups["same"].optimizations == ("sdpa", label)
    _, cache = registry.stack(registry.setups["cached"].optimizations, "setup 'cached'", recipe)
    assert cache.options == {"threshold": 0.1, "parts": ["unet", "vae"], "mode": None}
    assert cache.label == label


def test_a_row_of_a_table_and_a_registered_setup_of_the_same_stack_have_one_label(registry, recipe):
    text = SECOND.replace('{name = "first_block_cache", threshold = 0.08}', '{name = "mine", threshold = 1, mode = "fast"}')
    labels = parse_table(text, "mine.toml").row("cached").optimizations
    registry.add_setup("cached", ["bf16", {"mode": "fast", "threshold": 1, "name": "mine"}])
    assert registry.setups["cached"].optimizations == labels == ("bf16", 'mine(mode="fast", threshold=1)')
    (mine,) = registry.stack(labels[1:], "table 'mine'", recipe)
    assert mine.label == labels[1]
    assert type(mine.options["threshold"]) is float


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (3, "3 is no optimization; valid: a name, or a dictionary of a name and options"),
        (None, "None is no optimization"),
        ({"threshold": 0.1}, "has no name"),
        ({"name": "mine", "mode": object()}, "option 'mode' is <object"),
        ({"name": "mine", "threshold": float("inf")}, "option 'threshold' is inf"),
        ("mine(0.1)", "valid: name(option=value, ...)"),
    ],
)
def test_an_entry_of_a_registered_setup_that_is_none_is_refused_at_once(registry, entry, said):
    with pytest.raises(RegistrationError) as caught:
        registry.add_setup("cached", ["sdpa", entry])
    assert str(caught.value).startswith("setup 'cached': ")
    assert said in str(caught.value)
    assert registry.setups == {}


def test_one_dictionary_is_no_stack(registry):
    with pytest.raises(RegistrationError, match="optimizations are a list of names"):
        registry.add_setup("cached", {"name": "mine"})


def test_an_option_that_it_does_not_have_names_those_it_has(registry, recipe):
    with pytest.raises(UnknownNameError) as caught:
        registry.stack(["mine(treshold=0.1)"], "table 'mine'", recipe)
    assert str(caught.value) == "table 'mine': unknown option of 'mine' 'treshold'; valid: mode, parts, threshold"
    with pytest.raises(UnknownNameError, match="unknown option of 'sdpa' 'x'"):
        registry.stack(["sdpa(x=1)"], "table 'mine'", recipe)


@pytest.mark.parametrize("given", ['threshold="0.1"', "threshold=true", 'parts="unet"', "threshold=[0.1]"])
def test_an_option_of_another_type_names_its_default(registry, recipe, given):
    with pytest.raises(RegistrationError, match=r"table 'mine': option '\w+' of 'mine' is .*; valid: of type (float|list), as its default"):
        registry.stack([f"mine({given})"], "table 'mine'", recipe)


def test_a_setup_tells_which_models_its_stack_takes_something_from(registry, recipe):
    registry.add_optimization(Optimization(name="styled", summary="", needs=frozenset({"lora"})))
    recipe = replace(recipe, parts={"lora": "org/lora", "unused": "org/unused"}, student="org/student")

    def parts(*names):
        stack = registry.stack(names, "test", recipe)
        return Setup("s", recipe, stack, machine=None, pool=None, resolved=None).parts

    assert parts("sdpa", "mine(threshold=0.1)") == {}
    assert parts("styled") == {"lora": "org/lora"}
    assert parts("styled", "distilled_unet") == {"lora": "org/lora", "student": "org/student"}
