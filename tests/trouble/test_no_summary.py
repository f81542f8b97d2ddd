"""Files that were asked for are written, and what costs the exit status does, also in a run that prints no summary."""

import subprocess
import sys
import textwrap

import pytest
from children import WORKERS

SOURCE = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""
QUIET = pytest.mark.parametrize("quiet", [("--no-summary",), ("-p", "no:terminal")], ids=["no_summary", "no_terminal"])


@pytest.fixture
def run_quietly(pytester, fake_time):
    """Runs a test file on the fake clock; a run without a terminal knows none of the terminal's options."""

    def run(source, *arguments):
        engine = "def engine(seconds):\n    return lambda: sd_fake_time.spend(seconds)\n"
        pytester.makepyfile(f"import pytest\n\n{engine}\n{source}")
        return pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default", *arguments)

    return run


@pytest.fixture
def step_summary(pytester, monkeypatch):
    file = pytester.path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


@pytest.fixture
def before_9_2(monkeypatch):
    """A terminal without a summary leaves those of plugins out, as that of pytest 9.0 and 9.1."""
    from _pytest.terminal import TerminalReporter

    def finish(self, session, exitstatus):
        del session, exitstatus
        result = yield
        self._tw.line("")
        return result

    monkeypatch.setattr(TerminalReporter, "pytest_sessionfinish", pytest.hookimpl(wrapper=True)(finish))
    monkeypatch.setattr(pytest, "version_tuple", (9, 1, 0))


@QUIET
def test_the_report_and_the_step_summary_are_written(run_quietly, pytester, step_summary, before_9_2, quiet):
    slow = SOURCE.replace("test_engine", "test_slow").replace("engine(1.0)", "engine(1.5)")
    result = run_quietly(SOURCE + slow, "--sd-report=report.html", "--benchmark-json=out.json", *quiet)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "test_engine" in (pytester.path / "out.json").read_text()
    page, step = (pytester.path / "report.html").read_text(), step_summary.read_text()
    assert "slower than its floor" in page
    assert "test_engine" in page
    assert step.count("## Diffusion speed-ups and pictures") == step.count("❌ fail") == step.count("✅ pass") == 1


@QUIET
def test_a_table_that_cannot_be_recorded_costs_the_exit_status(run_quietly, pytester, before_9_2, quiet):
    result = run_quietly(SOURCE, "--sd-record=new.toml", *quiet)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not (pytester.path / "new.toml").exists()
    if "--no-summary" in quiet:
        # An exit status that nothing explains would send its reader searching.
        result.stdout.fnmatch_lines(["*sd record: *"])


@QUIET
def test_a_run_that_cannot_be_stored_costs_the_exit_status(run_quietly, pytester, monkeypatch, before_9_2, quiet):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytest_sdspeed.store.whole.write_file", full)
    result = run_quietly(SOURCE, "--benchmark-json=out.json", "--sd-report=report.html", *quiet)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (pytester.path / "report.html").exists()
    if "--no-summary" in quiet:
        result.stdout.fnmatch_lines(["sd run: not stored in *out.json: No space left on device"])


def test_a_run_with_a_summary_writes_each_file_once_and_says_where(gated, pytester, step_summary):
    result = gated(SOURCE, "--sd-report=report.html")
    said = [line for line in result.stdout.lines if line.startswith(("sd report:", "sd summary:"))]
    assert said == ["sd report: report.html", f"sd summary: {step_summary}"]
    assert step_summary.read_text().count("## Diffusion speed-ups and pictures") == 1


def test_what_was_measured_before_a_plugin_broke_pytest_is_in_the_report(gated, pytester):
    conftest = """
            def pytest_runtest_logreport(report):
                if "breaks" in report.nodeid:
                    raise RuntimeError("a plugin")
            """
    result = gated(f"{SOURCE}\ndef test_breaks():\n    pass\n", "--sd-report=report.html", conftest=conftest)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "candidate" in (pytester.path / "report.html").read_text()


@pytest.mark.parametrize("arguments", [("--sd-report=report.html", "--sd-budget="), ("--sd-report=report.html", "--no-such-option")])
def test_a_run_that_was_refused_leaves_the_old_report(gated, pytester, arguments):
    (pytester.path / "report.html").write_text("old")
    assert gated(SOURCE, *arguments).ret == pytest.ExitCode.USAGE_ERROR
    assert (pytester.path / "report.html").read_text() == "old"


@pytest.mark.slow
def test_workers_without_a_terminal_leave_one_report(pytester):
    pytester.makepyfile(
        textwrap.dedent("""
        import time
        import pytest

        @pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
        @pytest.mark.parametrize("size", [512, 768])
        def test_engine(sd_latency, size):
            sd_latency(lambda: time.sleep(0.002), baseline=lambda: time.sleep(0.002))
        """)
    )
    command = [sys.executable, "-m", "pytest", *WORKERS, "-p", "no:terminal", "-n1", "--sd-max-blocks=3", "--sd-report=report.html"]
    assert subprocess.run(command, cwd=pytester.path, check=False).returncode in (0, 1)
    text = (pytester.path / "report.html").read_text()
    assert "test_engine[512]" in text
    assert "test_engine[768]" in text


def test_a_run_without_a_terminal_measures_though_pytest_knows_no_verbosity(run_quietly, pytester, monkeypatch):
    # As pytest 8.2, without the plugin that has the option.
    monkeypatch.setattr(pytest.Config, "get_verbosity", lambda self, _kind=None: self.option.verbose)
    assert run_quietly(SOURCE, "--benchmark-json=out.json", "-p", "no:terminal").ret == pytest.ExitCode.OK
    assert "test_engine" in (pytester.path / "out.json").read_text()
