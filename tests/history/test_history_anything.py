"""Whatever a folder of stored runs holds, its commands end with an answer or a message, and name a bad file once."""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
import tempfile
from pathlib import Path

import pytest
from fakes import exhibit, result, tf32
from faulty import faulty
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import COMMIT, DATE, HOST, benchmark, write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.model import Against, Interval

AGAINST = Against(spec="main", label="main (3f2a1bc)", versions={"torch": "2.13"}, identical=1.0, turns=2, stages={}, process_control=None)
RUNS = [
    {
        "benchmarks": [benchmark(result()), benchmark(tf32(canary_s={"matmul": [0.1, 0.1]}, control=Interval(1.0, 0.99, 1.01)))],
        "machine_info": {**HOST, "sdspeed": {"run": "r1", "command": "pytest", "device": "NVIDIA H200"}},
        "commit_info": COMMIT,
        "datetime": DATE,
    },
    {
        "benchmarks": [benchmark(result(exhibits=(exhibit(),), stages_s={"unet": 1.0})), benchmark(None), benchmark(result(recipe=None))],
        "machine_info": {"node": "host", "cpu": {"brand_raw": "Xeon"}},
        "commit_info": {"id": "unversioned", "dirty": False},
        "datetime": "2026-11-23T10:00:00",
    },
    {"benchmarks": [benchmark(result(against=AGAINST)), benchmark(tf32(notes=("note",)))]},
]
KEYS = st.sampled_from(
    ["schema", "setup", "sdspeed", "samples_s", "path", "sha256", "benchmarks", "", "\ud800", "\x9b", "control", "baseline"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf]),
    st.text(),
    st.sampled_from(
        ["", "\ud800", "x" * 5_000, "../../etc/passwd", "/etc/passwd", "pass", "control", "9999-12-31T23:59:59-23:59", "0001-01-01"]
    ),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)
DAMAGED = st.one_of(
    st.binary(),
    st.sampled_from(
        [b"", b"null", b"[]", b"{}", b"1", b'"x"', b'{"benchmarks": {}}', b'{"benchmarks": 1}', b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}"]
    ),
    st.sampled_from([b"[" * 10_000, b'{"a":' * 5_000, b'{"benchmarks": [' + b"9" * 5000 + b"]}", b'{"benchmarks": [1e999]}']),
)


def told(*command):
    """Run a command; its exit code, its answer, and the lines of its messages."""
    answer, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(answer), contextlib.redirect_stderr(messages):
        code = main(list(map(str, command)))
    return code, answer.getvalue(), messages.getvalue().splitlines()


@contextlib.contextmanager
def folder_beside(content):
    """A folder with a whole run, and a newer file that holds this."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "stored"
        write_run(folder, [result(), tf32()])
        (folder / "0002_odd.json").write_bytes(content)
        yield folder


def is_history_or_one_message(content):
    with folder_beside(content) as folder:
        code, answer, messages = told("history", folder)
        assert code == 0
        assert "fp16" in answer
        named = [line for line in messages if "0002_odd.json" in line]
        # A line for each kind of fault: records of another schema, and damaged ones.
        assert len(set(named)) == len(named) <= 2, named
        assert all(len(line) < 2000 for line in messages), messages
        # From the index, and as JSON, it says the same.
        again, as_json, repeated = told("history", folder, "--json")
        assert (again, repeated) == (0, messages)
        assert {"fp16", "tf32"} <= {found["setup"] for found in json.loads(as_json)}
        return named


def written(document):
    return json.dumps(document).encode("utf-8", "surrogatepass")


@settings(deadline=None, max_examples=settings().max_examples // 2)
@given(faulty(RUNS, KEYS, VALUES).map(written))
def test_a_stored_run_with_faults_is_history_or_one_message(content):
    is_history_or_one_message(content)


@settings(deadline=None, max_examples=settings().max_examples // 2)
@given(DAMAGED)
def test_a_file_that_is_no_run_is_named_once(content):
    assert len(is_history_or_one_message(content)) <= 1


@settings(deadline=None, max_examples=settings().max_examples // 10)
@given(faulty(RUNS, KEYS, VALUES).map(written) | DAMAGED)
def test_a_report_of_any_file_is_a_page_or_a_message(content):
    with folder_beside(content) as folder:
        page = folder.parent / "page.html"
        for stored in (folder, folder / "0002_odd.json"):
            code, _, messages = told("report", stored, page)
            assert (code == 0) == page.is_file(), messages
            assert code == 0 or (code == 1 and "0002_odd.json" in "".join(messages))
            page.unlink(missing_ok=True)


@settings(deadline=None, max_examples=settings().max_examples // 2)
@given(faulty(RUNS, KEYS, VALUES).map(written) | DAMAGED)
def test_cleaning_beside_any_file_ends_and_leaves_the_runs(content):
    with folder_beside(content) as folder:
        assert told("clean", folder)[0] == 0
        assert sorted(path.name for path in folder.glob("*.json")) == ["0001_run.json", "0002_odd.json"]
        assert (folder / "0002_odd.json").read_bytes() == content


@pytest.fixture
def usual_recursion():
    """Python's own limit: torch's compiler doubles it in a process, for good."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("usual_recursion")
@pytest.mark.parametrize("depth", [960, 990, 10_000])
def test_what_is_nested_too_deeply_ends_no_command(depth):
    nested = b"[" * depth + b"1" + b"]" * depth
    record = json.dumps(RUNS[0]).replace('"miniature"', "NESTED").encode().replace(b"NESTED", nested)
    for content in (nested, record):
        with folder_beside(content) as folder:
            assert [told(command, folder)[0] for command in ("history", "clean")] == [0, 0]
            code, _, messages = told("report", folder, folder.parent / "page.html")
            assert code == 0
            assert any("0002_odd.json" in line for line in messages)


def test_a_report_passes_over_the_record_that_no_page_can_show_and_says_so():
    spoiled = {**benchmark(tf32())["extra_info"]["sdspeed"], "telemetry": [1]}
    content = written({"benchmarks": [benchmark(result()), benchmark(spoiled)], "datetime": DATE})
    with folder_beside(content) as folder:
        page = folder.parent / "page.html"
        code, answer, messages = told("report", folder / "0002_odd.json", page)
        assert (code, "1 results" in answer) == (0, True)
        assert messages == ["passed over: 'tf32': AttributeError: 'list' object has no attribute 'get'"]
        assert "fp16" in page.read_text(encoding="utf-8")


def test_a_report_of_nothing_that_can_be_shown_is_one_message():
    spoiled = {**benchmark(tf32())["extra_info"]["sdspeed"], "telemetry": [1]}
    with folder_beside(written({"benchmarks": [benchmark(spoiled)], "datetime": DATE})) as folder:
        code, _, messages = told("report", folder / "0002_odd.json", folder.parent / "page.html")
        assert code == 1
        assert messages[-1].endswith("0002_odd.json: no page can be made of it: 'list' object has no attribute 'get'")
        assert not (folder.parent / "page.html").exists()
