"""Documented and recorded tables: read from TOML, checked, written back."""

from __future__ import annotations

from pytest_sdspeed.tables.loader import (
    add_table,
    is_builtin,
    list_builtin_files,
    list_builtin_names,
    load_table,
    load_tables,
    open_tables,
)
from pytest_sdspeed.tables.writer import dumps_table

__all__ = [
    "add_table",
    "dumps_table",
    "is_builtin",
    "list_builtin_files",
    "list_builtin_names",
    "load_table",
    "load_tables",
    "open_tables",
]
