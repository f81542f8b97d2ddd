"""The report's page as a reader meets it: in a browser, at two widths, in the light and in the dark, by keyboard and by screen reader."""

from __future__ import annotations

import base64
import math

import pytest
from fakes import baseline_result, exhibit, png, result

browser = pytest.importorskip("browser", reason="playwright and axe-playwright-python are not installed: pip install --group test")

from report_cost import documented, results  # noqa: E402

from pytest_sdspeed.report.page.html import render_page  # noqa: E402
from pytest_sdspeed.report.page.thumbnails import make_thumbnails  # noqa: E402
from pytest_sdspeed.store.records import to_json  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")]

HOSTILE = "<script>document.title = 'owned'; console.error('owned')</script>"
SETTINGS = [(size, scheme) for size in browser.SIZES for scheme in browser.SCHEMES]


def measured():
    """Two documented tables, and a third campaign in which everything that can be wrong is wrong."""
    tables = [table for table in documented() if table.name in ("inference", "distillation")]
    shots = [exhibit(seed, prompt=HOSTILE, reference=png(70 + seed, 32), index=1) for seed in (0, 1)]
    shots.append(exhibit(0, prompt=HOSTILE, candidate=png(10), control=True))
    hostile = {"table": f"t{HOSTILE}", "device": HOSTILE, "documented_on": None, "weights": None}
    wrong = result(HOSTILE, verdict="fail", image_verdict="powerless", reasons=(HOSTILE,), notes=(HOSTILE,), exhibits=shots, **hostile)
    broken = result("nothing_finite", verdict="invalid", speedup=math.nan, low=math.nan, high=math.nan, **hostile)
    return [*results(tables, 64), baseline_result(table="t"), wrong, broken]


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def rows():
    return measured()


@pytest.fixture(scope="module")
def source(rows):
    return render_page(rows, {HOSTILE: HOSTILE, "host": "a name that is long enough to be wrapped somewhere on a narrow screen " * 3})


@pytest.fixture(scope="module")
def path(source, tmp_path_factory):
    written = tmp_path_factory.mktemp("report") / "report.html"
    written.write_text(source, encoding="utf-8")
    return written


@pytest.fixture
def planted(tmp_path, chromium):
    with browser.planting(chromium, tmp_path) as plant:
        yield plant


# The page is sound


@pytest.mark.parametrize(("size", "scheme"), SETTINGS)
def test_the_page_opens_without_errors_requests_or_barriers(chromium, path, size, scheme):
    with browser.visit(chromium, path, size, scheme) as visited:
        assert browser.broken_pictures(visited) == []
        assert visited.page.locator("img").count() > 20
        assert browser.overflow(visited) <= 0
        assert browser.barriers(visited) == []
        assert browser.strange_requests(visited, path) == []
        assert visited.errors == []


@pytest.mark.parametrize("size", browser.SIZES)
def test_an_enlarged_picture_has_no_barriers_either(chromium, path, size):
    with browser.visit(chromium, path, size) as visited:
        visited.page.locator("button.picture").first.click()
        assert browser.barriers(visited) == []
        assert browser.overflow(visited) <= 0


def test_the_rows_are_those_of_the_record(chromium, path, rows):
    records = [to_json(one) for one in rows]
    told = [(one["table"], one["setup"], one["verdict"], "" if one["speedup"] is None else repr(one["speedup"])) for one in records]
    with browser.visit(chromium, path) as visited:
        assert sorted(browser.told_rows(visited), key=str) == sorted(told, key=str)
        shown = [(one["setup"], "-" if one["setup"] == one["baseline"] else one["verdict"]) for one in records]
        assert sorted(browser.shown_verdicts(visited)) == sorted(shown)


def test_what_users_wrote_is_text(chromium, path):
    with browser.visit(chromium, path) as visited:
        shown = visited.page.locator("body").inner_text()
        assert "owned" not in visited.page.title()
        assert visited.page.locator("script").count() == 1
        # Prompt, setup, reason, device, fact: each in its place.
        for place in (".case q", "tbody th", ".attention", "thead", ".machine dt"):
            assert HOSTILE in visited.page.locator(place, has_text="owned").first.inner_text()
        assert shown.count(HOSTILE) > 8


@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_keyboard_enlarges_every_picture(chromium, path, place):
    with browser.visit(chromium, path) as visited:
        assert browser.keyboard_faults(visited, place) == []


def test_arrows_step_through_the_pictures_of_a_case(chromium, path):
    with browser.visit(chromium, path) as visited:
        pictures = visited.page.locator("[data-case]").first.locator("button.picture")
        alts = [picture.locator("img").get_attribute("alt") for picture in pictures.all()]
        pictures.first.click()
        seen = [visited.page.locator("dialog .what").text_content()]
        for _ in alts:
            visited.page.keyboard.press("ArrowRight")
            seen.append(visited.page.locator("dialog .what").text_content())
        assert seen == [*alts, alts[0]]
        visited.page.keyboard.press("ArrowLeft")
        assert visited.page.locator("dialog .what").text_content() == alts[-1]
        visited.page.keyboard.press("Escape")
        assert pictures.last.evaluate("button => button === document.activeElement")


def test_small_pictures_are_enlarged_pixel_by_pixel(chromium, path):
    with browser.visit(chromium, path) as visited:
        visited.page.locator("button.picture").first.click()
        assert visited.page.locator("dialog img").evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"


def test_the_first_tab_leads_past_the_header(chromium, path):
    with browser.visit(chromium, path) as visited:
        visited.page.keyboard.press("Tab")
        visited.page.keyboard.press("Enter")
        assert visited.page.evaluate("document.activeElement.id") == "content"


def test_plots_follow_the_color_scheme(chromium, path):
    inks = []
    for scheme in browser.SCHEMES:
        with browser.visit(chromium, path, scheme=scheme) as visited:
            inks.append(visited.page.locator("svg text").first.evaluate("text => getComputedStyle(text).fill"))
    assert len(set(inks)) == 2


def test_print_shows_no_controls_and_is_light(chromium, path):
    with browser.visit(chromium, path, scheme="dark") as visited:
        visited.page.emulate_media(media="print", color_scheme="dark")
        assert not visited.page.locator("nav").is_visible()
        assert visited.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_compressed_pictures_load_too(chromium, tmp_path, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.report.page.html.make_thumbnails", lambda pictures: make_thumbnails(pictures, 60_000))
    (table,) = (table for table in documented() if table.name == "distillation")
    small = render_page(results([table], 128))
    assert small.count("data:image/jpeg") > 3
    (tmp_path / "report.html").write_text(small, encoding="utf-8")
    with browser.visit(chromium, tmp_path / "report.html") as visited:
        assert browser.broken_pictures(visited) == []
        assert visited.errors == []


def test_a_run_without_campaigns_is_a_sound_page(chromium, tmp_path):
    (tmp_path / "report.html").write_text(render_page([]), encoding="utf-8")
    with browser.visit(chromium, tmp_path / "report.html", "phone") as visited:
        assert (browser.barriers(visited), visited.errors, browser.overflow(visited)) == ([], [], 0)
        assert "No campaign was measured in this run." in visited.page.locator("main").inner_text()


# The checks can fail


def test_a_planted_error_is_seen(planted, source):
    visited, _ = planted(browser.without_policy(source), "</body>", "<script>console.error('planted')</script></body>")
    assert visited.errors == ["planted"]
    visited, _ = planted(browser.without_policy(source), "</body>", "<script>throw new Error('planted')</script></body>")
    assert "planted" in visited.errors[0]


def test_a_planted_request_is_seen_and_the_policy_refuses_it(planted, source):
    picture = '<img src="http://127.0.0.1:9/planted.png" alt="planted"></body>'
    visited, spoiled = planted(browser.without_policy(source), "</body>", picture)
    assert browser.strange_requests(visited, spoiled) == ["http://127.0.0.1:9/planted.png"]
    visited, _ = planted(source, "</body>", picture)
    assert "Content Security Policy" in visited.errors[0]


def test_a_planted_script_is_refused_by_the_policy(planted, source):
    visited, _ = planted(source, "</body>", "<script>document.title = 'owned'</script></body>")
    assert "Content Security Policy" in visited.errors[0]
    assert visited.page.title() != "owned"


def test_a_missing_description_is_seen(planted, source):
    visited, _ = planted(source, 'alt="baseline: baseline, seed 0"', "")
    assert "image-alt" in [rule for rule, _ in browser.barriers(visited)] or "button-name" in [
        rule for rule, _ in browser.barriers(visited)
    ]


def test_faint_text_is_seen(planted, source):
    visited, _ = planted(source, "--muted: #565d68", "--muted: #c5c9d0")
    assert "color-contrast" in [rule for rule, _ in browser.barriers(visited)]


def test_a_broken_picture_is_seen(planted, source):
    start = source.index("data:image/png;base64,") + len("data:image/png;base64,")
    visited, _ = planted(source, source[start : start + 40], base64.b64encode(b"no picture at all, none here").decode())
    assert browser.broken_pictures(visited)


def test_a_wide_element_is_seen(planted, source):
    visited, _ = planted(source, "</main>", '<div style="width: 500px">wide</div></main>')
    assert browser.overflow(visited) == 500 + 16 - 390


def test_a_changed_verdict_is_seen(planted, source, rows):
    visited, _ = planted(source, 'data-verdict="invalid"', 'data-verdict="pass"')
    assert sorted(verdict for _, _, verdict, _ in browser.told_rows(visited)) != sorted(to_json(one)["verdict"] for one in rows)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("dialog.showModal();", "", "Enter does not open the picture"),
        ("() => shown.focus()", '() => document.querySelector("a").focus()', "the focus does not return"),
        (".textContent = image.alt;", '.textContent = "";', "the enlarged picture does not say what it is"),
    ],
)
def test_a_planted_keyboard_fault_is_seen(planted, source, old, new, fault):
    visited, _ = planted(browser.without_policy(source), old, new)
    assert fault in browser.keyboard_faults(visited)
