"""Documented and recorded tables: read from TOML, checked, written back."""

from __future__ import annotations

from pytest_sdspeed.tables.loader import builtin_names, load_table, load_tables
from pytest_sdspeed.tables.writer import dumps_table

__all__ = ["builtin_names", "dumps_table", "load_table", "load_tables"]
