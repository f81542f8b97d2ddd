"""Whatever a table file holds, it is a table that can be written again, or it gets one message."""

from __future__ import annotations

import copy
import math
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tables_text
from hypothesis import given, settings
from hypothesis import strategies as st
from tables_text import VALID
from test_tables_faults import recorded

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.tables import dumps_table, load_table, load_tables, schema, toml_text
from pytest_sdspeed.tables.parser import parse_table

write = tables_text.write

GROUPS = VALID.replace('setup = "combined"', 'setup = "combined"\nbaseline = "tf32"').replace(
    'setup = "tf32"\n', 'setup = "tf32"\nbaseline = "tf32"\nrecipe = {images = 4, guidance = 1.5}\n'
)
SPREAD = "spread = {blocks = 12, low = 1.25, high = 1.3, sd = 0.004, quartiles_s = [4.1, 4.14, 4.2]}"
WHOLE = [
    VALID,
    recorded(VALID.replace("speedup = 1.27\n", f"speedup = 1.27\n{SPREAD}\n")),
    GROUPS.replace("latency_s = 4.14\nspeedup = 1.27\nimage = {psnr = 28, ssim = 0.90}\n", "").replace("latency_s = 3.41\n", ""),
    VALID.replace("speedup = 1.54\n", "memory = 0.9\nimage_random = {mae = 0.1, flip = 0.2, clip_drop = 0.1}\n"),
]


class Written(str):
    """A number, as its digits are written."""

    __slots__ = ()


NUMBERS = st.one_of(
    st.integers(-3, 3).map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.tuples(st.integers(0, 10**20), st.integers(-400, 400)).map(lambda parts: f"{parts[0]}e{parts[1]}"),
    st.sampled_from(
        ["-nan", "+inf", "5e-324", "1.7976931348623157e308", "1e-323", "-0.0", "1e99999999999999999999", f"1.{'0' * 3000}1", "9" * 300]
        + ["9" * 5000, "0x7fffffffffffffff", "1_000", "0.1", "1.0", "1.00"]
    ),
).map(Written)
OTHERS = st.one_of(
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["baseline", "tf32", "control", "fp16", "combined", "", " ", "x" * 100_000, "\ufeff", "a.b", '"""', "nan"]),
    st.sampled_from(["1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00.999"]).map(Written),
)
KEYS = st.one_of(st.sampled_from([*schema.TABLE, *schema.RECIPE, *schema.ROW, *schema.SPREAD, *schema.GATE]), st.text("aä. \n\0\x9b\u2028\"'", max_size=5))
VALUES = st.recursive(
    NUMBERS | OTHERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def places(holder):
    """Yield every place of a document: what holds it, and its key or index."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], (dict, list)):
            yield from places(holder[key])


@st.composite
def documents(draw):
    """A valid document with a few faults, some of which are none."""
    document = tomllib.loads(draw(st.sampled_from(WHOLE)), parse_float=Written)
    for _ in range(draw(st.integers(0, 3))):
        known = list(places(document))
        if not known:
            break
        holder, key = draw(st.sampled_from(known))
        change = draw(st.sampled_from(["replace", "drop", "rename", "repeat", "copy"]))
        if change == "drop":
            del holder[key]
        elif change == "rename" and isinstance(holder, dict):
            holder[draw(KEYS)] = holder.pop(key)
        elif change == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif change == "copy":
            other, place = draw(st.sampled_from(known))
            holder[key] = copy.deepcopy(other[place])
        else:
            holder[key] = draw(VALUES)
    return toml(document)


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
    except TableError as error:
        assert error.path == str(path)
        assert str(error).startswith(f"{path}: ")
        assert len(str(error).splitlines()) == 1, str(error)
        assert len(str(error)) < 2000 + len(str(path)), len(str(error))
        return None
    for row in table.rows:
        assert 0 < row.speedup < math.inf
        assert row.latency_s is None or 0 < row.latency_s < math.inf
        assert 0 <= row.tolerance < 1
        assert table.row(row.baseline).is_baseline
    assert replace(parse_table(dumps_table(table), ""), path=table.path) == table
    return table


@settings(deadline=None, max_examples=3 * settings().max_examples)
@given(documents())
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


def test_a_byte_order_mark_and_the_line_ends_of_windows_change_nothing(write):
    plain = load_table(write(VALID))
    for content in (b"\xef\xbb\xbf" + VALID.encode(), VALID.replace("\n", "\r\n").encode()):
        path = write(content, "windows.toml")
        assert replace(load_table(path), path=plain.path) == plain


@pytest.mark.parametrize(("baseline", "latency", "says"), [("1e300", "1e-300", "is inf"), ("1e-300", "1e300", "is 0.0")])
def test_latencies_whose_quotient_is_no_positive_float_are_refused(write, baseline, latency, says):
    """A speed-up of 0 would pass whatever is measured."""
    text = VALID.replace("latency_s = 5.27\nspeedup = 1\n", f"latency_s = {baseline}\n")
    text = text.replace("latency_s = 4.14\nspeedup = 1.27", f"latency_s = {latency}")
    with pytest.raises(TableError, match=f"{says} as a float; valid: latencies whose quotient is above 0 and finite") as caught:
        load_table(write(text))
    assert caught.value.key == "rows[1].speedup"


@pytest.mark.parametrize(
    "text",
    [
        VALID.replace('"ddim"', f'"{"d" * 10**6}"'),
        VALID.replace("steps = 50", f'steps = 50\n"{"d" * 10**6}" = 1'),
        VALID.replace("1.27", f"-1.{'0' * 10**6}"),
        VALID.replace("tf32", f"tf32{'2' * 10**6}-", 1),
    ],
    ids=["value", "key", "number", "name"],
)
def test_a_message_shows_the_ends_of_what_is_endless(text):
    assert is_a_table_or_one_message(lambda path: parse_table(text, path), "some.toml") is None


def test_a_message_of_ordinary_length_is_whole():
    place = schema.TomlPath("some.toml", "k" * 800)
    assert str(place.error("p" * 800)) == f"some.toml: {'k' * 800}: {'p' * 800}"
    assert str(place.error(f"{'p' * 400}x{'q' * 400}")) == f"some.toml: {'k' * 800}: {'p' * 400} ... {'q' * 400}"


def test_twenty_thousand_names_are_read_at_once():
    """Compared each with each they took a dozen seconds."""
    names = ", ".join(f'"o{number}"' for number in range(20_000))
    table = parse_table(VALID.replace('["tf32"]', f"[{names}]"), "some.toml")
    assert len(table.row("tf32").optimizations) == 20_000
    with pytest.raises(TableError, match="lists 'o7' twice"):
        parse_table(VALID.replace('["tf32"]', f'[{names}, "o7"]'), "some.toml")


def test_a_key_in_a_message_breaks_no_line_and_steers_no_terminal(write):
    text = VALID.replace("steps = 50", '"\\u2028\\u0085\\u009b31m" = 1\nsteps = 50')
    with pytest.raises(TableError) as caught:
        load_table(write(text))
    assert caught.value.key == 'recipe."\\u2028\\u0085\\u009b31m"'
