"""The atlas as text: every row is on it, and what it says of each."""

import re
from dataclasses import replace

import pytest
from atlases import RECIPE, contradiction, hostile_table, page, recorded, row, spread, table
from pages import Page

from pytest_sdspeed.model import Claim, Stated
from pytest_sdspeed.model.limits import Limit
from pytest_sdspeed.report.atlas.entries import Findings, join_entries
from pytest_sdspeed.report.atlas.words import describe_claim, describe_limit, describe_timings, list_figures, shorten_address
from pytest_sdspeed.tables import load_tables

HOSTILE = "<script src='http://evil'>&\"'</script>"


def words(source):
    return " ".join(" ".join(Page(source).data).split())


COLUMNS = ("row", "published", "least time of a call", "can be built", "measured")


def listed(parsed):
    """Anchor, cells and the line below of each row."""
    told = [found for _, found in parsed.rows if tuple(found) != COLUMNS]
    at = [index for index, found in enumerate(told) if len(found) == len(COLUMNS)]
    below = [found[0] if len(found) == 1 else "" for found in (*told[1:], [])]
    return list(zip(parsed.values("id", "tbody"), (told[index] for index in at), (below[index] for index in at), strict=True))


def cells(source, setup):
    """The cells of a row by the columns' names, and its lines below."""
    found, more = next((found, more) for anchor, found, more in listed(Page(source)) if anchor.endswith(f"/{setup}"))
    return dict(zip(("row", "published", "least", "built", "measured"), found, strict=True)) | {"more": more}


# Everything is there


def test_every_table_and_every_row_of_the_built_in_tables_is_on_the_page():
    tables = load_tables()
    parsed = Page(page(*tables))
    told = [(anchor, found[0].startswith(anchor.partition("/")[2])) for anchor, found, _ in listed(parsed)]
    assert told == [(f"{one.name}/{row.setup}", True) for one in tables for row in one.rows]
    assert {one.name for one in tables} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    shown = "".join(parsed.data)
    assert [one.title for one in tables if one.title not in shown] == []
    assert [note for one in tables for note in one.notes if note not in shown] == []
    assert {one.source for one in tables if one.source.startswith("https://")} <= set(parsed.values("href"))
    assert [claim.text for one in tables for claim in one.claims if claim.text not in shown] == []
    assert [row.unsupported for one in tables for row in one.rows if row.unsupported not in shown] == []


def test_links_inside_the_page_lead_somewhere_and_headings_descend():
    named = contradiction(others=("t/base", "elsewhere/row"))
    parsed = Page(page(table(row("fast")), contradictions=(named,)))
    assert {value[1:] for value in parsed.values("href") if value.startswith("#")} <= set(parsed.ids)
    assert all(after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False))
    assert parsed.headings.count(1) == 1


def test_the_page_needs_nothing_else_and_only_its_own_script_runs():
    source = page(*load_tables())
    parsed = Page(source)
    assert parsed.values("src") == []
    assert set(parsed.tags) & {"img", "iframe", "object", "base"} == set()
    assert parsed.tags.count("link") == parsed.values("href", "link").count("data:,") == 1
    assert "@import" not in source
    assert "url(" not in source
    (policy,) = (value for value in parsed.values("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]


def test_no_table_gives_a_page_that_says_so():
    assert "There is no table." in words(page())


# What users write is text


def test_everything_that_a_user_writes_is_escaped():
    found = contradiction(message=HOSTILE, path=HOSTILE, others=(HOSTILE,), acknowledged=HOSTILE)
    wide = contradiction(setup="", rule=HOSTILE, message=HOSTILE, path=HOSTILE)
    source = page(hostile_table(HOSTILE), contradictions=(found, wide), own=(HOSTILE,), obstacles={(HOSTILE, "fast"): HOSTILE})
    parsed = Page(source)
    assert parsed.tags.count("script") == 1
    assert parsed.values("src") == []
    assert "".join(parsed.data).count(HOSTILE) > 15


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", " https://example.org", "file:///etc/passwd", "benchmarks/x.toml"]
)
def test_a_source_that_is_no_address_of_the_web_is_no_link(address):
    source = page(table(source=address))
    assert address not in Page(source).values("href")
    assert address.strip() in words(source)


# Figures


def test_figures_are_shown_as_they_are_published():
    full = row(
        "fast",
        1.525,
        latency_s=4.18,
        iterations_per_s=12.79,
        memory_gb=9.1,
        load_gb=3.25,
        compile_s=67.4,
        warm_compile_s=11,
        first_s=30,
        tflops=0.5,
        gpus=8,
    )
    shown = cells(page(table(full)), "fast")
    assert shown["published"].startswith(
        "x1.525, 4.18 s, 12.79 it/s, 9.1 GiB at the peak, 3.25 GiB after loading, 67.4 s to compile,"
        " 11 s with a warm cache, 30 s to the first picture, 0.5 TFLOPs, 8 GPUs"
    )
    assert "held to x1.45" in shown["published"]


def test_a_row_without_a_latency_claims_none():
    assert list_figures(row("fast", 2)) == ["x2.00"]


def test_no_digit_of_a_published_figure_is_lost():
    assert list_figures(row("fast", 4 / 3, latency_s=12345.678, memory_gb=0.1 + 0.2))[:3] == ["x1.33", "12345.678 s", "0.3 GiB at the peak"]


def test_a_figure_of_a_part_of_a_call_says_so():
    part = row("base", 1, latency_s=0.5, recipe=replace(RECIPE, unit="decode"))
    assert "a latency is of one decoding of latents" in words(page(table(rows=(part,))))
    limit = Limit(device="NVIDIA A100", certain_s=0.1)
    assert describe_limit(limit, part) == ("0.1 s", "NVIDIA A100")


def test_what_else_a_source_states_stands_below_its_row():
    stated = Stated(where="column ToMe", figures={"saved_percent": 37.88, "latency_s": 12.0}, text="12,.79")
    more = cells(page(table(row("fast", stated=(stated,), timings_s=(1.0, 1.1)))), "fast")["more"]
    assert "Also published, column ToMe: 37.88% of the time saved, 12 s, 12,.79" in more
    assert "2 single timings published: 1 to 1.1 s, CV 6.73%" in more
    assert describe_timings((2.5,)) == "1 single timings published: 2.5 to 2.5 s"


def test_every_figure_that_can_be_stated_has_words():
    from pytest_sdspeed.model import STATED_FIGURES
    from pytest_sdspeed.report.atlas.words import _STATED

    assert _STATED.keys() == STATED_FIGURES.keys()


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ({"kind": "faster", "rows": ("a", "b"), "by": 1.5}, "a takes less time than b, at least x1.5"),
        ({"kind": "slower", "rows": ("a", "b", "c")}, "a takes more time than b and c"),
        ({"kind": "less_memory", "rows": ("a", "b"), "by": 0.5}, "the peak memory of a is below that of b, at most 50% of it"),
        ({"kind": "less_memory", "rows": ("a", "b"), "by": 0.495}, "the peak memory of a is below that of b, at most 49.5% of it"),
        (
            {"kind": "parameters", "rows": ("a", "b"), "by": 0.6, "part": "denoiser"},
            "a has fewer parameters in its denoiser than b, at most 60% of them",
        ),
        ({"kind": "account", "rows": ("a",), "bounds": {"host_syncs": 0}}, "what a asks of a device: host_syncs at most 0"),
        ({"kind": "comparable", "rows": ("a", "b")}, "the pictures of a are within its bounds against those of b"),
        ({"kind": "defaults", "defaults": {"backends.x": False}}, "torch as imported has backends.x = False"),
    ],
)
def test_each_kind_of_claim_has_words(claim, says):
    assert describe_claim(Claim(text="x", **claim)) == says


def test_the_address_of_a_commit_is_read_short_and_followed_whole():
    address = "https://github.com/o/r/blob/0d23645bd120e6785a3d81ee8e053afe84bbc77f/docs/x.md"
    assert shorten_address(address) == "github.com/o/r/blob/0d23645bd1/docs/x.md"
    source = page(table(source=address))
    assert address in Page(source).values("href")


# What is known besides


def test_what_was_not_counted_and_not_measured_is_said_in_words():
    shown = cells(page(table(row("fast"))), "fast")
    assert (shown["least"], shown["built"], shown["measured"]) == ("not counted", "yes", "nothing")


def test_a_limit_stands_beside_the_published_latency():
    known = {("t.toml", "fast"): Limit(device="NVIDIA A100 80GB", certain_s=0.8)}
    assert (
        cells(page(table(row("fast", latency_s=4.0)), limits=known), "fast")["least"] == "0.8 sNVIDIA A100 80GB; published is 5 times that"
    )
    unknown = {("t.toml", "fast"): Limit(device="x", reason="no published peaks of 'x' are known here")}
    assert cells(page(table(row("fast")), limits=unknown), "fast")["least"] == "unknownno published peaks of 'x' are known here"


def test_a_row_that_cannot_be_built_says_why_and_is_held_to_nothing():
    found = cells(page(table(row("fast")), obstacles={("t.toml", "fast"): "needs TensorRT"}), "fast")
    stated = cells(page(table(row("fast", unsupported="needs TensorRT"))), "fast")
    assert found["built"] == stated["built"] == "noneeds TensorRT"
    assert "held" not in found["published"] + stated["published"]


def test_recorded_tables_are_what_was_measured_of_the_documented_one():
    one = recorded(row("fast", 1.2812, latency_s=1.5, spread=spread(1.27, 1.29)))
    two = recorded(row("fast", 1.4), device="NVIDIA L40S")
    parsed = Page(source := page(table(row("fast", 1.5)), one, two))
    assert parsed.values("id", "tbody") == ["t/base", "t/fast"]
    assert cells(source, "fast")["measured"] == (
        "x1.28 [1.27, 1.29], 1.5 sNVIDIA H200, random weights, 2026-11-23, torch 2.13.0x1.40NVIDIA L40S, random weights, 2026-11-23, torch 2.13.0"
    )
    assert cells(source, "fast")["published"].startswith("x1.50")


def test_a_figure_that_was_recorded_of_a_row_no_longer_there_is_not_lost():
    source = page(table(row("fast")), recorded(row("gone", 1.75)))
    assert "Recorded, and no row of this table: gone, x1.75 (NVIDIA H200" in words(source)


def test_a_recorded_table_without_a_documented_one_publishes_nothing():
    one, two = recorded(row("fast", 1.3)), recorded(row("fast", 1.4), device="NVIDIA L40S")
    shown = Page(page(one, two))
    anchors, found, _ = zip(*(one for one in listed(shown) if one[0].endswith("/fast")), strict=True)
    assert anchors == ("t/fast", "t-2/fast")
    assert [one[1].startswith("nothing") for one in found] == [True, True]
    assert [one[4][:5] for one in found] == ["x1.30", "x1.40"]


def test_a_users_own_table_comes_first_with_its_file():
    source = page(table(name="built"), table(row("fast"), name="mine"), own=("mine.toml",))
    assert Page(source).values("id", "tbody") == ["mine/base", "mine/fast", "built/base"]
    assert "Read from mine.toml" in words(source)
    assert "Read from built.toml" not in words(source)


# Contradictions


def test_a_planted_contradiction_is_shown_as_not_acknowledged_at_its_row_and_above_all_tables():
    source = page(table(row("fast")), contradictions=(contradiction(others=("t/base",)),))
    shown = cells(source, "fast")
    assert "Contradiction, not acknowledged (speedup): 6 s over 2 s is x3, not x4 Beside: t/base." in " ".join(shown["more"].split())
    assert "Contradictions that no file acknowledges t/fast (speedup): 6 s over 2 s is x3, not x4" in words(source)
    assert Page(source).values("data-state") == ["known", "open"]
    assert "1 contradiction 1 of them not acknowledged" in words(source)


def test_one_that_its_file_acknowledges_shows_the_reason_once():
    known = contradiction(acknowledged="the latency is a misprint of 1.5 s")
    noted = row("fast", notes="speedup: the latency is a misprint of 1.5 s\nMeasured twice.")
    source = page(table(noted), contradictions=(known,))
    more = cells(source, "fast")["more"]
    assert "Contradiction, acknowledged" in more
    assert more.count("the latency is a misprint of 1.5 s") == 1
    assert "Measured twice." in more
    assert "no file acknowledges" not in words(source)
    assert Page(source).values("data-state") == ["known"]


def test_one_about_a_whole_table_stands_at_the_table():
    source = page(table(row("fast")), contradictions=(contradiction(setup="", message="all of it is per step"),))
    assert words(source).count("all of it is per step") == 2
    assert cells(source, "fast")["more"] == ""


def test_a_row_that_a_contradiction_of_a_whole_table_names_leads_to_that_table():
    wide = contradiction(setup="", others=("u/slow",))
    source = page(table(), table(row("slow"), name="u"), contradictions=(wide,))
    assert "of t." in " ".join(cells(source, "slow")["more"].split())
    assert Page(source).values("href").count("#t") == 4


def test_a_row_that_anothers_contradiction_names_says_so():
    other = contradiction(setup="slow", rule="two-figures", table="u", path="u.toml", others=("t/fast",))
    source = page(table(row("fast")), table(row("slow"), name="u"), contradictions=(other,))
    assert "Named by a contradiction (two-figures) of u/slow." in cells(source, "fast")["more"]
    assert "#u/slow" in Page(source).values("href")


def test_a_contradiction_of_another_file_of_the_same_name_is_not_taken_for_this_ones():
    entries = join_entries((table(row("fast")),), Findings(contradictions=(contradiction(path="copy/t.toml"),)))
    assert [found for entry in entries for one in entry.rows for found in one.contradictions] == []


def test_the_same_tables_make_the_same_page():
    tables = load_tables()
    assert page(*tables) == page(*tables)


def test_a_page_of_many_rows_stays_small():
    rows = tuple(row(f"fast_{number}", latency_s=1.0) for number in range(400))
    size = len(page(table(*rows)).encode())
    assert size < 400 * 600
    assert not re.search(r"\n\s*\n\s*\n", page(table(*rows[:3])))
