"""The spread of a recorded row: it is read, written, and rejected if it is invalid."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tables_text
from hypothesis import given
from hypothesis import strategies as st
from tables_text import VALID
from test_recording import table
from test_tables_faults import recorded, refused

from pytest_sdspeed.model import Spread
from pytest_sdspeed.tables import dumps_table, load_table
from pytest_sdspeed.tables.parser import parse_table

write = tables_text.write
SPREAD = "spread = {blocks = 12, low = 1.25, high = 1.3, sd = 0.004, quartiles_s = [4.1, 4.14, 4.2]}"


def spread_text(line=SPREAD):
    return recorded(VALID.replace("speedup = 1.27\n", f"speedup = 1.27\n{line}\n"))


def test_a_spread_is_read(write):
    row = load_table(write(spread_text())).row("tf32")
    assert row.spread == Spread(blocks=12, low=1.25, high=1.3, sd=0.004, quartiles_s=(4.1, 4.14, 4.2))


def test_a_recorded_table_without_spreads_still_loads(write):
    assert {row.spread for row in load_table(write(recorded(VALID))).rows} == {None}


FAULTS = {
    "unknown key": ("sd = 0.004", "cv = 0.004", "rows[1].spread.cv", "valid: blocks, low, high, sd, quartiles_s"),
    "missing": ("blocks = 12, ", "", "rows[1].spread.blocks", "missing; required: blocks, low, high, sd, quartiles_s"),
    "one block": ("12", "1", "rows[1].spread.blocks", "must be at least 2, not 1"),
    "low is no number": ("1.25", '"1.25"', "rows[1].spread.low", "must be a number, not a string"),
    "high is zero": ("high = 1.3", "high = 0", "rows[1].spread.high", "must be greater than 0, not 0"),
    "sd is negative": ("0.004", "-0.004", "rows[1].spread.sd", "must be 0 or greater"),
    "sd is not finite": ("0.004", "nan", "rows[1].spread.sd", "must be finite"),
    "two quartiles": (", 4.2]", "]", "rows[1].spread.quartiles_s", "must be the lower quartile, the median and the upper quartile"),
    "quartiles out of order": ("[4.1, 4.14", "[4.14, 4.1", "rows[1].spread.quartiles_s", "in this order"),
    "a quartile is text": ("4.14, 4.2", '"x", 4.2', "rows[1].spread.quartiles_s", "item 1 must be a number"),
    "no table": (SPREAD, "spread = 3", "rows[1].spread", "must be a table, not an integer"),
    "speed-up above": ("high = 1.3", "high = 1.26", "rows[1].spread", "1.25 to 1.26 does not hold the speed-up 1.27"),
    "speed-up below": ("low = 1.25", "low = 1.28", "rows[1].spread", "valid: low <= speed-up <= high"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_spread_is_named(write, fault):
    old, new, key, words = FAULTS[fault]
    assert old in SPREAD
    refused(write(spread_text(SPREAD.replace(old, new, 1))), key, words)


def test_a_documented_row_has_no_spread(write):
    documented = spread_text().replace('[recorded]\ndate = "2026-01-01"\n', "")
    refused(write(documented), "rows[1].spread", "only a row of a recorded table, one with a [recorded] section, has a spread")


positive = st.floats(min_value=1e-9, max_value=1e9, exclude_min=True)


@given(
    blocks=st.integers(2, 200),
    ratios=st.tuples(positive, positive, positive).map(sorted),
    sd=st.floats(0, 1e6),
    quartiles=st.tuples(positive, positive, positive).map(sorted),
)
def test_spreads_survive_the_round_trip(blocks, ratios, sd, quartiles):
    low, speedup, high = ratios
    made = table(recorded={"date": "2026-11-23"})
    baseline, tf32, fp16 = made.rows
    spread = Spread(blocks=blocks, low=low, high=high, sd=sd, quartiles_s=tuple(quartiles))
    made = replace(made, rows=(baseline, replace(tf32, speedup=speedup, latency_s=None, spread=spread), fp16))
    assert parse_table(dumps_table(made), "") == made
