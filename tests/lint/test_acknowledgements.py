"""Acknowledgements: a note with a reason accepts a finding; without one, or for nothing, it does not."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table

from pytest_sdspeed.lint import RULES, find_contradictions, lint_tables
from pytest_sdspeed.tables import load_tables

REASON = "the table has 1.32 for it"
WRONG = 'latency_s = 2.27; stated = [{where = "blog", speedup = 1.35}]'


def noted(row_notes="", *table_notes, figures=WRONG):
    return table(row("base", "latency_s = 3.00"), row("fast", f"{figures}; notes = '''{row_notes}'''"), notes=table_notes)


def accepted(one):
    return [(each.rule, each.acknowledged) for each in find_contradictions([one], {})]


@pytest.mark.parametrize(
    "one",
    [
        noted(f"speedup: {REASON}"),
        noted(f"The device was hot.\nspeedup: {REASON}\nmore words"),
        noted("", f"speedup fast: {REASON}"),
        noted("", "another note", f"speedup base, fast: {REASON}"),
    ],
)
def test_a_reason_is_kept(one):
    assert accepted(one) == [("speedup", REASON)]


@pytest.mark.parametrize(
    "one",
    [
        noted("speedup:"),
        noted("speedup: a misprint"),
        noted("It is known that the speedup: is wrong in the blog"),
        noted("", "speedup fats: the table has 1.32 for it"),
    ],
)
def test_no_reason_accepts_nothing(one):
    assert accepted(one) == [("speedup", "")]


def test_a_note_of_another_row_or_rule_accepts_nothing_and_is_said_to():
    assert accepted(noted("", f"speedup base: {REASON}")) == [("speedup", ""), ("unused-acknowledgement", "")]
    assert accepted(noted(f"units: {REASON}")) == [("speedup", ""), ("unused-acknowledgement", "")]
    assert accepted(noted("", f"speedup: {REASON}")) == [("speedup", ""), ("unused-acknowledgement", "")], "a table's note is of the table"


TWICE = 'latency_s = 2.27; stated = [{where = "blog", speedup = 1.35}, {where = "column", speedup = 1.53}]'


@pytest.mark.parametrize(
    ("reason", "taken"),
    [
        ("3.00 s / 2.27 s is x1.32, and no x1.35", ["1.35"]),
        ("1.53 is what the 8-bit model has on 4090 cards", ["1.53"]),
        ("1.35, 1.53: both are of the loop alone", ["1.35", "1.53"]),
        ("both are of the denoising loop alone", ["1.35", "1.53"]),
        ("the A100 was an 80-GB one, of an 8-bit model", ["1.35", "1.53"]),
    ],
)
def test_a_reason_that_names_figures_accepts_what_is_found_of_these(reason, taken):
    one = noted(f"speedup: {reason}", figures=TWICE)
    assert [each.message[1:5] for each in find_contradictions([one], {}) if each.acknowledged] == taken


def test_a_reason_of_the_right_figure_alone_accepts_all_of_its_row():
    one = noted("speedup: 3.00 s / 2.27 s is what holds", figures=TWICE)
    assert accepted(one) == 2 * [("speedup", "3.00 s / 2.27 s is what holds")]


def test_a_reason_of_figures_that_nothing_shows_accepts_nothing_and_is_said_to():
    one = noted("speedup: 3.10 s / 2.72 s is what holds")
    assert accepted(one) == [("speedup", ""), ("unused-acknowledgement", "")]
    assert messages(one)[-1].endswith("that rule finds nothing here of 2.72 or 3.10")


def test_a_note_about_the_table_is_about_all_of_its_figures():
    flops = 'latency_s = 2.0; tflops = 10; stated = [{where = "column", speedup = 3.0}]'
    reason = "the column divides 30 by 10 and so on"
    one = table(row("base", "latency_s = 3.00; tflops = 30"), row("fast", flops), notes=[f"flops-ratio: {reason}"])
    assert accepted(one) == [("flops-ratio", reason)]


def test_a_rule_about_a_column_is_accepted_for_the_table():
    flops = 'latency_s = 2.0; tflops = 10; stated = [{where = "column", speedup = 3.0}]'
    one = table(
        row("base", "latency_s = 3.00; tflops = 30"), row("fast", flops), notes=["flops-ratio: the column divides operations, not seconds"]
    )
    assert accepted(one) == [("flops-ratio", "the column divides operations, not seconds")]


def test_a_claim_has_notes_of_its_own():
    def claim(notes):
        text = ['text = "Faster."', 'faster = ["base", "fast"]', f'notes = "{notes}"']
        return accepted(table(row("base", "latency_s = 3.00"), row("fast", "latency_s = 2.00"), claims=["\n".join(text)]))

    assert claim("claim: the table says the opposite") == [("claim", "the table says the opposite")]
    assert claim("as it says") == [("claim", "")]


def test_a_version_in_a_reason_is_no_figure():
    reason = "torch 2.1.0 of that page had 1.32"
    assert accepted(noted(f"speedup: {reason}")) == [("speedup", reason)]


def test_a_note_of_the_table_accepts_no_claim():
    text = 'text = "Faster."\nfaster = ["base", "fast"]'
    rows = row("base", "latency_s = 3.00"), row("fast", "latency_s = 2.00")
    one = table(*rows, claims=[text], notes=["claim: the table says the opposite"])
    assert accepted(one) == [("claim", ""), ("unused-acknowledgement", "")]


def test_what_is_accepted_and_not_found_is_told_by_its_place():
    one = noted(f"saved-percent: {REASON}", figures="latency_s = 2.0")
    assert found(one) == [("unused-acknowledgement", "page/fast", "rows[1].notes")]


def test_what_could_not_be_looked_at_is_no_unused_acknowledgement():
    one = noted("limit: it draws fewer steps than that", figures="latency_s = 2.0")
    assert rules(one) == [], "no counts are there"


def test_prose_with_a_colon_accepts_nothing():
    assert found(noted("memory of the baseline: 5 GB", "units are seconds: all of them", figures="latency_s = 2.0")) == []


def test_one_setup_of_two_tables_of_a_folder_is_accepted_by_either():
    def page(name, latency, notes="", folder="tables/"):
        return table(row("base", f"latency_s = {latency}; notes = '{notes}'"), row("fast", "latency_s = 2"), name=name, folder=folder)

    def told(*tables, about=None):
        return [(each.table, each.acknowledged) for each in find_contradictions(tables, {}, about)]

    later = "the other page is the later one"
    one, other = page("a", "3.1", f"two-figures: {later}"), page("b", "3.2")
    assert told(one, other) == [("b", later)]
    assert told(one, other, about=["b"]) == [("b", later)]
    assert told(one, other, about=["a"]) == [("a", later)]
    assert told(one, other, page("own", "3.3", folder="mine/"), about=["own"]) == [("own", "")], "a file of a user says so itself"


def test_every_rule_has_a_sentence():
    assert all(rule.sentence.endswith(".") and rule.sentence[0].isupper() for rule in RULES.values())
    assert set(RULES) == {
        "speedup",
        "saved-percent",
        "units",
        "two-figures",
        "flops-ratio",
        "efficiency",
        "memory",
        "limit",
        "does-not-fit",
        "claim",
        "misprint",
    }


def test_findings_stand_in_the_order_of_the_tables():
    tables = load_tables()
    places = [[table.name for table in tables].index(each.table) for each in lint_tables(tables).contradictions]
    assert places == sorted(places)
