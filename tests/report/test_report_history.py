"""A history in words, in the terminal's table, and as JSON."""

from __future__ import annotations

import json
import math

import pytest
from histories import commit, day, history, run, unknown

from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.model import Change
from pytest_sdspeed.report import history as past
from pytest_sdspeed.report.history_json import to_json
from pytest_sdspeed.report.markdown import write_summary

AFTER, FIRST = commit(39)[:10], commit(40)[:10]
SINCE = f"since {day(40)} (run 0040_0028ab, commits {AFTER}..{FIRST}), 13 runs ago"

TABLE = f"""\
sd history: inference
setup      kind     since        change        runs   device
baseline   stack    {day(40)}   8.1% slower   54     NVIDIA H200
tf32       steady                              54     NVIDIA H200
fp16       code     {day(40)}   6.2% slower   54     NVIDIA H200
sd history: attention, against vanilla_fp16_b4
setup   kind           since   change   runs   device
sdpa    too few runs                    3      NVIDIA H200"""


def loaded(histories):
    """What a strict reader of JSON reads."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(json.dumps(to_json(histories), allow_nan=False), parse_constant=refuse)


# Words


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (history(kind="code"), f"fp16: 6.2% slower since {day(40)} (code), 14 of 54 runs"),
        (history(kind="machine", step=-0.05), f"fp16: 5.0% faster since {day(40)} (machine), 14 of 54 runs"),
        (history(kind="improvement", step=-0.05), f"fp16: 5.0% faster since {day(40)} (improvement), 14 of 54 runs"),
        (
            history(setup="baseline", kind="stack", step=0.081),
            f"baseline: 8.1% slower since {day(40)} (stack: torch 2.13.0 -> 2.14.0), 14 of 54 runs",
        ),
        (history(kind="stack", versions={"xformers": (None, "0.0.33")}), "fp16: 6.2% slower since"),
        (history(kind="none"), "fp16: steady over 54 runs"),
        (history(setup="tf32"), "tf32: steady over 54 runs"),
        (history(7), "fp16: steady over 7 runs"),
        (history(6), "fp16: 6 runs: too few to judge"),
        (history(1), "fp16: 1 run: too few to judge"),
        (history(4, kind="code", since=2), f"fp16: 6.2% slower since {day(2)} (code), 2 of 4 runs"),
    ],
)
def test_a_line_says_what_how_much_since_when_and_why(made, line):
    assert past.write_line(made).startswith(line)
    assert "\n" not in past.write_line(made)


def test_a_version_that_came_or_went_is_named():
    assert "(stack: xformers none -> 0.0.33)" in past.write_line(history(kind="stack", versions={"xformers": (None, "0.0.33")}))
    assert "(stack: xformers 0.0.33 -> none)" in past.write_line(history(kind="stack", versions={"xformers": ("0.0.33", None)}))


def test_a_sentence_names_the_run_and_the_commits():
    assert past.write_sentence(history(kind="code")) == f"6.2% slower {SINCE}: code"
    assert past.write_sentence(history(kind="stack")) == f"6.2% slower {SINCE}: stack, torch 2.13.0 -> 2.14.0"
    assert past.write_sentence(history(kind="code", n=42)).endswith(", 1 run ago: code")
    assert past.write_sentence(history()) == "steady over 54 runs"


def test_the_run_in_hand_has_no_name_and_no_age():
    made = history(41, kind="code", runs={40: {"name": ""}})
    assert past.write_sentence(made) == f"6.2% slower since {day(40)} (this run, commits {AFTER}..{FIRST}): code"


@pytest.mark.parametrize(
    ("runs", "pair"),
    [
        ({}, (39, 40)),
        # What a run without power says of the code before it is nothing: the range widens.
        ({39: {"reference": False}}, (38, 40)),
        ({39: {"commit": None}}, (38, 40)),
        ({40: {"commit": None}}, (39, 41)),
        ({number: {"commit": None} for number in range(40)}, None),
        ({number: {"commit": None} for number in range(40, 54)}, None),
    ],
)
def test_the_commits_are_those_between_which_it_changed(runs, pair):
    made = history(kind="code", runs=runs)
    assert past.find_commits(made, made.latest) == (pair and tuple(map(commit, pair)))


@pytest.mark.parametrize(
    ("made", "parts"),
    [
        (
            history(kind="code"),
            [
                f"fp16 on NVIDIA H200: 6.2% slower against baseline {SINCE}.",
                "It is the code: the ratio to the baseline moved, the canary did not.",
                f"See git log {AFTER}..{FIRST}, or search with git bisect start {FIRST} {AFTER}.",
            ],
        ),
        (history(kind="stack"), [f"6.2% slower {SINCE}.", "It is the software below the code", "run again with torch 2.13.0."]),
        (history(kind="stack", versions={"xformers": (None, "1")}), ["run again with no xformers."]),
        (
            history(kind="machine"),
            [
                f"6.2% slower {SINCE}.",
                "It is the machine",
                "Nothing is to be done in the code: look at what else the machine runs, its clocks and its temperature.",
            ],
        ),
        (history(kind="improvement", step=-0.1), ["10.0% faster against baseline", "record a new one with --sd-record."]),
        (history(), ["fp16 on NVIDIA H200: steady over 54 runs."]),
        (
            history(kind="code", runs={n: {"commit": None} for n in range(54)}),
            ["The stored runs name no commits: run inside a git repository to learn them."],
        ),
        (
            history(kind="code", runs={n: {"commit": "a" * 40} for n in (39, 40)}),
            [f"Both sides are commit {'a' * 10}", "look at changes that were not committed, and at what the tests call."],
        ),
    ],
)
def test_a_message_ends_with_what_to_do(made, parts):
    said = past.describe_change(made)
    assert [part for part in parts if part not in said] == []
    assert said.endswith(parts[-1])


def test_the_message_of_a_test_ends_with_the_page():
    made = history(kind="code")
    page = f"{DOCUMENTATION}/explanations/verdicts/#history-slower"
    assert past.write_message(made, made.latest) == f"{past.describe_change(made)}\nSee {page}"


def test_a_stack_that_no_stored_version_tells_is_said_to_be_so():
    silent = history(changes=(Change(kind="stack", since=40, found=42, change=0.1, ratio=False),))
    assert past.write_line(silent) == f"fp16: 10.0% slower since {day(40)} (stack), 14 of 54 runs"
    assert "It is the software below the code. No stored version changed" in past.describe_change(silent)


# The terminal and Markdown


def test_the_table_is_aligned_and_grouped():
    few = history(3, table="attention", baseline="vanilla_fp16_b4", setup="sdpa")
    made = [history(setup="tf32"), few, history(kind="code"), history(setup="baseline", kind="stack", step=0.081)]
    assert "\n".join(past.format_table(made)) == TABLE
    assert past.format_table([]) == []


def test_the_summary_lists_what_is_not_steady():
    said = write_summary([], [history(setup="tf32"), history(kind="code", setup="a|b<i>"), history(3)])
    assert rf"- inference on NVIDIA H200: a\|b&lt;i&gt;: 6.2% slower since {day(40)} (code), 14 of 54 runs" in said
    assert said.count("\n- ") == 1
    assert "### History" in said
    assert "History" not in write_summary([], [history(), history(3)])


# JSON


def test_json_has_the_latest_change_and_the_latest_run():
    (made,) = loaded([history(kind="stack")])
    latest = made.pop("latest")
    change = {
        "kind": "stack",
        "since": history().runs[40].date,
        "since_run": "0040_0028ab",
        "found": history().runs[42].date,
        "change": 0.062,
        "commits": {"after": commit(39), "first": commit(40)},
        "versions": {"torch": ["2.13.0", "2.14.0"]},
        "reasons": ["every row moved, the canary did not"],
        "id": history(kind="stack").name_change(history(kind="stack").latest),
        "acknowledged": None,
    }
    rows = {"table": "inference", "setup": "fp16", "baseline": "baseline", "device": "NVIDIA H200", "recipe": "r1", "runs": 54}
    assert made == {**rows, **change, "changes": [change], "follows": None}
    assert (latest["date"], latest["run"]) == (history().runs[53].date, "0053_0035ab")
    assert latest["speedup"] == history(kind="stack").runs[53].speedup
    assert set(latest) == {"speedup", "low", "high", "latency_s", "date", "run"}


def test_json_of_a_steady_history_has_the_same_keys():
    (steady,), (changed,) = loaded([history()]), loaded([history(kind="code")])
    assert set(steady) == set(changed)
    assert (steady["kind"], steady["since"], steady["since_run"], steady["change"], steady["commits"]) == ("none", *[None] * 4)
    assert (steady["versions"], steady["reasons"], steady["changes"]) == ({}, [], [])


def test_json_knows_no_nan():
    made = history(kind="code", runs={53: unknown(high=math.inf, name="")})
    (read,) = loaded([made])
    assert read["latest"] == {**dict.fromkeys(("speedup", "low", "high", "latency_s", "run")), "date": made.runs[53].date}
    with pytest.raises(ValueError, match="JSON compliant"):
        json.dumps(run(speedup=math.nan).speedup, allow_nan=False)


def test_json_holds_every_change_the_oldest_first():
    code, stack = history(kind="code", since=10).latest, history(kind="stack", since=40).latest
    (read,) = loaded([history(changes=(code, stack))])
    assert [change["kind"] for change in read["changes"]] == ["code", "stack"]
    assert read["kind"] == "stack"
