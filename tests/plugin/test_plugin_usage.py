"""Bad input, each with its one clear message and exit code, before anything is measured; and runs mixed with other options and plugins."""

import json
import sys
import warnings
from importlib.resources import files

import pytest

from pytest_sdspeed.model import Machine

MARKED = """
@pytest.mark.sd_latency({arguments})
def test_marked(sd_latency, {setup}):
    sd_latency({setup})
"""
ENGINE = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""


def usage_error(result, *patterns):
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{pattern}*" for pattern in patterns])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tabel='inference'", "test_marked: marker sd_latency has no argument 'tabel'; valid: sd_latency(table=None, *, speedup=None,*"),
        (
            "table='inferense'",
            "unknown table 'inferense'; did you mean 'inference'[?] valid: *attention, *distillation, *fastest, *inference, *legacy, *miniature, *stack, *",
        ),
        ("table=3", "table=3; valid: the name of a table"),
        ("'a', 'b'", "takes one positional argument, the table"),
        ("speedup=0", "speedup=0; valid: a ratio above 0"),
        ("speedup='x2'", "speedup='x2'; valid: a ratio above 0"),
        ("speedup=float('nan')", "speedup=nan; valid: a ratio above 0"),
        ("tolerance=5", "tolerance=5; valid: a fraction from 0 to below 1"),
        ("image={'pnsr': 30}", "image={'pnsr': 30}; valid: a dict with bounds for psnr, ssim, mae"),
        ("image={'psnr': True}", "image[[]'psnr'[]]=True; valid: decibels, more than 0"),
        ("image={'ssim': 2}", "image[[]'ssim'[]]=2; valid: from -1 to 1"),
        ("image=30", "image=30; valid: a dict with bounds for psnr, ssim, mae"),
        ("table='inference'", "unknown setup of table 'inference' 'distilled'; valid: baseline, combined, fp16, tf32"),
    ],
)
def test_a_bad_marker_is_a_usage_error_at_collection(gated, arguments, message):
    usage_error(gated(MARKED.format(arguments=arguments, setup="sd_distilled"), "--collect-only"), message)


def test_a_bad_table_of_sd_setup_is_a_usage_error(gated):
    usage_error(gated(MARKED.format(arguments="table='nowhere'", setup="sd_setup")), "unknown table 'nowhere'; valid: *attention, *")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--sd-gpu", "--sd-gpu needs a CUDA GPU: torch *"),
        ("--sd-weights=good", "--sd-weights=good: valid: pretrained, random"),
        ("--sd-tolerance=5", "--sd-tolerance=5: valid: a fraction from 0 to below 1"),
        ("--sd-tolerance=much", "--sd-tolerance=much: valid: a fraction"),
        ("--sd-budget=0", "--sd-budget=0: valid: seconds, more than 0"),
        ("--sd-budget=inf", "--sd-budget=inf: valid: seconds, more than 0"),
        ("--sd-max-blocks=1", "--sd-max-blocks=1: valid: a whole number, 2 or more"),
        ("--sd-max-blocks=2.5", "--sd-max-blocks=2.5: valid: a whole number"),
        ("--sd-inconclusive=shrug", "--sd-inconclusive=shrug: valid: fail, warn, skip"),
        ("--sd-seed=-1", "--sd-seed=-1: valid: a whole number"),
        ("--sd-unit=step", "--sd-unit=step: valid: table, auto, call, stage"),
        ("--sd-unit=", "--sd-unit=: the value is empty; valid: table, auto, call, stage"),
        ("--sd-tables=nowhere.toml", "nowhere.toml*"),
        ("--sd-report=nowhere/report.html", "--sd-report=nowhere/report.html: the folder * does not exist"),
        ("--sd-record=.", "--sd-record=.: is a folder; name a file"),
    ],
)
def test_a_bad_option_is_a_usage_error(gated, option, message):
    usage_error(gated(ENGINE, option), message)


@pytest.mark.parametrize(
    "name", ["weights", "tolerance", "budget", "max_blocks", "inconclusive", "seed", "unit", "tables", "report", "record"]
)
def test_every_option_has_an_ini_twin(gated, pytester, name):
    pytester.makeini(f"[pytest]\nsdspeed_{name} = nowhere/at/all\n")
    usage_error(gated(ENGINE), "nowhere/at/all")


def test_the_command_line_wins_over_the_ini_file(gated, pytester):
    pytester.makeini("[pytest]\nsdspeed_max_blocks = 5\nsdspeed_seed = 3\n")
    source = (
        "def test_options(request):\n    from pytest_sdspeed.plugin.state import run_of\n    options = run_of(request.config).options\n"
    )
    source += "    assert (options.max_blocks, options.seed, options.budget_s) == (7, 3, 300)\n"
    gated(source, "--sd-max-blocks=7").assert_outcomes(passed=1)


def test_an_empty_path_takes_the_file_of_the_ini_file_back(gated, pytester):
    pytester.makeini("[pytest]\nsdspeed_report = report.html\n")
    gated(ENGINE, "--sd-report=").assert_outcomes(passed=1)
    assert not (pytester.path / "report.html").exists()
    gated(ENGINE).assert_outcomes(passed=1)
    assert (pytester.path / "report.html").exists()


def test_a_table_of_ones_own_that_contradicts_itself_names_file_and_key(gated, pytester):
    text = (files("pytest_sdspeed.tables") / "inference.toml").read_text()
    (pytester.path / "mine.toml").write_text(
        text.replace('name = "inference"', 'name = "mine"').replace("speedup = 1.50", "speedup = 1.90")
    )
    usage_error(gated(ENGINE, "--sd-tables=mine.toml"), "mine.toml: rows[[]2].speedup: *1.90*")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sd_latency(engine(1.0))", "a callable needs a baseline"),
        ("sd_latency(3, baseline=engine(1.5))", "the candidate is 3; valid: a setup fixture (sd_fp16, ...), a callable*"),
        ("sd_latency(engine(1.0), baseline='fast')", "the baseline is 'fast': No module named 'fast'; valid: "),
        ("(sd_latency(engine(1.0), baseline=engine(1.5)), sd_latency(engine(1.0), baseline=engine(1.5)))", "measures once per test"),
    ],
)
def test_a_call_without_meaning_fails_with_one_message(gated, call, message):
    result = gated(ENGINE.replace("sd_latency(engine(1.0), baseline=engine(1.5))", call))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{message}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_callable_without_an_expectation_fails(gated):
    result = gated(ENGINE.replace("speedup=1.5", ""))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*nothing says what to expect: @pytest.mark.sd_latency(speedup=...)*"])


def test_without_pytest_benchmark_a_gate_is_a_usage_error(gated):
    usage_error(
        gated(ENGINE, "-p", "no:benchmark"),
        "sd_latency keeps its record through pytest-benchmark, which is off: run without -p no:benchmark",
    )


def test_without_pytest_benchmark_other_tests_run(gated):
    gated("def test_other():\n    pass\n", "-p", "no:benchmark").assert_outcomes(passed=1)


@pytest.mark.slow
def test_under_xdist_a_bad_marker_is_a_usage_error_too(gated):
    result = gated(MARKED.format(arguments="tabel=1", setup="sd_distilled"), "-p", "xdist", "-n2")
    usage_error(result, "*marker sd_latency has no argument 'tabel'*")


def test_benchmark_disable_skips(gated):
    result = gated(ENGINE, "--benchmark-disable")
    result.assert_outcomes(skipped=1)


@pytest.mark.parametrize(
    "options", [("-k", "engine"), ("-x",), ("--strict-markers",), ("-p", "no:cacheprovider"), ("-s",), ("-q",), ("--benchmark-only",)]
)
def test_a_gate_runs_with_other_options(gated, options):
    gated(ENGINE, *options).assert_outcomes(passed=1)


def test_collect_only_measures_nothing(gated, fake_time):
    result = gated(ENGINE, "--collect-only")
    assert result.ret == 0
    assert fake_time.seconds == 0


def test_fixtures_and_markers_document_themselves(gated):
    result = gated(ENGINE, "--fixtures")
    result.stdout.fnmatch_lines(
        ["sd_latency*", "*Measure a setup or callable*", "sd_setup*", "sd_fp16*", "*Weights and arithmetic in float16.*"]
    )
    result = gated(ENGINE, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.sd_latency(table=None, [*], speedup=None, tolerance=None, tolerance_s=None, image=None): *"])


def test_a_storage_that_cannot_be_written_is_a_usage_error_before_measuring(gated, pytester, fake_time):
    (pytester.path / ".benchmarks").write_text("in the way")
    usage_error(gated(ENGINE, "--benchmark-autosave", "-W", "default"), "--benchmark-storage=*.benchmarks is a file, not a folder")
    assert fake_time.seconds == 0


def test_a_damaged_history_file_loses_nothing(gated, pytester):
    gated(ENGINE, "--benchmark-autosave").assert_outcomes(passed=1)
    (saved,) = pytester.path.glob(".benchmarks/*/0001_*.json")
    saved.with_name("0002_damaged.json").write_text('{"benchmarks": [')
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result = gated(ENGINE, "--benchmark-autosave", "--benchmark-compare=0002", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    assert any("0002_damaged.json" in str(warning.message) for warning in heard)
    assert json.loads((pytester.path / "out.json").read_text())["benchmarks"][0]["extra_info"]["sdspeed"]["verdict"] == "pass"


def test_a_document_table_on_the_cpu_is_skipped_with_the_command_that_runs_it(gated):
    result = gated(MARKED.format(arguments="table='inference'", setup="sd_setup"))
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["*table 'inference' is documented on NVIDIA A100: run pytest test_*.py --sd-gpu"])


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ("sd_tf32", "tf32 needs an Ampere or later CUDA GPU: run with --sd-gpu"),
        ("sd_fp16", "fp16 needs a CUDA GPU*"),
        ("sd_combined", "fp16 needs a CUDA GPU*"),
        ("sd_bf16_sdpa", "bf16 needs an Ampere or later CUDA GPU, or a CPU with native bfloat16: run with --sd-gpu"),
        ("sd_xformers_fp32_b1", "xformers needs a CUDA GPU: run with --sd-gpu"),
    ],
)
def test_a_setup_that_this_machine_cannot_run_is_skipped_with_its_reason(gated, monkeypatch, setup, reason):
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_cpu", lambda: Machine(kind="cpu", device="Plain CPU", versions={}))
    result = gated(MARKED.format(arguments="", setup=setup))
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"*{reason}"])


def test_a_setup_without_a_row_in_the_miniature_says_what_it_lacks(gated):
    result = gated(MARKED.format(arguments="", setup="sd_sdpa_fp32_b1"))
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["*table 'miniature' has no row 'sdpa_fp32_b1' to hold it to: give the marker a speedup, or run with --sd-gpu"]
    )


PROGRESS = {(): True, ("-q",): False, ("--capture=no",): True}
# One process on a terminal for all: it loads what a campaign needs once.
ON_A_TERMINAL = """
import pty, sys
runs = "import pytest\\nfor options in {options!r}: print('RUN', options, flush=True), pytest.main(options)"
pty.spawn([sys.executable, "-c", runs])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_shown_on_a_terminal_and_not_under_q(pytester, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
        def test_engine(sd_latency):
            sd_latency(lambda: time.sleep(0.002), baseline=lambda: time.sleep(0.002))
        """
    )
    options = [["-p", "no:randomly", "-p", "no:cacheprovider", *more] for more in PROGRESS]
    runs = pytester.run(sys.executable, "-c", ON_A_TERMINAL.format(options=options)).stdout.str().split("RUN [")[1:]
    assert ["block 1 of at most 20, " in shown for shown in runs] == [*PROGRESS.values()]
    for one in options:
        elsewhere = pytester.runpytest_inprocess(*one)
        assert "block 1 of at most" not in elsewhere.stdout.str()
        elsewhere.stdout.fnmatch_lines(["*1 passed*"])
