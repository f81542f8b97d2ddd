"""Claims of a table, what a source states beside its figures, and rows that are only listed."""

from __future__ import annotations

import pytest
import tables_text
from tables_text import SECOND, VALID
from test_tables_faults import refused

from pytest_sdspeed.model import Claim
from pytest_sdspeed.tables.parser import parse_table

write = tables_text.write
FASTER = '\n[[claims]]\ntext = "It is faster."\nfaster = ["cached", "baseline"]\nby = 1.5\n'


def read(text):
    return parse_table(text, "mine.toml")


def test_a_claim_names_its_rows_in_order():
    (claim,) = read(SECOND + FASTER).claims
    assert claim == Claim(text="It is faster.", kind="faster", rows=("cached", "baseline"), by=1.5)


def test_a_claim_on_an_account_has_one_row_and_bounds():
    (claim,) = read(SECOND + '\n[[claims]]\ntext = "No syncs."\nrow = "cached"\nbounds = {host_syncs_per_step = 0}\n').claims
    assert (claim.kind, claim.rows, claim.bounds) == ("account", ("cached",), {"host_syncs_per_step": 0})


def test_a_claim_on_defaults_of_torch_has_no_row():
    (claim,) = read(SECOND + '\n[[claims]]\ntext = "On."\ndefaults = {"backends.cudnn.allow_tf32" = true}\n').claims
    assert (claim.kind, claim.rows, claim.defaults) == ("defaults", (), {"backends.cudnn.allow_tf32": True})


FAULTS = {
    "a row that is not there": (
        '"cached", "baseline"',
        '"cashed", "baseline"',
        "claims[0].faster",
        ["no row has the setup 'cashed'", "valid: baseline"],
    ),
    "one row alone": ('"cached", "baseline"', '"cached"', "claims[0].faster", ["at least two rows"]),
    "the same row twice": ('"cached", "baseline"', '"cached", "cached"', "claims[0].faster", ["lists 'cached' twice"]),
    "nothing that can fail": ('faster = ["cached", "baseline"]\n', "", "claims[0]", ["says nothing that can fail"]),
    "two things at once": ("by = 1.5", 'slower = ["cached", "baseline"]', "claims[0]", ["says faster and slower", "exactly one"]),
    "a ratio of less than one": ("by = 1.5", "by = 0.5", "claims[0].by", ["least ratio"]),
    "a share of more than one": ('faster = ["cached", "baseline"]', 'less_memory = ["cached", "baseline"]', "claims[0].by", ["at most 1"]),
    "a part of what has none": ("by = 1.5", 'part = "denoiser"', "claims[0].part", ["no meaning for faster", "parameters"]),
    "a key that is not known": ("by = 1.5", "ratio = 1.5", "claims[0].ratio", ["unknown key"]),
    "an account without bounds": ('faster = ["cached", "baseline"]\nby = 1.5', 'row = "cached"', "claims[0].bounds", ["missing"]),
    "pictures without bounds": (
        'faster = ["cached", "baseline"]\nby = 1.5',
        'comparable = ["offloaded", "baseline"]',
        "claims[0].comparable",
        ["no bounds on its pictures"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(write, fault):
    old, new, key, words = FAULTS[fault]
    assert old in FASTER
    refused(write(SECOND + FASTER.replace(old, new, 1)), key, *words)


def test_schema_1_has_no_claims(write):
    refused(write(VALID + FASTER), "claims", "is a key of schema 2")


def test_a_source_may_state_what_its_row_denies():
    (stated,) = read(SECOND.replace("speedup = 1.50", 'speedup = 1.50\nstated = [{where = "prose", speedup = 1.8}]')).row("cached").stated
    assert (stated.where, stated.figures) == ("prose", {"speedup": 1.8})


def test_what_is_stated_is_a_figure(write):
    text = SECOND.replace("speedup = 1.50", 'speedup = 1.50\nstated = [{where = "prose"}]')
    refused(write(text), "rows[1].stated[0]", "states no figure", "saved_percent")


def test_timings_are_the_spread_of_a_documented_row():
    text = SECOND.replace("speedup = 1.50", "speedup = 1.50\nspread = {timings_s = [1.1, 1.2, 1.3]}")
    row = read(text).row("cached")
    assert (row.timings_s, row.spread) == ((1.1, 1.2, 1.3), None)


def test_a_row_that_promises_nothing_says_why_it_is_there(write):
    text = SECOND.replace("memory = 0.5\nmemory_gb = 10.0\nload_gb = 1.5\n", "%s\n")
    refused(write(text % ""), "rows[2].slower", "promises memory", "notes that say why")
    row = read(text % 'notes = "The source warns of it."').row("offloaded")
    assert (row.slower, row.speedup) == (True, 0.8)
    refused(write((text % 'notes = "The source warns of it."').replace("speedup = 0.8", "speedup = 1.2")), "rows[2].slower", "is faster")
