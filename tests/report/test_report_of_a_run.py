"""The report of a run over real pipelines, opened in a browser."""

import json
import math

import pytest

browser = pytest.importorskip("browser", reason="playwright and axe-playwright-python are not installed: pip install --group test")

from test_integration import EVERY_ROW, run, saved  # noqa: E402, F401 - fixtures

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")]


@pytest.fixture
def reported(run, pytester):  # noqa: F811
    """Addresses of the report, and the stored results."""
    run(EVERY_ROW, "--benchmark-json=out.json", "--sd-report=out.html").assert_outcomes(passed=4)
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return pytester.path / "out.html", [benchmark["extra_info"]["sdspeed"] for benchmark in stored]


def test_the_report_of_a_run_says_in_a_browser_what_was_stored(reported):
    path, records = reported
    with browser.chromium() as chromium:
        for size in browser.SIZES:
            for scheme in browser.SCHEMES:
                with browser.visit(chromium, path, size, scheme) as visited:
                    assert visited.errors == []
                    assert browser.strange_requests(visited, path) == []
                    assert browser.broken_pictures(visited) == []
                    assert browser.barriers(visited) == []
                    assert browser.overflow(visited) <= 0
        with browser.visit(chromium, path) as visited:
            told = {(table, setup): (verdict, float(speedup)) for table, setup, verdict, speedup in browser.told_rows(visited)}
            assert browser.keyboard_faults(visited) == []
            shown = visited.page.locator("img").count()
    assert told.keys() == {("small", record["setup"]) for record in records}
    for record in records:
        verdict, speedup = told["small", record["setup"]]
        assert verdict == record["verdict"]
        assert math.isclose(speedup, record["speedup"])
    # Two cases of a baseline, two of a row with its error map and two of a row with a reference, at least, and a negative control.
    assert shown > 12
