"""The page of claims: every row and claim that it names exists, every claim of those tables is on it, and what it calls false is."""

import re
from pathlib import Path

import pytest
from documentation import DOCS

import pytest_sdspeed.tables
from pytest_sdspeed.judge.claims import find_acknowledgement
from pytest_sdspeed.model import name_claims
from pytest_sdspeed.tables import load_table

PAGE = (DOCS / "reference" / "claims.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| sentence")]
NAMED = re.compile(r"`(\w+)::(\w+)(?:\[([\w.-]+)\])?`")
TABLES = {path.stem: load_table(path) for path in Path(pytest_sdspeed.tables.__file__).parent.glob("*.toml")}


def find_missing(text, tables=TABLES):
    """List what a text names that no table has."""
    missing = []
    for table, row, claim in NAMED.findall(text):
        known = tables.get(table)
        there = known and (claim in name_claims(known.claims) if claim else known.row(row) is not None)
        missing += [] if there else [f"{table}::{row}{f'[{claim}]' if claim else ''}"]
    return missing


def test_every_row_and_claim_that_the_page_names_exists():
    assert find_missing(PAGE) == []


def test_what_no_table_has_is_found():
    text = "`inference::fp17`, `inference::claim[faster-nobody]`, `nowhere::fp16` and `inference::claim[defaults-allow_tf32]`"
    assert find_missing(text) == ["inference::fp17", "inference::claim[faster-nobody]", "nowhere::fp16"]


@pytest.mark.parametrize("sentence", [row[0].strip() for row in ROWS])
def test_every_sentence_is_held_by_something(sentence):
    (held,) = [row[1] for row in ROWS if row[0].strip() == sentence]
    assert NAMED.search(held), f"nothing is named that holds {sentence!r}"


def test_every_claim_of_the_first_page_is_listed():
    listed = {(table, claim) for table, _, claim in NAMED.findall(PAGE) if claim}
    first = ("inference", "stack", "distillation", "attention", "legacy")
    assert listed == {(name, claim) for name in first for claim in name_claims(TABLES[name].claims)}


def test_what_the_page_calls_false_is_acknowledged_and_nothing_else_is():
    said = {found for sentence, held in ROWS if "known to be false" in held for found in NAMED.findall(held) if found[2]}
    denied = {
        (name, "claim", claim)
        for name, table in TABLES.items()
        for claim, one in name_claims(table.claims).items()
        if find_acknowledgement(one.notes) and name in ("inference", "stack", "distillation", "attention", "legacy")
    }
    assert denied <= said
    assert said - denied == {("attention", "claim", "faster-sdpa_fp16_b1")}
