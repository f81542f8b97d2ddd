"""``pytest benchmarks`` has every claim of every built-in table exactly once."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pytest_sdspeed.model import name_claims
from pytest_sdspeed.tables import load_tables

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEST = re.compile(r"test_(\w+)\.py::test_claims(?:_of_(\w+))?\[([\w.-]+)\]$")


@pytest.fixture
def collected(pytester, monkeypatch):
    """Copy the benchmarks, change them, and list the claims that ``pytest benchmarks`` collects: table and name."""

    def collect(change=lambda _folder: None):
        folder = pytester.path / "benchmarks"
        shutil.copytree(BENCHMARKS, folder, ignore=lambda _, names: [one for one in names if not one.startswith("test_")])
        change(folder)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        result = pytester.runpytest_inprocess(
            "-p", "benchmark", "-p", "sdspeed", "-p", "no:cacheprovider", "--import-mode=importlib", "--collect-only", "-q", "benchmarks"
        )
        assert result.ret == pytest.ExitCode.OK, result.outlines
        found = (match.groups() for line in result.outlines if (match := TEST.search(line)))
        return Counter((table or file, claim) for file, table, claim in found)

    return collect


def claims():
    return Counter((table.name, name) for table in load_tables() for name in name_claims(table.claims))


def test_every_claim_of_every_built_in_table_is_collected_exactly_once(collected):
    assert collected() == claims()
    assert len(claims()) > 35


def test_claims_that_a_file_forgets_are_found(collected):
    def forget(folder):
        text = (folder / "test_stack.py").read_text()
        (folder / "test_stack.py").write_text(text.partition('\n\n@pytest.mark.sd_latency(table="stack")\ndef test_claims')[0] + "\n")

    assert {table for table, _ in claims() - collected(forget)} == {"stack"}
