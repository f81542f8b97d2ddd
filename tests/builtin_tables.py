"""Which of the built-in tables have rows with fixtures of their own, and which tests run over all of them."""

from __future__ import annotations

import os

from pytest_sdspeed.tables import load_tables

FIRST = ("attention", "distillation", "fastest", "inference", "legacy", "miniature", "stack")
"""The tables whose rows have the fixtures ``sd_NAME``; rows of the others have names that begin with their table's."""
ALL = os.environ.get("SDSPEED_TEST_ATLAS") == "1"
"""Whether tests that take long run over all built-in tables, and not over the first ones alone."""


def load_first():
    return tuple(table for table in load_tables() if table.name in FIRST)


def load_later():
    return tuple(table for table in load_tables() if table.name not in FIRST)
