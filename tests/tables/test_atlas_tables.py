"""What holds for every table of the atlas: names, sources, reasons, notes."""

from __future__ import annotations

import re

import pytest

from pytest_sdspeed.tables import load_tables

BEFORE = ("attention", "distillation", "fastest", "inference", "legacy", "miniature", "stack")
"""Tables whose setups had their names before the atlas."""
ATLAS = [table for table in load_tables() if table.name not in BEFORE]
ROWS = [(table, row) for table in ATLAS for row in table.rows]
WORDS = 4
"""Words that a reason has at the least."""
MOVING = r"github\.com/[^/]+/[^/]+/(blob|tree|raw)/(?![0-9a-f]{40}(/|$)|v?\d+\.\d+)"
"""A file of a branch on GitHub: what it says changes."""


@pytest.mark.parametrize("table", ATLAS, ids=lambda table: table.name)
def test_every_setup_begins_with_the_name_of_its_table(table):
    assert [row.setup for row in table.rows if not row.setup.startswith(f"{table.name}_")] == []


@pytest.mark.parametrize("table", ATLAS, ids=lambda table: table.name)
def test_every_source_is_a_permanent_link(table):
    assert table.source.startswith("https://")
    assert re.search(MOVING, table.source) is None


@pytest.mark.parametrize("table", ATLAS, ids=lambda table: table.name)
def test_every_table_says_what_its_source_leaves_open(table):
    assert any(len(note.split()) >= WORDS for note in table.notes)


def test_every_row_that_cannot_be_built_says_why_in_words():
    reasons = {f"{table.name}/{row.setup}": row.unsupported for table, row in ROWS if row.unsupported}
    assert reasons
    assert {name: why for name, why in reasons.items() if len(why.split()) < WORDS} == {}


def test_every_setup_is_in_one_table_alone():
    setups = [row.setup for table in load_tables() if table.name in BEFORE for row in table.rows if row.setup != "baseline"]
    setups += [row.setup for _, row in ROWS]
    assert sorted({name for name in setups if setups.count(name) > 1} - {"fp16", "distilled", "distilled_tiny_vae"}) == []


def test_a_file_of_a_branch_is_no_permanent_link_and_one_of_a_commit_or_a_tag_is():
    page = "https://github.com/huggingface/diffusers/blob/{}/README.md"
    assert re.search(MOVING, page.format("main"))
    assert re.search(MOVING, page.format("54cddc1")), "a short commit may become ambiguous"
    assert not re.search(MOVING, page.format("54cddc1e127a481ecb20179acf4a57f5421f4626"))
    assert not re.search(MOVING, page.format("v0.17.0"))
