"""A baseline and a row of a table at toy size on the CPU, for studies of how to measure them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.run.session import Session
from pytest_sdspeed.run.settings import Options
from pytest_sdspeed.setups.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.setups.setup import Setup

TABLE = """
schema = 2
name = "study_{name}"
title = "The same work, measured by stages and by calls"
source = "benchmarks/studies/toy_rows.py"
device = "cpu"

[recipe]
model = "{model}"
prompt = "a photo of an astronaut riding a horse on mars"
height = 64
width = 64
steps = {steps}
pipeline = "{pipeline}"
{more}

[[rows]]
setup = "study_{name}_baseline"
baseline = "study_{name}_baseline"
optimizations = []
speedup = 1

[[rows]]
setup = "study_{name}_row"
baseline = "study_{name}_baseline"
optimizations = ["{optimization}"]
speedup = 2
"""


class ToyRows(NamedTuple):
    """What a study measures.

    Attributes:
        name: name of the table, without ``study_``.
        model: hub id of a known model, or one of the package.
        pipeline: class of its pipeline.
        more: more lines of the recipe.
        optimization: that of the row.
    """

    name: str
    model: str
    pipeline: str
    more: str
    optimization: str


def make_rows(
    facts: ToyRows, steps: int, folder: Path, *optimizations: Optimization
) -> tuple[Setup, Setup]:
    """Make the setups of a baseline and a row.

    Args:
        facts: what they are.
        steps: denoising steps of a call.
        folder: where the table is written.
        optimizations: those that the package does not have.
    """
    file = folder / f"study_{facts.name}.toml"
    file.write_text(TABLE.format(steps=steps, **facts._asdict()))
    registry = Registry()
    for optimization in optimizations:
        registry.add_optimization(optimization)
    options = Options(
        gpu=False,
        weights="tiny",
        tables=(file,),
        tolerance=None,
        budget_s=300.0,
        max_blocks=20,
        max_staged_blocks=20,
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
    for setup in (baseline, row):
        # A rehearsal takes fewer.
        setup.recipe = replace(setup.recipe, steps=steps)
    return baseline, row
