"""Accounts in words and tables: amounts, groups, lines of code, and what a reader of Markdown and HTML is told."""

import re
from dataclasses import replace

import pytest

from pytest_sdspeed.model import Account, AccountResult, Place
from pytest_sdspeed.report import accounts, comment, markdown
from pytest_sdspeed.report.page.html import render_page

PLACES = tuple(Place("host_sync", "diffusers/loop.py", line, f"t[{line}].item()", 2) for line in range(5))
STEP = Account(operations=841, flops=1_210_000, casts=12, host_syncs=10, host_to_device=2, peak_bytes=3_100_000, places=PLACES)
CALL = replace(
    STEP, operations=9000, per_step=STEP, steps=10, places=(*PLACES, Place("device_to_host", "diffusers/end.py", 3, "x.cpu() | <b>", 1))
)
GOOD = AccountResult(
    table="chroma", setup="fp16", account=CALL, bounds={"casts": 99}, verdict="pass", weights="none", counted_as="NVIDIA A100"
)
BAD = replace(GOOD, setup="tf32", verdict="fail", reasons=("casts is 100, at most 99",))
COUNTED = replace(GOOD, setup="baseline", verdict=None, bounds={})


@pytest.mark.parametrize(("amount", "name", "said"), [
    (841, "operations", "841"), (12_841, "operations", "12,841"), (None, "recompilations", "?"), (0, "flops", "0"), (1_210_000, "flops", "1.21 M"),
    (803_300_000_000, "flops", "803 G"), (18_580_000_000_000, "flops", "18.6 T"), (3_100_000, "peak_bytes", "3.1 MB"), (80, "peak_bytes", "80 B"),
    (7_100_000_000, "peak_bytes", "7.1 GB"), (14_341_468, "peak_bytes", "14 MB"), (999_999, "peak_bytes", "1000 kB"),
])  # fmt: skip
def test_amounts_are_said_in_their_units(amount, name, said):
    assert accounts.format_amount(amount, name) == said


def test_the_table_of_a_group_has_a_step_in_a_line_and_its_worst_lines_below():
    lines = accounts.format_accounts([COUNTED, GOOD, BAD])
    assert lines[0] == "sd accounts: chroma   one denoising step, full size without weights, counted, not measured, as on NVIDIA A100"
    assert re.split(r" {2,}", lines[1]) == list(accounts.COLUMNS)
    assert re.split(r" {2,}", lines[2]) == ["baseline", "841", "10", "2", "12", "1.21 M", "3.1 MB", "counted"]
    assert lines[5:] == [
        *(f"  2 host syncs   diffusers/loop.py:{line}   t[{line}].item()" for line in range(3)),
        "  and 2 more lines",
    ]


def test_lines_that_not_every_row_has_are_told_under_the_rows_that_have_them():
    clean = replace(GOOD, setup="clean", account=replace(CALL, per_step=replace(STEP, places=()), places=()))
    assert "  fp16, tf32:" in accounts.format_accounts([clean, GOOD, BAD])


def test_accounts_of_a_call_and_of_a_step_are_never_in_one_table():
    whole = replace(GOOD, account=replace(CALL, per_step=None))
    assert [accounts.describe_basis(group).partition(",")[0] for group in accounts.group_accounts([GOOD, whole])] == [
        "one denoising step",
        "one call",
    ]


def test_every_line_is_listed_with_what_a_step_and_a_call_ask():
    rows = accounts.list_place_rows([GOOD, BAD])
    assert rows[0] == ("fp16, tf32", "host sync", "2", "2", "diffusers/loop.py:0", "t[0].item()")
    assert rows[-1] == ("fp16, tf32", "copy to the host", "", "1", "diffusers/end.py:3", "x.cpu() | <b>")


def test_a_failing_message_names_all_and_where_to_read_on():
    said = accounts.write_account_message(BAD)
    assert said.startswith("tf32 of table 'chroma', counted as on NVIDIA A100:\n  casts is 100, at most 99\n")
    assert said.splitlines()[-1].endswith("/guides/count-without-a-gpu/")
    assert accounts.write_account_message(replace(BAD, verdict="invalid")).startswith("invalid: tf32")


def test_markdown_has_the_worst_first_and_means_itself():
    told = markdown.write_summary([], accounts=[COUNTED, GOOD, BAD])
    assert "No campaign was measured" not in told
    rows = re.findall(r"^\\| (\w+) \\|.* (\w+) \\|$".replace("\\\\", "\\"), told, re.MULTILINE)
    assert [verdict for _, verdict in rows if verdict != "verdict"] == ["fail", "pass", "counted"]
    assert "t\\[0\\].item()" in told


def test_a_summary_without_room_counts_what_it_leaves_out():
    many = [replace(BAD, setup=f"row{place}", reasons=("x" * 500,)) for place in range(60)]
    told = markdown.write_summary([], room=20_000, accounts=many)
    assert len(told.encode()) <= 20_000
    assert re.search(r"^\d+ more accounts left out\.$", told, re.MULTILINE)
    assert len(markdown.write_summary([], room=300, accounts=many).encode()) <= 300


def test_a_comment_counts_them_among_its_verdicts():
    told = comment.write_comment([], [], comment.CommentFacts(key="run", exit_code=1), accounts=[COUNTED, GOOD, BAD])
    assert "## ❌ Diffusion speed-ups and pictures: 1 fail, 1 pass, 1 counted" in told
    assert "<b>" not in told
    passed = comment.write_comment([], [], comment.CommentFacts(key="run", exit_code=0), accounts=[COUNTED])
    assert "## ✅" in passed


def test_the_page_has_every_account_and_line_escaped():
    page = render_page([], accounts=[COUNTED, GOOD, BAD])
    assert "<title>1 of 2 rows need attention" in page
    assert page.count('data-account="') == 3
    assert "x.cpu() | &lt;b&gt;" in page
    assert "No campaign was measured" not in page
    assert "<title>1 account counted" in render_page([], accounts=[COUNTED])
