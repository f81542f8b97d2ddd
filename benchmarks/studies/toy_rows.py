"""A baseline and a row of a table at toy size on the CPU, for studies of how to measure them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.run.session import Session
from pytest_sdspeed.run.settings import Options

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.setups.setup import Setup


def make_rows(file: Path, registry: Registry) -> tuple[Setup, Setup]:
    """Make the setups ``NAME_baseline`` and ``NAME_row`` of a table.

    Args:
        file: the table's file, ``NAME.toml``.
        registry: knows its optimizations.
    """
    options = Options(
        gpu=False,
        weights="tiny",
        tables=(file,),
        tolerance=None,
        budget_s=300.0,
        max_blocks=20,
        inconclusive="warn",
        seed=None,
        report=None,
        record=None,
        clip="",
        confirm=False,
        history="off",
        against=None,
        against_control=False,
    )
    session = Session(options, registry)
    baseline, row = (
        session.setup(session.catalog.choose(file.stem, f"{file.stem}_{arm}", ""))
        for arm in ("baseline", "row")
    )
    return baseline, row
