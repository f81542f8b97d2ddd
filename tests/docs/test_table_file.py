"""The page about table files has every key, with the schema that it is of, and its examples say what they seem to say."""

import re
import tomllib
from decimal import Decimal

import pytest
from documentation import DOCS, blocks

from pytest_sdspeed.tables import schema
from pytest_sdspeed.tables.parser import parse_table

PAGE = (DOCS / "reference" / "table-file.md").read_text(encoding="utf-8")
SECTIONS = {"## The table": schema.TABLE, "## `[recipe]`": schema.RECIPE, "## `[[rows]]`": schema.ROW}


def keys(section):
    """Key -> whether it is marked as one of schema 2, of the rows of a section's table."""
    text = PAGE.split(f"{section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {re.sub(r"\W", "", name): "<sup>2</sup>" in row for row in rows for name in re.findall("`([^`]+)`", row)}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_every_key_and_marks_those_of_schema_2(section):
    assert keys(section) == {name: key.since == 2 for name, key in SECTIONS[section].items()}


def test_the_section_on_claims_has_every_key():
    assert keys("## Claims").keys() == schema.CLAIM.keys()


def test_the_ways_to_write_options_are_the_same():
    (block,) = [one for one in blocks() if one.file.endswith("table-file.md") and one.language == "toml" and "[[rows]]" in one.text]
    one, other = (schema.ROW["optimizations"].check(row["optimizations"]) for row in tomllib.loads(block.text, parse_float=Decimal)["rows"])
    assert one == other == ("bf16", "first_block_cache(threshold=0.08)")


def test_the_table_of_the_guide_gives_the_speedup_that_its_comment_says():
    (block,) = [one for one in blocks() if one.title == "video.toml"]
    baseline, cached, offloaded = parse_table(block.text, "video.toml").rows
    assert "# gives the speed-up, 1.5" in block.text
    assert cached.speedup == pytest.approx(1.5)
    assert (baseline.recipe.unit, baseline.recipe.scheduler, offloaded.slower) == ("denoising", None, True)
