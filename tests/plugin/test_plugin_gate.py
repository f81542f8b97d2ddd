"""The gate from the outside, on a fake clock: it passes what is good and fails what is planted."""

import importlib
import json
import re
import textwrap

import pytest

SPEEDUP_TEST = """
@pytest.mark.sd_latency(speedup=1.5, tolerance=0.05)
def test_engine(sd_latency):
    sd_latency(engine({candidate}), baseline=engine(1.5))
"""
PICTURE_TEST = """
@pytest.mark.sd_latency(speedup=1.5, image={{"psnr": 30}})
def test_engine(sd_latency):
    sd_latency(engine(1.0, {candidate}), baseline=engine(1.5, picture()))
"""


def stored(pytester, result=None):
    return [bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]


def test_the_documented_ratio_passes(gated):
    result = gated(SPEEDUP_TEST.format(candidate=1.0))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*sd speed-ups: callables*A/A control x1.00*", "candidate*x1.50*x1.42*pass"])
    assert result.ret == 0


@pytest.mark.parametrize(("first", "said"), [(62.5, True), (1.5, False)])
def test_what_the_first_generation_takes_to_compile_is_said_and_in_no_slot(gated, monkeypatch, first, said):
    # The coverage of this suite is a tracer, of which the note would tell too.
    monkeypatch.setattr("pytest_sdspeed.measure.campaign.name_tracer", lambda: "")
    source = f"""
    @pytest.mark.sd_latency(speedup=1.0)
    def test_engine(sd_latency):
        fast, seconds = engine(1.0, cv=0), [{first - 1}]
        def compiled():
            sd_fake_time.spend(seconds.pop() if seconds else 0)
            return fast()
        samples = sd_latency(compiled, baseline=engine(1.0)).samples_s["compiled"]
        assert max(map(max, samples)) == pytest.approx(1.0)
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(passed=1)
    line = "note: compiled: its first generation took 61.5 s more than a later one, to compile, capture or tune: no slot includes it"
    assert (line in result.stdout.str()) == said


def test_ten_percent_short_of_the_floor_fails_with_the_message_of_the_contract(gated):
    result = gated(SPEEDUP_TEST.format(candidate=1.5 / (1.5 * 0.95 * 0.9)))
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*candidate on *: x1.28 [[]1.2?, 1.??] over baseline; expected x1.50, floor x1.42 (tolerance 5%), 3 blocks.*slower than its floor*"
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("picture(1)", "*PSNR * is under 30*"),
        ("picture() * 0", "*black*"),
        ("picture() * np.nan", "*not finite*"),
        ("picture() * 0 + 0.5", "*constant*"),
        ("picture(side=64)", "*pictures of another size*"),
        ("None", "*returned no picture*"),
        ("'a string'", "*returned*str*"),
    ],
)
def test_a_wrong_picture_fails_with_its_reason(gated, candidate, reason):
    result = gated(PICTURE_TEST.format(candidate=candidate))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([reason])


@pytest.mark.parametrize("candidate", ["picture()", "(picture() * 255).round().astype(np.uint8)", "[picture()[0]]"])
def test_the_right_picture_passes(gated, candidate):
    gated(PICTURE_TEST.format(candidate=candidate)).assert_outcomes(passed=1)


def test_pil_pictures_pass(gated):
    source = PICTURE_TEST.format(candidate="[Image.fromarray((picture()[0] * 255).round().astype(np.uint8))]")
    gated(f"from PIL import Image\n{source}").assert_outcomes(passed=1)


def test_a_wrong_picture_fails_a_fast_candidate_without_a_gate(gated):
    source = PICTURE_TEST.format(candidate="picture() * np.nan").replace(', image={"psnr": 30}', "")
    result = gated(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not finite*"])


def test_a_baseline_that_alternates_breaks_the_control(gated, pytester):
    source = """
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        calls = iter(range(-2, 10_000))
        # In every block the baseline's slots come outer, inner, inner, outer: the inner two are slow.
        uneven = lambda: engine(3.0 if next(calls) % 4 in (1, 2) else 1.5)()
        sd_latency(engine(1.0), baseline=uneven)
    """
    result = gated(textwrap.dedent(source), "--benchmark-json=out.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*A/A control * excludes x1*"])
    assert stored(pytester)[0]["verdict"] == "invalid"


NOISY = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency(engine(1.0 / 0.985, cv=0.02), baseline=engine(1.5, cv=0.02))
"""


@pytest.mark.parametrize(
    ("mode", "outcome", "code"), [("fail", {"failed": 1}, 1), ("warn", {"passed": 1, "warnings": 1}, 0), ("skip", {"skipped": 1}, 0)]
)
def test_an_inconclusive_verdict_does_what_was_asked(gated, mode, outcome, code):
    result = gated(NOISY, f"--sd-inconclusive={mode}", "--sd-max-blocks=4")
    result.assert_outcomes(**outcome)
    assert result.ret == code
    result.stdout.fnmatch_lines(
        [
            "*inconclusive: *at this noise, 4 blocks resolve *%: the ratio cannot be told from the floor * more blocks (* s) would decide it: --sd-budget * --sd-max-blocks *"
        ]
    )
    result.stdout.re_match_lines([r"sd speed-ups: .* 4 blocks, A/A control x\S+ \[\S+ \S+\], at this noise 4 blocks resolve \d+\.\d%$"])


def test_the_advice_to_an_inconclusive_row_is_a_run_that_decides(gated):
    result = gated(NOISY, "--sd-max-blocks=4")
    advice = re.search(r"would decide it: (--sd-budget \d+) (--sd-max-blocks \d+)", result.stdout.str())
    again = gated(NOISY, *advice.group(1).split(), *advice.group(2).split())
    again.assert_outcomes(passed=1)


@pytest.mark.parametrize(("second", "failed"), [(1.0, 1), (2.0, 2)])
def test_the_rows_and_campaigns_of_a_run_share_their_errors(gated, monkeypatch, second, failed):
    """Three callables, one of which fails first, perhaps two, and a skipped test that counts for nothing."""
    seen = []
    campaign = importlib.import_module("pytest_sdspeed.measure.campaign")
    run = campaign.run_campaign

    def watched(baseline, rows, limits, *arguments, **options):
        seen.append((limits.rows, limits.campaigns))
        return run(baseline, rows, limits, *arguments, **options)

    monkeypatch.setattr(campaign, "run_campaign", watched)
    source = f"""
    @pytest.mark.sd_latency(speedup=1.5)
    @pytest.mark.parametrize("seconds", [2.0, {second}, 1.0])
    def test_engine(sd_latency, seconds):
        sd_latency(engine(seconds), baseline=engine(1.5))

    @pytest.mark.skip
    @pytest.mark.sd_latency(speedup=1.5)
    def test_skipped(sd_latency):
        sd_latency(engine(1.0), baseline=engine(1.5))
    """
    gated(textwrap.dedent(source), "-p", "no:randomly").assert_outcomes(failed=failed, passed=3 - failed, skipped=1)
    assert seen == [(3, 3), (2, 3), (3 - failed, 3)]


def test_an_undecided_row_says_what_was_planned_what_that_resolves_and_what_would_decide(gated):
    source = """
    @pytest.mark.sd_latency(speedup=1.0, tolerance=0.03)
    def test_engine(sd_latency):
        calls = iter(range(1000))
        # Four generations of warm-up and two blocks of six, then ten times slower.
        slowing = lambda: engine(1.0 if next(calls) < 16 else 10.0, cv=0.02)()
        sd_latency(lambda: slowing(), baseline=slowing)
    """
    result = gated(textwrap.dedent(source), "--sd-budget=80")
    result.assert_outcomes(failed=1)
    said = (
        r"4 blocks\. Reason: at this noise, 13 blocks resolve (\d+\.\d)%: the ratio cannot be told from the floor x0\.970; about (\d+) more blocks "
        r"\((\d+) s\) would decide it: --sd-budget (\d+) --sd-max-blocks (\d+)\."
    )
    resolved, more, seconds, budget, blocks = map(float, re.search(said, result.stdout.str()).groups())
    assert 1 < resolved < 10
    assert blocks == 4 + more
    # The four blocks took 2 x 6 s and 2 x 60 s.
    assert seconds == pytest.approx(33 * more, rel=0.05)
    assert budget == pytest.approx(132 + 1.2 * seconds, rel=0.05)
    result.stdout.fnmatch_lines([f"*, 4 blocks, A/A control *, at this noise 13 blocks resolve {resolved}%"])


def test_an_exception_fails_its_test_alone_and_names_itself(gated):
    source = """
    def broken():
        raise RuntimeError("the engine is out of oil\\nmany more lines")

    @pytest.mark.sd_latency(speedup=1.5)
    def test_broken(sd_latency):
        sd_latency(broken, baseline=engine(1.5))

    @pytest.mark.sd_latency(speedup=1.5)
    def test_broken_baseline(sd_latency):
        sd_latency(engine(1.0), baseline=broken)

    @pytest.mark.sd_latency(speedup=1.5)
    def test_whole(sd_latency):
        sd_latency(engine(1.0), baseline=engine(1.5))
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*broken raised RuntimeError: the engine is out of oil*"])
    result.stdout.no_fnmatch_line("*many more lines*")


def test_a_callable_that_runs_out_of_memory_fails_with_its_reason(gated):
    source = """
    def greedy():
        raise MemoryError("tried to allocate 80 GiB")

    @pytest.mark.sd_latency(speedup=1.5)
    def test_greedy(sd_latency):
        sd_latency(greedy, baseline=engine(1.5))
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*greedy ran out of memory: tried to allocate 80 GiB*"])
    result.stdout.no_fnmatch_line("*fixtures.py*")
    result.stdout.no_fnmatch_line("*gate.py*")


def test_an_engine_that_breaks_late_fails_and_keeps_what_was_measured(gated, pytester):
    source = """
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        calls = iter(range(1000))

        def breaking():
            if next(calls) == 9:
                raise RuntimeError("worn out")
            engine(1.0, cv=0.05)()

        sd_latency(breaking, baseline=engine(1.5, cv=0.05))
    """
    result = gated(textwrap.dedent(source), "--benchmark-json=out.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*breaking raised RuntimeError: worn out*"])
    (record,) = stored(pytester)
    assert (record["verdict"], record["blocks"]) == ("fail", 3)


def test_xfail_takes_a_failing_verdict(gated):
    source = SPEEDUP_TEST.format(candidate=1.5).replace("@pytest.mark", "@pytest.mark.xfail(strict=True)\n@pytest.mark", 1)
    gated(source).assert_outcomes(xfailed=1)


def test_the_result_says_what_the_contract_says(gated):
    source = """
    @pytest.mark.sd_latency(speedup=1.5, tolerance=0.1, image={"psnr": 30})
    def test_engine(sd_latency):
        result = sd_latency(engine(1.0, picture()), baseline=engine(1.5, picture()))
        assert result.low < result.speedup < result.high
        assert result.speedup == pytest.approx(1.5, abs=0.02)
        assert (result.expected, result.floor, result.verdict, result.blocks) == (1.5, pytest.approx(1.35), "pass", 3)
        assert result.latency_s == pytest.approx(1.0, rel=0.02)
        assert result.baseline_latency_s == pytest.approx(1.5, rel=0.02)
        assert result.image["psnr"] == 100
        assert result.images.shape == (1, 32, 32, 3)
        assert result.reasons == ()
    """
    gated(textwrap.dedent(source)).assert_outcomes(passed=1)


KEYS = [
    "schema",
    "table",
    "setup",
    "baseline",
    "device",
    "speedup",
    "low",
    "high",
    "expected",
    "tolerance",
    "floor",
    "verdict",
    "reasons",
    "blocks",
    "samples_s",
    "image",
    "image_verdict",
    "recipe",
    "versions",
    "peak_memory_bytes",
    "stages_s",
    "telemetry",
    "confirmation",
    "documented_on",
    "planned_blocks",
    "resolves",
    "control",
    "starts_s",
    "canary_s",
    "recorded_in",
    "raised",
    "memory_share",
    "memory_bound",
    "against",
    "notes",
    "image_ranges",
    "self_difference",
    "baseline_self_difference",
    "biased",
    "slow_pairs",
    "optimizations",
    "baseline_optimizations",
    "revision",
    "tolerance_s",
    "peak_reserved_bytes",
    "load_memory_bytes",
    "load_reserved_bytes",
    "iterations_per_s",
    "first_s",
    "compile_s",
    "warm_compile_s",
    "recompilations",
    "documented_costs",
    "cost_bounds",
    "proofs",
    "baseline_proofs",
    "rehearsal",
    "by_stage",
    "pictures",
]


def test_the_record_has_the_keys_of_the_contract_also_for_a_failing_test(gated, pytester):
    result = gated(SPEEDUP_TEST.format(candidate=1.5), "--benchmark-json=out.json")
    result.assert_outcomes(failed=1)
    (record,) = stored(pytester)
    assert list(record) == KEYS
    assert record["verdict"] == "fail"
    assert record["samples_s"].keys() == {"baseline", "control", "candidate"}
    assert record["stages_s"] is record["telemetry"] is record["recipe"] is None
    bench = json.loads((pytester.path / "out.json").read_text())["benchmarks"][0]
    assert bench["stats"]["data"] == pytest.approx([slot for pair in record["samples_s"]["candidate"] for slot in pair])
    assert bench["group"].startswith("callables on ")


def test_files_are_written_when_asked_for(gated, pytester):
    result = gated(SPEEDUP_TEST.format(candidate=1.5), "--sd-report=report.html", "--sd-record=mine.toml")
    result.stdout.fnmatch_lines(["sd report: report.html", "sd record: nothing to record*"])
    page = (pytester.path / "report.html").read_text()
    assert "What needs attention" in page
    assert not (pytester.path / "mine.toml").exists()
