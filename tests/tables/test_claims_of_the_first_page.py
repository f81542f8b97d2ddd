"""The tables that got claims mean otherwise what they meant when they were of schema 1."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import pytest_sdspeed.tables
from pytest_sdspeed.judge.claims import find_acknowledgement, find_least_ratio
from pytest_sdspeed.tables import dumps_table, load_table
from pytest_sdspeed.tables.parser import parse_table

FOLDER = Path(pytest_sdspeed.tables.__file__).parent
NAMES = ("inference", "stack", "distillation", "attention", "legacy")


@pytest.mark.parametrize("name", NAMES)
def test_without_its_claims_a_table_is_that_of_schema_1(name):
    """There, guidance is 7.5 if it is left out, and schedulers are named."""
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    table, first = parse_table(text, "mine.toml"), text.partition("\n[[claims]]")[0]
    assert tomllib.loads(text)["recipe"]["guidance"] == 7.5
    before = first.replace("schema = 2\n", "schema = 1\n", 1).replace("guidance = 7.5\n", "", 1)
    assert table.claims
    assert replace(table, claims=()) == parse_table(before + "\n", "mine.toml")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_with_claims_is_written_as_it_is_read(name):
    table = load_table(FOLDER / f"{name}.toml")
    assert parse_table(dumps_table(table), table.path) == table


@pytest.mark.parametrize("name", NAMES)
def test_what_the_documented_latencies_deny_is_acknowledged_and_nothing_that_they_confirm(name):
    table = load_table(FOLDER / f"{name}.toml")
    for claim in table.claims:
        if claim.kind in ("faster", "slower"):
            first, *others = (table.row(row) for row in claim.rows)
            ratios = [
                other.latency_s / first.latency_s if claim.kind == "faster" else first.latency_s / other.latency_s for other in others
            ]
            denied = bool(find_acknowledgement(claim.notes))
            assert (min(ratios) > find_least_ratio(claim.by, 0 if denied else first.tolerance)) == (not denied), claim.text
