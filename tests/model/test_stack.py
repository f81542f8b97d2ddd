"""Labels of stacks: a name with options, as tables, setups, records and messages have it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sdspeed.model import HistoryKey, StackEntry, list_names

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from([", ", ")", "(", '"', "=", "a(b=1), c", "\n"])
BUILTINS = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
OPTIONS = st.dictionaries(NAMES.filter(lambda name: name != "name"), BUILTINS, max_size=4)
ENTRIES = st.builds(StackEntry, NAMES, OPTIONS)
DECODER = json.JSONDecoder()


def take_apart(joined):
    """The labels of a stack that a history's key holds, by their grammar alone."""
    position, found = 0, []
    while position < len(joined):
        start = position
        while position < len(joined) and joined[position] not in "(,":
            position += 1
        if joined[position : position + 1] == "(":
            while joined[position] != ")":
                _, position = DECODER.raw_decode(joined, joined.index("=", position) + 1)
            position += 1
        found.append(joined[start:position])
        position += len(", ")
    return found


@settings(deadline=None)
@given(ENTRIES)
def test_a_label_reads_back_as_its_entry_with_the_types_of_its_values(entry):
    back = StackEntry.parse(entry.label)
    assert back == entry
    assert repr(sorted(back.options.items())) == repr(sorted(entry.options.items()))
    assert StackEntry.of({**entry.options, "name": entry.name}) == entry
    assert StackEntry.of(entry.label) == entry


@settings(deadline=None)
@given(NAMES, OPTIONS)
def test_the_order_of_options_changes_no_label(name, options):
    assert StackEntry(name, dict(reversed(options.items()))).label == StackEntry(name, options).label


@settings(deadline=None)
@given(st.lists(ENTRIES, max_size=4))
def test_a_stack_can_be_told_from_every_other_in_a_historys_key(stack):
    """The key joins labels with what options are joined with, too."""
    labels = [entry.label for entry in stack]
    assert take_apart(", ".join(labels)) == labels
    assert list_names(labels) == tuple(entry.name for entry in stack)


def test_a_label_is_what_people_would_write():
    entry = StackEntry("compile", {"mode": "max-autotune", "fullgraph": True, "parts": ["unet", "vae"]})
    assert entry.label == 'compile(fullgraph=true, mode="max-autotune", parts=["unet", "vae"])'
    assert StackEntry("bf16").label == "bf16"
    assert StackEntry.parse(' bf16( x = 1 , y="a, b)" )'.strip()) == StackEntry("bf16", {"x": 1, "y": "a, b)"})
    assert StackEntry.of({"name": "compile", "parts": ("unet",)}) == StackEntry("compile", {"parts": ["unet"]})


@pytest.mark.parametrize(
    "label", ["a(1)", "a(x)", "a(x=)", "a(x=1 y=2)", "a(x=1, x=2)", "a(x='1')", "a(x=NaN)", "a(x=1))", "a((x=1)", f"a(x={'[' * 10**5})"]
)
def test_what_is_no_label_is_refused(label):
    with pytest.raises(ValueError, match=r"valid: name\(option=value, ...\), each option once|is no JSON"):
        StackEntry.parse(label)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "has no name; valid"),
        ({"threshold": 0.08}, "has no name; valid"),
        ({"name": None}, "has no name; valid"),
        ({"name": " "}, "has no name; valid"),
        ({"name": "a(x=1)"}, "has parentheses; valid: the name alone"),
        ({"name": "a", "x": float("nan")}, "option 'x' is nan; valid: a boolean, a finite number"),
        ({"name": "a", "x": object}, "option 'x' is <class 'object'>; valid"),
        ({"name": "a", "x": {1, 2}}, "option 'x' is {1, 2}; valid"),
        ({"name": "a", "x-y": 1}, "option 'x-y' cannot be an argument"),
        ({"name": "a", 3: 1}, "option 3 cannot be an argument"),
    ],
)
def test_an_entry_that_no_label_can_hold_is_refused_in_words(entry, said):
    with pytest.raises(ValueError) as caught:
        StackEntry.of(entry)
    assert said in str(caught.value)


def test_other_options_are_another_history():
    keys = {
        HistoryKey(table="t", setup="s", baseline="b", device="d", recipe="", optimizations=", ".join(labels))
        for labels in (("a",), ("a(x=1)",), ("a(x=1.0)",), ("a(x=true)",), ("a(x=1)", "b"), ("a(x=1, y=2)",), ('a(x="1, b")',))
    }
    assert len(keys) == 7
    assert not any(one.fits(other) for one in keys for other in keys if one is not other)
