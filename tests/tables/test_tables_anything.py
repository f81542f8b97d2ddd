"""Whatever a table file holds, it is a table that can be written again, or it gets one message."""

from __future__ import annotations

import math
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import tables_text
from faulty import faulty
from hypothesis import given, settings
from hypothesis import strategies as st
from tables_text import SECOND, VALID
from test_tables_faults import recorded

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import toml_text
from pytest_sdspeed.tables import dumps_table, load_table, load_tables, schema
from pytest_sdspeed.tables.parser import parse_table

write = tables_text.write

GROUPS = VALID.replace('setup = "combined"', 'setup = "combined"\nbaseline = "tf32"').replace(
    'setup = "tf32"\n', 'setup = "tf32"\nbaseline = "tf32"\nrecipe = {images = 4, guidance = 1.5}\n'
)
SPREAD = "spread = {blocks = 12, low = 1.25, high = 1.3, sd = 0.004, quartiles_s = [4.1, 4.14, 4.2]}"
WHOLE = [
    VALID,
    SECOND,
    SECOND.replace("speedup = 1.50\n", "").replace('scheduler = "EulerDiscreteScheduler"\n', "guidance = 3.5\n"),
    recorded(VALID.replace("speedup = 1.27\n", f"speedup = 1.27\n{SPREAD}\n")),
    GROUPS.replace("latency_s = 4.14\nspeedup = 1.27\nimage = {psnr = 28, ssim = 0.90}\n", "").replace("latency_s = 3.41\n", ""),
    VALID.replace("speedup = 1.54\n", "memory = 0.9\nimage_random = {mae = 0.1, flip = 0.2, clip_drop = 0.1}\n"),
]


ROUNDED = ("speedup", "latency_s", "iterations_per_s", "memory_gb", "load_gb")
"""Figures that are compared as they were rounded."""


class Written(str):
    """A number, as its digits are written."""

    __slots__ = ()


NUMBERS = st.one_of(
    st.integers(-3, 3).map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.tuples(st.integers(0, 10**20), st.integers(-400, 400)).map(lambda parts: f"{parts[0]}e{parts[1]}"),
    st.sampled_from(["-nan", "+inf", "5e-324", "1.7976931348623157e308", "1e-323", "-0.0", "1e99999999999999999999", f"1.{'0' * 3000}1"]),
    st.sampled_from(["9" * 300, "9" * 5000, "0x7fffffffffffffff", "1_000", "0.1", "1.0", "1.00"]),
).map(Written)
OTHERS = st.one_of(
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["baseline", "tf32", "control", "fp16", "combined", "", " ", "x" * 100_000, "\ufeff", "a.b", '"""', "nan"]),
    st.sampled_from(["1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00.999"]).map(Written),
)
KEYS = st.one_of(
    st.sampled_from([*schema.TABLE, *schema.RECIPE, *schema.ROW, *schema.SPREAD, *schema.GATE]),
    st.text("aä. \n\0\x9b\u2028\"'", max_size=5),
)
VALUES = st.recursive(NUMBERS | OTHERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8)


PARSED = [tomllib.loads(text, parse_float=Written) for text in WHOLE]


def toml(document):
    return "".join(f"{toml_text.write_key(key)} = {toml_value(value)}\n" for key, value in document.items())


def toml_value(value):
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, str):
        return toml_text.quote(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_text.write_key(key)} = {toml_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_a_table_or_one_message(load, path):
    """Load a file: of what it returns every figure means something and it can be written; or the error is one line that names the file."""
    try:
        table = load(path)
    except TableError as found:
        error = found
    else:
        is_a_table_that_can_be_written(table)
        return
    assert error.path == str(path)
    assert str(error).startswith(f"{path}: ")
    assert len(str(error).splitlines()) == 1, str(error)
    assert len(str(error)) < 2000 + len(str(path)), len(str(error))


def is_a_table_that_can_be_written(table):
    for row in table.rows:
        assert 0 < row.speedup < math.inf
        assert row.latency_s is None or 0 < row.latency_s < math.inf
        assert 0 <= row.tolerance < 1
        assert table.row(row.baseline).is_baseline
    try:
        text = dumps_table(table)
    except TableError as error:
        # Of 1e2, which stands for 50 to 150, the table keeps 100.0, which is written as 100.
        figures = {getattr(row, name) for row in table.rows for name in ROUNDED}
        if any(figure and figure % 10 == 0 for figure in figures) and any(word in str(error) for word in ("contradict", "is more than")):
            return
        raise
    assert replace(parse_table(text, ""), path=table.path) == table


@settings(deadline=None, max_examples=3 * settings().max_examples)
@given(faulty(PARSED, KEYS, VALUES).map(toml))
def test_a_file_with_faults_is_a_table_or_one_message(text):
    is_a_table_or_one_message(lambda path: parse_table(text, path), "some.toml")


@st.composite
def contents(draw):
    """The bytes of a file, damaged as editors, transfers and other programs damage them."""
    content = bytearray(draw(st.sampled_from(WHOLE)).encode())
    damage = draw(st.sampled_from(["nothing", "BOM", "CRLF", "CR", "UTF-16", "cut", "bytes", "lines", "garbage"]))
    start, end = sorted(draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content)))))
    if damage == "BOM":
        return b"\xef\xbb\xbf" + content
    if damage in ("CRLF", "CR"):
        return content.replace(b"\n", damage.replace("CR", "\r").replace("LF", "\n").encode())
    if damage == "UTF-16":
        return content.decode().encode("utf-16")
    if damage == "cut":
        return content[:start]
    if damage == "bytes":
        content[start : start + 3] = draw(st.binary(max_size=6))
    if damage == "lines":
        return b"".join(draw(st.permutations(content[start:end].splitlines(keepends=True)))) + content[end:]
    return draw(st.binary()) if damage == "garbage" else bytes(content)


@settings(deadline=None)
@given(contents())
def test_damaged_bytes_are_a_table_or_one_message(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.toml"
        path.write_bytes(content)
        is_a_table_or_one_message(load_table, path)
        is_a_table_or_one_message(lambda path: load_tables([path])[-1], path)
