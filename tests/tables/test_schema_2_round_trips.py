"""Whatever a table of schema 2 says is written as it was read, with the types of what is handed on."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tables_text import SECOND, VALID

from pytest_sdspeed.model import Claim, Recipe, Row, StackEntry, Stated
from pytest_sdspeed.tables import dumps_table
from pytest_sdspeed.tables.parser import parse_table

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "name")
BUILTINS = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.builds(StackEntry, NAMES, st.dictionaries(NAMES, BUILTINS, max_size=3))
POSITIVE = st.floats(1e-6, 1e6)
RECIPES = st.fixed_dictionaries(
    {},
    optional={
        "scheduler": st.sampled_from([None, "ddim", "LCMScheduler"]),
        "guidance": st.none() | st.floats(0, 20),
        "pipeline": st.none() | st.just("FluxPipeline"),
        "frames": st.none() | st.integers(1, 200),
        "call": st.dictionaries(NAMES.map("call_{}".format), BUILTINS, max_size=3),
        "inputs": st.lists(NAMES, unique=True, max_size=2).map(tuple),
        "parts": st.dictionaries(NAMES.map("part_{}".format), TEXT.filter(str.strip), max_size=2),
        "unit": st.sampled_from(["call", "stage", "denoising", "denoiser", "decode"]),
    },
)
FIGURES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("iterations_per_s", "memory_gb", "compile_s", "warm_compile_s", "first_s", "tflops"), POSITIVE)
    | {
        "unsupported": TEXT.filter(str.strip),
        "gpus": st.integers(1, 8),
        "stated": st.lists(
            st.builds(
                Stated,
                where=TEXT.filter(str.strip),
                figures=st.fixed_dictionaries({"saved_percent": POSITIVE}),
                text=st.just("") | st.just("2,.1"),
            ),
            max_size=2,
        ).map(tuple),
        "timings_s": st.lists(POSITIVE, min_size=2, max_size=3).map(tuple),
    },
)
SAYS = TEXT.filter(str.strip)
CLAIMS = st.one_of(
    st.builds(
        Claim,
        text=SAYS,
        kind=st.sampled_from(["faster", "slower"]),
        rows=st.just(("a_row", "a")),
        by=st.none() | st.floats(1, 9),
        notes=TEXT,
    ),
    st.builds(
        Claim,
        text=SAYS,
        kind=st.just("parameters"),
        rows=st.just(("b_row", "a")),
        by=st.none() | st.floats(0.1, 1),
        part=st.none() | st.just("denoiser"),
    ),
    st.builds(Claim, text=SAYS, kind=st.just("account"), rows=st.just(("b",)), bounds=st.just({"host_syncs_per_step": 0})),
    st.builds(Claim, text=SAYS, kind=st.just("defaults"), defaults=st.just({"backends.cudnn.allow_tf32": True})),
)
BASE = parse_table(VALID, "mine.toml")


@st.composite
def tables(draw):
    """A table of two groups, each with a recipe of its own."""
    recipes = [replace(BASE.rows[0].recipe, **draw(RECIPES)) for _ in range(2)]
    rows = []
    for group, recipe in zip("ab", recipes, strict=True):
        stack = draw(st.lists(ENTRIES, max_size=3, unique_by=lambda entry: entry.label))
        labels, figures = tuple(entry.label for entry in stack), draw(FIGURES)
        base = Row(setup=group, optimizations=(), baseline=group, recipe=recipe, speedup=1.0)
        rows += [base, replace(base, setup=f"{group}_row", optimizations=labels, speedup=draw(st.floats(1, 9)), **figures)]
        if draw(st.booleans()):
            rows.append(replace(base, setup=f"{group}_slow", speedup=0.25, slower=True, memory=0.5))
    return replace(BASE, rows=tuple(rows), claims=tuple(draw(st.lists(CLAIMS, max_size=3))))


def exact(table):
    """What is handed on, with types that equality does not tell: 1, 1.0 and True."""
    return [(sorted(row.recipe.call.items()), row.optimizations) for row in table.rows]


@settings(deadline=None)
@given(tables())
def test_a_table_reads_back_as_it_was(table):
    text = dumps_table(table)
    back = parse_table(text, table.path)
    assert back == table
    assert repr(exact(back)) == repr(exact(table))
    assert dumps_table(back) == text


@settings(deadline=None, max_examples=30)
@given(tables())
def test_it_is_of_schema_2_only_if_it_says_what_schema_1_cannot(table):
    later = [one.name for one in fields(Recipe)][-6:]
    plain = all(
        row.recipe.scheduler == "ddim"
        and row.recipe.guidance is not None
        and all(getattr(row.recipe, name) == getattr(BASE.rows[0].recipe, name) for name in later)
        and not any("(" in label for label in row.optimizations)
        and not row.slower
        and {row.iterations_per_s, row.memory_gb, row.compile_s, row.warm_compile_s, row.first_s} == {None}
        for row in table.rows
    )
    assert dumps_table(table).startswith(f"schema = {1 if plain else 2}\n")


def test_a_recipe_that_all_groups_share_is_written_once():
    text = dumps_table(parse_table(SECOND, "mine.toml"))
    assert text.count("true_cfg_scale = 4.0") == 1
    assert "recipe = {" not in text
