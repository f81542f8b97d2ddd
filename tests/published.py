"""Shared by the tests of the lint: small tables with published figures, and what is found in them."""

from __future__ import annotations

from pytest_sdspeed.lint import find_contradictions
from pytest_sdspeed.tables.parser import parse_table

HEAD = """\
schema = 2
name = "{name}"
title = "A table"
source = "https://example.org/page"
device = "{device}"
notes = [{notes}]
[recipe]
model = "{model}"
prompt = "a cat"
height = 1024
width = 1024
steps = {steps}
dtype = "bfloat16"
unit = "{unit}"
"""


def table(*rows, claims=(), name="page", device="NVIDIA A100", model="org/model", steps=50, unit="call", notes=(), folder=""):
    """Make a table of a documented page.

    Args:
        rows: TOML of each row, without its header; the first is the baseline of those that name none.
        claims: TOML of each claim.
        name, device, model, steps, unit, notes: of the table and its recipe.
        folder: that its file is in, with a slash.
    """
    quoted = ", ".join(f"'''{note}'''" for note in notes)
    text = HEAD.format(name=name, device=device, model=model, steps=steps, unit=unit, notes=quoted)
    text += "".join(f"[[rows]]\n{row.strip()}\n" for row in rows) + "".join(f"[[claims]]\n{claim.strip()}\n" for claim in claims)
    return parse_table(text, f"{folder}{name}.toml")


def row(setup, figures="", stack=None, *, base="base", **further):
    """Write a row: its name, its figures as TOML separated by semicolons, its stack separated by spaces.

    Without a stack it has its own name as its only optimization, and none if it is the baseline.
    """
    stack = ("" if setup == base else setup) if stack is None else stack
    lines = [
        f'setup = "{setup}"',
        f'baseline = "{base}"',
        f"optimizations = {stack.split() if '{' not in stack else stack}".replace("'", '"'),
    ]
    lines += [part.strip() for part in figures.split(";") if part.strip()]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in further.items())])


def found(*tables, about=None, counts=None):
    """Return (rule, TABLE/SETUP, key) of each finding."""
    return [(one.rule, f"{one.table}/{one.setup}", one.key) for one in find_contradictions(tables, counts or {}, about)]


def rules(*tables, **further):
    """Return the rules that find something, in order, each once."""
    return list(dict.fromkeys(rule for rule, *_ in found(*tables, **further)))


def messages(*tables):
    return [one.message for one in find_contradictions(tables, {})]
