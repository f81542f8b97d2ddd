"""The atlas as a reader meets it: searched by keyboard, on a phone, in the dark, without a network and without JavaScript."""

from __future__ import annotations

import pytest
from atlases import contradiction, hostile_table, recorded, row, spread, table

browser = pytest.importorskip("browser", reason="playwright and axe-playwright-python are not installed: pip install --group test")

from pytest_sdspeed.model import Claim  # noqa: E402
from pytest_sdspeed.model.limits import Limit  # noqa: E402
from pytest_sdspeed.report.atlas.entries import Findings, join_entries  # noqa: E402
from pytest_sdspeed.report.atlas.render import render_atlas  # noqa: E402
from pytest_sdspeed.tables import load_tables  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")]

HOSTILE = "<script>document.title = 'owned'; console.error('owned')</script>"
LONG = "a_setup_with_a_name_that_is_longer_than_a_narrow_phone_is_wide_and_that_has_no_place_to_break"


@pytest.fixture(scope="module")
def entries():
    """Two built-in tables, a user's own, and one in which everything is hostile, with all that can be known."""
    mine = table(
        row("mine_fast", 1.5, latency_s=4.0, optimizations=("quantum_tunnelling",)),
        row("mine_engine", 2, unsupported="needs TensorRT, another engine", notes="speedup: the printed ratio is of FLOPs"),
        row(LONG, 1.1, notes="x" * 300),
        name="mine",
        notes=("The zebra is in this note alone.",),
        claims=(Claim(text="Ours is faster.", kind="faster", rows=("mine_fast", "base")),),
    )
    found = (
        contradiction("mine_fast", "6 s over 2 s is x3, not x4", table="mine", path="mine.toml", others=("mine/base", "t/fast")),
        contradiction("mine_engine", "x2 is printed", table="mine", path="mine.toml", acknowledged="the printed ratio is of FLOPs"),
        contradiction("fast", HOSTILE, path=HOSTILE),
    )
    measured = recorded(row("mine_fast", 1.4, spread=spread(1.3, 1.5)), name="mine")
    some = [one for one in load_tables() if one.name in ("inference", "legacy")]
    tables = (*some, mine, measured, hostile_table(HOSTILE))
    limits = {("mine.toml", "mine_fast"): Limit(device="NVIDIA A100 80GB", certain_s=0.8)}
    unknown = {("mine.toml", "mine_fast"): "no built-in optimization is called 'quantum_tunnelling'"}
    return join_entries(tables, Findings(obstacles=unknown, limits=limits, contradictions=found, own={"mine.toml"}))


@pytest.fixture(scope="module")
def path(entries, tmp_path_factory):
    written = tmp_path_factory.mktemp("atlas") / "atlas.html"
    written.write_text(render_atlas(entries), encoding="utf-8")
    return written


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(chromium, path):
    """The page, opened once for all tests of a desktop; each leaves it without a search."""
    with browser.visit(chromium, path) as visited:
        yield visited


@pytest.fixture
def visited(opened):
    opened.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    yield opened
    opened.page.keyboard.press("Escape")


def shown(visited):
    """The anchors of the rows that are visible."""
    read = "rows => rows.filter(r => r.checkVisibility()).map(r => r.id)"
    return visited.page.eval_on_selector_all("tbody", read)


def every(entries):
    return [f"{entry.anchor}/{one.row.setup}" for entry in entries for one in entry.rows]


def count(visited):
    return visited.page.locator("#count").text_content()


def focused(visited):
    return visited.page.evaluate("document.activeElement.id || document.activeElement.getAttribute('href')")


def faults(visited, path):
    # What is out of sight is not laid out otherwise, and what is not laid out overflows nothing.
    visited.page.add_style_tag(content=".table { content-visibility: visible !important }")
    return [
        *browser.barriers(visited),
        *browser.strange_requests(visited, path),
        *visited.errors,
        *["wider than its window"] * (browser.overflow(visited) > 0),
    ]


# The page is sound


def test_it_opens_in_the_light_without_requests_errors_or_barriers(visited, path, entries):
    assert faults(visited, path) == []
    assert shown(visited) == every(entries)
    assert visited.page.title() == "Atlas of published speed-ups - pytest-sdspeed"


def test_what_users_wrote_is_text(visited):
    assert "owned" not in visited.page.title()
    assert visited.page.locator("script").count() == 1
    assert visited.page.locator("body").text_content().count(HOSTILE) > 8


def test_planted_faults_of_a_page_are_seen(chromium, path, tmp_path):
    """The checks of this file pass no page whose colors are faint, that asks for a picture, or that is too wide."""
    planted = "<style>small { color: #ddd } table { min-width: 3000px }</style><img alt=x src=http://127.0.0.1:9/x.png></body>"
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(path.read_text(encoding="utf-8").replace("</body>", planted), encoding="utf-8")
    page = chromium.context.browser.new_page()
    with browser.visit(page, spoiled) as visited:
        seen = str(faults(visited, spoiled))
    page.close()
    assert [one for one in ("color-contrast", "wider than its window", "Content Security Policy", "x.png") if one not in seen] == []


# Search, by keyboard alone


def test_a_search_narrows_counts_and_is_cleared_by_keyboard(visited, entries):
    keyboard = visited.page.keyboard
    total = len(every(entries))
    assert count(visited) == f"{total} rows in {len(entries)} tables"
    keyboard.press("/")
    assert focused(visited) == "words"
    keyboard.type("QUANTUM mine_fast")
    assert shown(visited) == ["mine/mine_fast"]
    assert count(visited) == f"1 of {total} rows in 1 table"
    # What was found stands right below the search, within the first screen, and is the next stop after the filters.
    box = visited.page.locator("tbody:visible").bounding_box()
    assert box["y"] + box["height"] < visited.page.viewport_size["height"]
    for _ in range(5):
        keyboard.press("Tab")
    assert focused(visited) == "#mine"
    keyboard.press("Escape")
    assert visited.page.locator("nav").is_visible()
    assert visited.page.locator("#words").input_value() == ""
    assert shown(visited) == every(entries)
    assert count(visited) == f"{total} rows in {len(entries)} tables"


def test_the_count_is_announced(visited):
    status = visited.page.locator("#count")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")


def test_a_slash_in_the_field_is_a_letter(visited):
    keyboard = visited.page.keyboard
    keyboard.press("/")
    keyboard.type("a/b")
    assert visited.page.locator("#words").input_value() == "a/b"


def test_words_are_found_in_a_row_and_in_the_head_of_its_table(visited, entries):
    keyboard = visited.page.keyboard
    keyboard.press("/")
    keyboard.type("titan xformers")
    assert shown(visited) == ["legacy/memory_efficient_attention"]
    keyboard.press("Escape")
    keyboard.press("/")
    keyboard.type("no such words")
    assert shown(visited) == []
    assert count(visited) == f"0 of {len(every(entries))} rows in 0 tables"


def test_a_word_of_a_note_alone_shows_the_note_without_rows(visited):
    keyboard = visited.page.keyboard
    keyboard.press("/")
    keyboard.type("zebra")
    assert shown(visited) == []
    assert count(visited).endswith("rows in 0 tables; 1 more table in notes or claims")
    assert visited.page.locator("#mine .notes li").is_visible()
    keyboard.press("Escape")
    assert not visited.page.locator("#mine .notes li").is_visible()


def test_tab_leads_from_the_skip_link_to_the_search_the_filters_and_the_tables(visited):
    # What another test has searched for may have closed the list of tables.
    visited.page.evaluate("document.querySelector('nav details').open = true")
    visited.page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    order = []
    for _ in range(9):
        visited.page.keyboard.press("Tab")
        order.append(focused(visited))
    assert order[0] == "#content"
    assert order[2:7] == ["words", "device", "model", "built", "state"]
    # The list of tables opens and closes; its links are next.
    assert order[8] == "#mine"


def test_filters_narrow_by_keyboard_and_join_the_search(visited, entries):
    keyboard = visited.page.keyboard
    visited.page.locator("#built").focus()
    keyboard.type("no")
    assert shown(visited) == ["mine/mine_fast", "mine/mine_engine", "t/fast"]
    visited.page.locator("#state").focus()
    keyboard.type("not")
    assert shown(visited) == ["mine/mine_fast", "t/fast"]
    keyboard.press("/")
    keyboard.type("tunnelling")
    assert shown(visited) == ["mine/mine_fast"]
    keyboard.press("Escape")
    assert shown(visited) == every(entries)


def test_devices_and_models_are_filters(visited, entries):
    page = visited.page
    page.locator("#device").select_option(label="NVIDIA TITAN RTX")
    assert {one.partition("/")[0] for one in shown(visited)} == {"legacy"}
    page.keyboard.press("Escape")
    page.locator("#model").select_option(label="org/model")
    assert {one.partition("/")[0] for one in shown(visited)} == {"mine", "t"}
    page.locator("#state").select_option("any")
    assert "mine/mine_engine" in shown(visited)
    assert f"mine/{LONG}" not in shown(visited)


def test_a_link_to_a_row_that_the_search_hides_shows_it(visited, entries):
    page = visited.page
    page.keyboard.press("/")
    page.keyboard.type("tunnelling")
    page.evaluate("location.hash = '#inference/fp16'")
    page.wait_for_function("document.querySelector('tbody:target').checkVisibility()")
    assert shown(visited) == every(entries)
    page.wait_for_function("Math.abs(document.querySelector('tbody:target').getBoundingClientRect().top) < 5")
    page.evaluate("location.hash = ''")


def test_all_built_in_tables_are_searched_at_once(chromium, tmp_path):
    whole = tmp_path / "whole.html"
    tables = join_entries(load_tables(), Findings())
    whole.write_text(render_atlas(tables), encoding="utf-8")
    page = chromium.context.browser.new_page()
    with browser.visit(page, whole) as visited:
        assert shown(visited) == every(tables)
        took = page.evaluate("""() => {
            const field = document.getElementById("words");
            const before = performance.now();
            for (const words of ["c", "co", "compile", "compile a100", ""]) {
                field.value = words;
                field.dispatchEvent(new Event("input", {bubbles: true}));
            }
            return (performance.now() - before) / 5;
        }""")
        assert took < 500
    page.close()


# Other ways to read it


def test_on_a_phone_in_the_dark_nothing_is_cut_off(chromium, path, entries):
    page = chromium.context.browser.new_page()
    with browser.visit(page, path, "phone", "dark") as visited:
        assert faults(visited, path) == []
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 24)"
        page.set_viewport_size({"width": 320, "height": 640})
        assert browser.overflow(visited) <= 0
        assert shown(visited) == every(entries)
        label = "getComputedStyle(document.getElementById('mine/mine_fast').querySelectorAll('td')[3], '::before').content"
        assert page.evaluate(label) == '"measured "'
    page.close()


def test_in_print_all_of_it_is_there_without_the_search(visited):
    page = visited.page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert not page.locator("form").is_visible()
    assert page.locator("#mine .notes li").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = false; })")


def test_without_javascript_all_of_it_can_be_read(chromium, path, entries):
    context = chromium.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert not page.locator("form").is_visible()
    assert page.locator("tbody").count() == len(every(entries))
    read = "parts => parts.filter(p => !p.checkVisibility()).map(p => p.outerHTML)"
    assert page.eval_on_selector_all("section, tbody, .notes li, .claims li", read) == []
    context.close()
