"""pytest-benchmark's own marker and options, on gated tests."""

import json

import pytest
from since import has, needs

from pytest_sdspeed.store import benchmark as store

PLAIN = """
@pytest.mark.sd_latency(speedup=1.5)
def test_row(sd_latency):
    sd_latency(engine(1.0), baseline=engine(2.0))
"""


def stored(pytester, name="out.json"):
    return json.loads((pytester.path / name).read_text())["benchmarks"]


def samples_of(bench):
    record = bench["extra_info"]["sdspeed"]
    return [duration for pair in record["samples_s"][record["setup"]] for duration in pair]


KEYWORDS = [
    'group="unet"',
    "timer=__import__('time').process_time",
    "min_rounds=1000, max_time=30.0, min_time=1.0",
    "warmup=True, warmup_iterations=7",
    "disable_gc=True",
    "calibration_precision=100",
    *(["precision=0.01, confidence=0.9"] if has("pytest-benchmark", "5.3") else []),
    "cprofile=True",
]
SINCE = {
    "--benchmark-precision": "5.3",
    "--benchmark-confidence": "5.3",
    "--benchmark-time-unit": "5.0",
    "--benchmark-cprofile-loops": "5.0",
    "--benchmark-cprofile-top": "5.0",
    "--benchmark-cprofile-dump": "5.0",
}
"""Option of pytest-benchmark -> the version that brought it."""


def test_its_marker_keeps_every_keyword_and_the_samples_stay_those_of_the_campaign(gated, pytester):
    tests = [PLAIN.replace("test_row", f"test_row_{number}") for number in range(len(KEYWORDS))]
    marked = [f"@pytest.mark.benchmark({keywords}){test}" for keywords, test in zip(KEYWORDS, tests, strict=True)]
    run = gated("\n".join(marked), "--benchmark-json=out.json")
    run.assert_outcomes(passed=len(KEYWORDS))
    found = {bench["name"]: bench for bench in stored(pytester)}
    for number, keywords in enumerate(KEYWORDS):
        bench = found[f"test_row_{number}"]
        assert bench["stats"]["data"] == pytest.approx(samples_of(bench)), keywords
        assert bench["stats"]["median"] == pytest.approx(1.0, rel=0.05), keywords
        own = "callables on "
        assert bench["group"] == "unet" if "group" in keywords else bench["group"].startswith(own), keywords


@pytest.mark.parametrize("place", ["module", "class", "conftest", "fixture"])
def test_the_samples_are_right_wherever_the_marker_comes_from(gated, pytester, place):
    mark = 'pytest.mark.benchmark(group="unet", timer=__import__("time").process_time)'
    body = "@pytest.mark.sd_latency(speedup=1.5)\n{indent}def test_row({self}sd_latency):\n{indent}    sd_latency(engine(1.0), baseline=engine(2.0))\n"
    source, conftest = body.format(indent="", self=""), ""
    if place == "module":
        source = f"pytestmark = {mark}\n{source}"
    elif place == "class":
        source = f"@{mark}\nclass TestIt:\n    {body.format(indent='    ', self='self, ')}"
    elif place == "conftest":
        conftest = f"""
            @pytest.hookimpl(trylast=True)
            def pytest_collection_modifyitems(items):
                for item in items:
                    item.add_marker({mark}, append=False)
            """
    else:
        source = f"@pytest.fixture(autouse=True)\ndef marked(request):\n    request.node.add_marker({mark})\n{source}"
    run = gated(source, "--benchmark-json=out.json", conftest=conftest)
    run.assert_outcomes(passed=1)
    (bench,) = stored(pytester)
    assert bench["stats"]["data"] == pytest.approx(samples_of(bench))
    assert bench["group"] == "unet" or place == "fixture"


def test_an_unknown_keyword_of_its_marker_is_an_error_before_anything_is_measured(gated):
    run = gated(f"@pytest.mark.benchmark(rounds=3){PLAIN}", "--benchmark-json=out.json")
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines(["*benchmark mark can't have 'rounds' keyword argument*"])


@pytest.mark.parametrize(
    "options",
    [
        # What goes together is tried together.
        [
            "--benchmark-warmup=on",
            "--benchmark-warmup-iterations=3",
            "--benchmark-disable-gc",
            "--benchmark-timer=time.process_time",
            "--benchmark-calibration-precision=1000",
            "--benchmark-precision=0.001",
            "--benchmark-confidence=0.9",
            "--benchmark-time-unit=s",
            "--benchmark-cprofile=tottime",
            "--benchmark-cprofile-loops=2",
            "--benchmark-cprofile-top=3",
        ],
        ["--benchmark-min-rounds=1000", "--benchmark-max-time=60", "--benchmark-min-time=1", "--benchmark-only", "--benchmark-verbose"],
        [
            "--benchmark-sort=name",
            "--benchmark-group-by=fullname",
            "--benchmark-columns=min,rounds",
            "--benchmark-name=short",
            "--benchmark-enable",
            "--benchmark-disable",
            "--benchmark-save=mine",
            "--benchmark-save-data",
        ],
        ["--benchmark-quiet", "--benchmark-netrc", "--benchmark-autosave", "--benchmark-storage=stored"],
        ["--benchmark-cprofile=cumtime", "--benchmark-cprofile-loops=auto", "--benchmark-cprofile-dump=profiled"],
    ],
    ids=lambda options: options[0],
)
def test_its_options_change_neither_samples_nor_verdict(gated, pytester, options):
    known = [option for option in options if has("pytest-benchmark", SINCE.get(option.partition("=")[0], "4.0"))]
    run = gated(PLAIN, "--benchmark-json=out.json", *known)
    run.assert_outcomes(passed=1)
    (bench,) = stored(pytester)
    assert bench["stats"]["data"] == pytest.approx(samples_of(bench))
    assert "sd speed-ups: callables" in run.stdout.str()


@needs("pytest-benchmark", "5.0", "--benchmark-cprofile-dump")
def test_cprofile_profiles_one_call_of_the_candidate(gated, pytester):
    source = (
        PLAIN.replace("engine(1.0)", "candidate") + "\ncandidate_engine = engine(1.0)\ndef candidate():\n    return candidate_engine()\n"
    )
    run = gated(source, "--benchmark-json=out.json", "--benchmark-cprofile=cumtime", "--benchmark-cprofile-dump=kept")
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["*cProfile (time in s)*", "*test_*(candidate)"])
    assert (pytester.path / "kept-test_row.prof").stat().st_size > 0


GROUPED = """
            # As it is in a worker of xdist under --dist=loadgroup.
            @pytest.hookimpl(trylast=True)
            def pytest_collection_modifyitems(items):
                for item in items:
                    more = {"nodeid": f"{item.nodeid}@together", "__slots__": ()}
                    item.__class__ = type("Grouped", (type(item),), more)
"""


@pytest.mark.parametrize("conftest", ["", GROUPED], ids=["", "loadgroup"])
def test_a_candidate_that_raises_when_it_is_profiled_keeps_its_result(gated, pytester, conftest):
    source = """
    calls = []
    work = engine(1.0)
    def candidate():
        if len(calls) == CAMPAIGN[0]:
            raise RuntimeError("not again")
        work()
    CAMPAIGN = [-1]
    @pytest.fixture(autouse=True)
    def noticed(monkeypatch):
        from pytest_sdspeed.store import benchmark
        play = benchmark.play
        monkeypatch.setattr(benchmark, "play", lambda *all_: (CAMPAIGN.__setitem__(0, 0), play(*all_)))
    """
    import textwrap

    run = gated(
        textwrap.dedent(source) + PLAIN.replace("engine(1.0)", "candidate"),
        "--benchmark-cprofile=cumtime",
        "--benchmark-json=out.json",
        conftest=conftest,
    )
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["sd run: no profile of *test_row: RuntimeError: not again"])
    assert len(stored(pytester)) == 1


@pytest.mark.parametrize("option", ["--benchmark-skip", "--benchmark-disable"])
def test_a_run_that_is_not_to_measure_skips_and_says_so(gated, option):
    run = gated(PLAIN, option)
    run.assert_outcomes(skipped=1)
    run.stdout.fnmatch_lines([f"SKIPPED*{option}*"])


def test_a_comparison_with_a_stored_run_shows_both_and_fails_what_got_slower(gated, pytester):
    gated(PLAIN, "--benchmark-save=before").assert_outcomes(passed=1)
    same = gated(PLAIN, "--benchmark-compare=0001", "--benchmark-compare-fail=min:5%")
    same.assert_outcomes(passed=1)
    assert "test_row (0001_before)" in same.stdout.str()
    assert "test_row (NOW)" in same.stdout.str()
    slower = gated(PLAIN.replace("engine(1.0)", "engine(1.3)"), "--benchmark-compare=0001", "--benchmark-compare-fail=min:5%")
    assert slower.ret != 0
    slower.stdout.fnmatch_lines(["sd speed-ups: callables*"])
    assert "Performance has regressed" in slower.stdout.str() + slower.stderr.str()


def refused(gated, pytester, *options):
    run = gated(PLAIN, *options)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stdout.no_fnmatch_line("*sd speed-ups*")
    return run.stderr


def test_compare_fail_without_a_stored_run_is_refused_before_anything_is_measured(gated, pytester):
    refused(gated, pytester, "--benchmark-compare-fail=min:5%").fnmatch_lines(["*--benchmark-compare-fail has no stored run*"])


def test_a_histogram_without_pygal_is_refused_before_anything_is_measured(gated, pytester, monkeypatch):
    monkeypatch.setattr(store, "find_spec", lambda _name: None)
    refused(gated, pytester, "--benchmark-histogram").fnmatch_lines(["*pip install pytest-benchmark?histogram?*"])


@pytest.mark.slow
def test_a_profile_of_a_worker_is_refused_before_anything_is_measured(gated, pytester):
    refused(gated, pytester, "--benchmark-cprofile=tottime", "-p", "xdist", "-n1").fnmatch_lines(
        ["*--benchmark-cprofile profiles this process, and -n *"]
    )


def test_a_profile_of_another_version_is_refused_before_anything_is_measured(gated, pytester):
    said = refused(gated, pytester, "--benchmark-cprofile=tottime", "--sd-against=HEAD")
    said.fnmatch_lines(["*--benchmark-cprofile profiles this process, and --sd-against *"])
