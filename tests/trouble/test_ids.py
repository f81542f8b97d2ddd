"""Where there is no table, the test's id tells the campaigns apart, wherever a reader meets them."""

import json
import re
from types import SimpleNamespace

import pytest
from fakes import result

from pytest_sdspeed.history.stored_run import read_run
from pytest_sdspeed.model import Interval
from pytest_sdspeed.plugin.progress import shorten
from pytest_sdspeed.report import text

SIZES = """
def of_size(size, seconds):
    def generate():
        return engine(seconds)()
    return generate

@pytest.mark.parametrize("size", [512, 768, 1024])
@pytest.mark.sd_latency(speedup=1.5)
def test_size(sd_latency, size):
    sd_latency(of_size(size, 1.5 if size == 768 else 1.0), baseline=of_size(size, 1.5))
"""
ID = "test_sizes.py::test_size[{}]"
IDS = [ID.format(size) for size in (512, 768, 1024)]


WATCHED = """
            from contextlib import contextmanager
            import pytest_sdspeed.plugin.progress as progress

            def make_watcher(_config):
                @contextmanager
                def watch(campaign):
                    with open("campaigns.txt", "a") as file:
                        print(campaign, file=file)
                    yield lambda _progress: None
                return watch

            @pytest.fixture(autouse=True, scope="session")
            def _watched(request):
                from pytest_sdspeed.plugin.state import run_of
                run_of(request.config).campaigns._watcher = make_watcher(request.config)
"""


@pytest.fixture
def sizes(gated, pytester, monkeypatch, once):
    """Two runs of three sizes of one engine, of which the middle one is too slow: what each says and writes, and what the file is called."""

    def run():
        step, page = pytester.path / "step.md", pytester.path / "report.html"
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
        arguments = ("--sd-report=report.html", "--benchmark-autosave")
        first = gated(SIZES, *arguments, "--benchmark-json=out.json")
        (name,) = (file.name for file in pytester.path.glob("test_*.py"))
        told = SimpleNamespace(name=name, ids=[one.replace("test_sizes.py", name) for one in IDS], first=first)
        told.step, told.page, told.stored = step.read_text(), shown(page.read_text()), json.loads((pytester.path / "out.json").read_text())
        told.results = [one.name for one in read_run(pytester.path / "out.json").results]
        told.second = gated(SIZES, *arguments, conftest=WATCHED)
        told.second_page = shown(page.read_text())
        told.campaigns = (pytester.path / "campaigns.txt").read_text().splitlines()
        return told

    return once("sizes", run)


def shown(page):
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)


def test_three_sizes_are_told_apart_in_every_table_and_message(sizes):
    sizes.first.assert_outcomes(passed=2, failed=1)
    for one in sizes.ids:
        verdict = "fail" if one == sizes.ids[1] else "pass"
        assert re.search(f"^candidate of {re.escape(one)} .* {verdict}$", sizes.first.stdout.str(), re.MULTILINE)
        assert one.replace("_", "\\_").replace("[", "\\[").replace("]", "\\]") in sizes.step
        assert one in sizes.page
    slow = sizes.ids[1]
    assert f"{slow}: candidate on " in sizes.first.stdout.str()
    attention = next(line for line in sizes.step.splitlines() if ": candidate on " in line)
    assert "768" in attention


def test_each_size_has_its_own_history_and_its_line(sizes):
    lines = [line for line in sizes.second.stdout.lines if line.startswith("history: ")]
    assert lines == [f"history: candidate of {one}: 2 runs: too few to judge" for one in sizes.ids]


def test_the_histories_stand_beside_their_campaigns_with_their_own_floors(sizes):
    headings = re.findall(r"<h4 [^>]*>(.*?) <span", sizes.second_page)
    assert headings == [f"candidate of {one}" for one in sizes.ids]


def test_a_stored_run_is_read_with_the_ids_of_its_benchmarks(sizes):
    names = [bench["fullname"] for bench in sizes.stored["benchmarks"]]
    assert len(names) == 3
    assert sizes.results == [f"candidate of {name}" for name in names]


def test_the_progress_of_a_campaign_of_callables_has_the_id_of_its_test(sizes):
    assert sizes.campaigns == sizes.ids


def test_tests_whose_figures_are_equal_have_a_table_each():
    same = {"table": None, "documented_on": None, "recipe": None, "control": Interval(1.0, 1.0, 1.0)}
    groups = text.group_by_campaign([result("candidate", test=one, **same) for one in IDS])
    assert [text.name_campaign(group) for group in groups] == [f"callables of {one}" for one in IDS]


def test_a_note_names_the_tests_that_it_is_about():
    one, other = (result("candidate", table=None, test=test, notes=("it is noisy",)) for test in IDS[:2])
    assert text.collect_remarks([one, other]) == [f"candidate of {IDS[0]}, candidate of {IDS[1]}: it is noisy"]
    assert text.collect_remarks([result("fp16", test=IDS[0], notes=("it is noisy",))]) == ["fp16: it is noisy"]


def test_a_long_id_leaves_room_for_the_progress_and_keeps_its_end():
    assert shorten("inference", 40) == "inference"
    assert shorten(f"a/long/folder/{ID.format(768)}", 20) == "...y::test_size[768]"
    assert len(shorten("x" * 100, 40)) == 40
