"""Histories as a reader meets them: in a browser, at two widths, in the light and in the dark, without scripts."""

from __future__ import annotations

import pytest
from fakes import baseline_result, result, tf32
from histories import history, unknown

browser = pytest.importorskip("browser", reason="playwright and axe-playwright-python are not installed: pip install --group test")

from pytest_sdspeed.report.history import format_cause  # noqa: E402
from pytest_sdspeed.report.page.html import render_page  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")]

HOSTILE = "<script>document.title = 'owned'; console.error('owned')</script>"
SETTINGS = [(size, scheme) for size in browser.SIZES for scheme in browser.SCHEMES]


def histories():
    """Every kind of change, every kind of mark, gaps, an outlier, too many runs, too few, and names that are code."""
    hostile = {"name": HOSTILE, "commit": HOSTILE, "host": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    wild = {4: {"speedup": 0.7, "latency_s": 2.7, "reference": False, "verdict": "invalid"}, 5: {"host": "node9"}, 10: hostile}
    return [
        history(12, setup="baseline", kind="stack", step=0.081, since=9, runs={number: unknown() for number in (2, 3, 4)}),
        history(12, kind="code", since=7, runs=wild),
        history(12, setup="tf32", kind="machine", since=7, step=0.05),
        history(346, setup="combined"),
        history(3, setup="channels_last", table="other"),
        history(12, setup=HOSTILE, table="other", kind="improvement", since=7, step=-0.1, recipe=HOSTILE),
        history(12, setup=HOSTILE, table="other"),
    ]


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def short_tables():
    """Axe-core looks at the ink and the ground of every cell."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pytest_sdspeed.report.page.history_section.LISTED", 10)
        yield


@pytest.fixture(scope="module")
def source(short_tables):
    return render_page([baseline_result(), result(floor=1.19), tf32()], {}, histories())


@pytest.fixture(scope="module")
def path(source, tmp_path_factory):
    written = tmp_path_factory.mktemp("report") / "report.html"
    written.write_text(source, encoding="utf-8")
    return written


@pytest.fixture
def planted(tmp_path, chromium):
    with browser.planting(chromium, tmp_path) as plant:
        yield plant


def open_tables(visited):
    """Open every table of runs, as a reader would."""
    for summary in visited.page.locator("article summary").all():
        summary.click()


# The page is sound


@pytest.mark.parametrize(("size", "scheme"), SETTINGS)
def test_histories_have_no_errors_requests_or_barriers(chromium, path, size, scheme):
    with browser.visit(chromium, path, size, scheme) as visited:
        open_tables(visited)
        assert visited.page.locator("article table").filter(visible=True).count() == len(histories())
        assert browser.overflow(visited) <= 0
        assert browser.barriers(visited) == []
        assert browser.strange_requests(visited, path) == []
        assert visited.errors == []


def test_kinds_are_those_of_the_histories(chromium, path):
    told = sorted((made.setup, format_cause(made)) for made in histories())
    with browser.visit(chromium, path) as visited:
        assert sorted(browser.told_kinds(visited)) == told
        assert sorted(browser.shown_kinds(visited)) == told


def test_what_others_wrote_is_text(chromium, path):
    with browser.visit(chromium, path) as visited:
        open_tables(visited)
        assert "owned" not in visited.page.title()
        assert visited.page.locator("script").count() == 1
        # Setup, recipe, versions and host, run.
        for place in ("h4", ".reason", ".marks dd", "article tbody th"):
            assert HOSTILE in visited.page.locator(place, has_text="owned").first.inner_text()


def test_a_keyboard_opens_a_table_and_scrolls_it(chromium, path):
    with browser.visit(chromium, path, "phone") as visited:
        first = visited.page.locator("article").first
        first.locator("summary").focus()
        visited.page.keyboard.press("Enter")
        visited.page.keyboard.press("Tab")
        assert first.locator(".scroll").evaluate("box => box === document.activeElement && box.scrollWidth > box.clientWidth")


def test_plots_and_tables_need_no_script(chromium, source, tmp_path):
    """A page whose script is gone still shows what a reader came for."""
    start = source.index("<script>")
    (tmp_path / "report.html").write_text(source[:start] + source[source.index("</script>", start) + 9 :], encoding="utf-8")
    with browser.visit(chromium, tmp_path / "report.html") as visited:
        open_tables(visited)
        assert visited.page.locator("article svg").count() == len(histories())
        assert visited.page.locator("article table").first.is_visible()


def test_plots_follow_the_color_scheme(chromium, path):
    inks = []
    for scheme in browser.SCHEMES:
        with browser.visit(chromium, path, scheme=scheme) as visited:
            inks.append(visited.page.locator("article svg text").first.evaluate("text => getComputedStyle(text).fill"))
    assert len(set(inks)) == 2


def test_a_page_of_histories_alone_is_sound(chromium, tmp_path):
    (tmp_path / "report.html").write_text(render_page([], {}, histories()), encoding="utf-8")
    with browser.visit(chromium, tmp_path / "report.html", "phone") as visited:
        assert (browser.barriers(visited), visited.errors, browser.overflow(visited)) == ([], [], 0)
        assert visited.page.locator("h1").inner_text() == "4 of 7 histories changed"


# The checks can fail


def test_a_planted_kind_is_seen(planted, source):
    told = sorted((made.setup, format_cause(made)) for made in histories())
    visited, _ = planted(source, 'data-kind="code"', 'data-kind="steady"')
    assert sorted(browser.told_kinds(visited)) != told
    visited, _ = planted(source, '<span class="kind kind-code">code</span></h4>', '<span class="kind kind-code">machine</span></h4>')
    assert sorted(browser.shown_kinds(visited)) != told


def test_a_table_that_does_not_scroll_is_seen(planted, source):
    visited, _ = planted(source, 'class="scroll" role="region" aria-label="Runs of', 'role="region" aria-label="Runs of')
    assert browser.overflow(visited) <= 0
    open_tables(visited)
    assert browser.overflow(visited) > 100


def test_a_faint_kind_is_seen(planted, source):
    visited, _ = planted(source, "--kind: var(--inconclusive)", "--kind: var(--hairline)")
    assert "color-contrast" in [rule for rule, _ in browser.barriers(visited)]
