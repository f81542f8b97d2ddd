"""Where people look: the report, the step summary, JUnit, pytest-html, the stored pictures, all made by real runs on a fake clock."""

import json
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.history.stored_run import read_latest_run
from pytest_sdspeed.store.benchmark import Storing

pytestmark = pytest.mark.slow

PICTURES = """
@pytest.mark.sd_latency(speedup=1.5, image={{"psnr": 30}})
def test_engine(sd_latency):
    sd_latency(engine(1.0, {candidate}), baseline=engine(1.5, picture()))
"""
GOOD, WRONG = PICTURES.format(candidate="picture()"), PICTURES.format(candidate="picture(1)")


def test_pictures_are_stored_beside_the_run_and_make_the_same_page(gated, pytester):
    gated(WRONG, "--benchmark-autosave", "--benchmark-json=own/out.json", "--sd-report=live.html").assert_outcomes(failed=1)
    run, _ = read_latest_run(load_from([Folder(pytester.path / ".benchmarks")]).files)
    (exhibit,) = run.results[0].exhibits
    assert set(exhibit.pictures) == {"baseline", "candidate"}
    (stored,) = json.loads((pytester.path / "own" / "out.json").read_text())["benchmarks"][0]["extra_info"]["sdspeed"]["pictures"]
    assert all((pytester.path / "own" / file["path"]).is_file() for file in stored["files"].values())
    assert run.facts["command"].startswith("pytest -p ")
    assert run.facts["command"].endswith("--sd-report=live.html")
    assert main(["report", ".benchmarks", "again.html"]) == 0
    live, later = ((pytester.path / name).read_text(encoding="utf-8") for name in ("live.html", "again.html"))
    assert live.count("data:image/") == later.count("data:image/") > 0
    for page in (live, later):
        assert "is under 30" in page


def test_a_run_that_is_not_saved_writes_no_pictures(gated, pytester):
    gated(GOOD).assert_outcomes(passed=1)
    assert not list(pytester.path.rglob("sdspeed-pictures"))


@pytest.mark.parametrize("workers", [[], ["--benchmark-storage=file://kept"]])
def test_a_storage_of_ones_own_has_the_pictures_too(gated, pytester, workers):
    gated(GOOD, "--benchmark-save=x", *workers).assert_outcomes(passed=1)
    (folder,) = pytester.path.rglob("sdspeed-pictures")
    assert list(folder.parent.glob("0001_x.json"))


def test_pictures_that_cannot_be_stored_cost_no_figure(gated, pytester):
    (pytester.path / "own").mkdir()
    (pytester.path / "own" / "sdspeed-pictures").write_text("in the way")
    found = gated(WRONG, "--benchmark-json=own/out.json", "--sd-report=out.html")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["sd pictures: not stored in *own: *", "sd report: out.html"])
    assert json.loads((pytester.path / "own" / "out.json").read_text())["benchmarks"]


def test_a_report_needs_no_pytest_benchmark_where_nothing_is_gated(gated, pytester):
    gated("def test_other(): pass", "--sd-report=out.html", "-p", "no:benchmark").assert_outcomes(passed=1)
    assert "No campaign was measured" in (pytester.path / "out.html").read_text(encoding="utf-8")


def test_a_picture_that_is_not_finite_is_shown_in_magenta(gated, pytester):
    source = "import numpy as np\nWRONG = picture(); WRONG[0, 0, 0] = np.inf\n" + PICTURES.format(candidate="WRONG")
    found = gated(source, "-W", "error", "--benchmark-json=out.json")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*not finite: 3 of *"])
    (benchmark,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    path = benchmark["extra_info"]["sdspeed"]["pictures"][0]["files"]["candidate"]["path"]
    assert Image.open(pytester.path / path).getpixel((0, 0)) == (255, 0, 255)


def test_credentials_of_a_storage_are_not_kept():
    storing = Storing(None, "pytest --benchmark-storage=elasticsearch+https://me:secret@host/x", ())
    assert storing._command == "pytest --benchmark-storage=elasticsearch+https://***@host/x"


def test_the_step_summary_is_appended_to(gated, pytester, monkeypatch):
    target = pytester.path / "summary.md"
    target.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    gated(WRONG).assert_outcomes(failed=1)
    said = target.read_text(encoding="utf-8")
    assert said.startswith("before\n")
    assert "| candidate of test" in said
    assert "fail" in said


def test_a_summary_that_cannot_be_written_says_so_and_spoils_nothing(gated, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "no" / "summary.md"))
    found = gated(GOOD, "--sd-report=out.html")
    found.assert_outcomes(passed=1)
    found.stdout.fnmatch_lines(["sd report: out.html", "sd summary: *could not be written: No such file*"])
    assert found.ret == 0


def test_without_a_gate_nothing_is_summarized(gated, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    gated("def test_other(): pass").assert_outcomes(passed=1)
    assert not (pytester.path / "summary.md").exists()


def test_a_report_of_a_run_without_campaigns_says_so(gated, pytester):
    gated("def test_other(): pass", "--sd-report=out.html").assert_outcomes(passed=1)
    assert "No campaign was measured" in (pytester.path / "out.html").read_text(encoding="utf-8")


def test_junit_has_the_figures_as_properties(gated, pytester):
    gated(WRONG, "--junit-xml=junit.xml").assert_outcomes(failed=1)
    tree = ET.parse(pytester.path / "junit.xml")
    found = {entry.get("name"): entry.get("value") for entry in tree.iter("property")}
    assert found["sdspeed_verdict"] == "fail"
    assert found["sdspeed_image_verdict"] == "fail"
    assert float(found["sdspeed_low"]) < float(found["sdspeed_speedup"]) < float(found["sdspeed_high"])
    assert float(found["sdspeed_image_psnr"]) < 30
    assert float(found["sdspeed_floor"]) == pytest.approx(1.425)


def test_pytest_html_shows_the_row_and_the_pictures(gated, pytester):
    pytest.importorskip("pytest_html")
    gated(WRONG, "--html=tests.html", "--self-contained-html", autoload=True).assert_outcomes(failed=1)
    page = (pytester.path / "tests.html").read_text(encoding="utf-8")
    assert "sd speed-ups: callables" in page
    for role in ("baseline", "candidate", "error map"):
        assert role in page
    assert page.count("image/png") >= 3


@pytest.mark.parametrize("path", ["no/out.html", ".", "/proc/nothing.html"])
def test_a_report_that_cannot_be_written_is_a_usage_error_before_measuring(gated, fake_time, path):
    found = gated(GOOD, f"--sd-report={path}")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert fake_time.seconds == 0
    found.stderr.fnmatch_lines([f"*--sd-report={path}: *"])


def test_finding_out_whether_a_file_can_be_written_changes_none(gated, pytester):
    (pytester.path / "there.html").write_text("mine")
    found = gated(
        "@pytest.mark.sd_latency(nonsense=1)\ndef test_engine(sd_latency): pass", "--sd-report=there.html", "--sd-record=new.toml"
    )
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert (pytester.path / "there.html").read_text() == "mine"
    assert not (pytester.path / "new.toml").exists()


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        ("picture()[:, :, :, [0, 2, 1]]", "PSNR"),
        ("1 - picture()", "PSNR"),
        ("np.roll(picture(), 2, axis=1)", "PSNR"),
        ("picture() * 0", "black"),
        ("picture() * np.nan", "not finite"),
    ],
)
def test_a_planted_picture_fault_is_caught_and_seen(gated, pytester, pictures, reason):
    found = gated(PICTURES.format(candidate=pictures), "--sd-report=out.html", "--benchmark-json=out.json")
    found.assert_outcomes(failed=1)
    page = (pytester.path / "out.html").read_text(encoding="utf-8")
    assert reason in page
    (exhibit,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"][0]["extra_info"]["sdspeed"]["pictures"]
    assert set(exhibit["files"]) == {"baseline", "candidate"}
