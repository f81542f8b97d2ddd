"""``--sd-dry``: rows of tables are counted instead of timed, held to their account, and recorded as one."""

import json
import tomllib
from dataclasses import replace

import pytest

from pytest_sdspeed.errors import DryRunError, ModelUnavailableError
from pytest_sdspeed.model import Account, Place
from pytest_sdspeed.model.accounts import Work
from pytest_sdspeed.tables import load_table

TABLE = """
schema = 1
name = "mine"
title = "Mine"
source = "https://example.org"
device = "NVIDIA A100"

[recipe]
model = "miniature"
prompt = "a vase"
height = 16
width = 16
steps = 2
scheduler = "ddim"

[[rows]]
setup = "baseline"
optimizations = []

[[rows]]
setup = "half"
optimizations = ["fp16"]
speedup = 1.5
account = {host_syncs_per_step = 2, operations = 100}

[[rows]]
setup = "fast"
optimizations = ["xformers"]
speedup = 1.5
"""
STEP = Account(
    operations=40, host_syncs=2, flops=10**9, casts=1, peak_bytes=2**20, places=(Place("host_sync", "diffusers/ddim.py", 7, "t.item()", 2),)
)
CALL = Account(operations=100, host_syncs=4, flops=2 * 10**9, casts=2, peak_bytes=2**21, weight_bytes=2**20, steps=2, per_step=STEP,
               places=(Place("host_sync", "diffusers/ddim.py", 7, "t.item()", 4),))  # fmt: skip


@pytest.fixture
def counts(monkeypatch):
    """Accounts of setups, which no model is built for: name of the setup -> account."""
    found = {}
    asked = []

    def count(resolved, stack, _registry):
        asked.append((resolved.table.name, resolved.setup, [part.name for part in stack], resolved.recipe))
        account = found.get(resolved.setup, CALL)
        if isinstance(account, Exception):
            raise account
        return account

    monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup", count)
    found["asked"] = asked
    return found


@pytest.fixture
def dry(pytester, counts):
    pytester.makefile(".toml", mine=TABLE)

    def run(*arguments):
        return pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default", "-rs", "--sd-dry", *arguments)

    return run


def test_rows_are_counted_and_never_claimed_as_measured(dry, counts):
    run = dry("mine.toml", "-v")
    run.assert_outcomes(passed=2, skipped=1)
    run.stdout.fnmatch_lines([
        "*xformers*",
        "sd accounts: mine   one denoising step, embedded weights, counted, not measured, as on *",
        "setup * operations * host syncs * host to device * casts * FLOPs * peak * verdict",
        "baseline * 40 * 2 * 0 * 1 * 1 G * 1 MB * counted",
        "half * 40 * 2 * 0 * 1 * 1 G * 1 MB * pass",
        "*2 host syncs   diffusers/ddim.py:7   t.item()",
    ], consecutive=False)  # fmt: skip
    run.stdout.no_fnmatch_line("*sd speed-ups*")
    assert [asked[:3] for asked in counts["asked"]] == [("mine", "baseline", []), ("mine", "half", ["fp16"])]


def test_a_row_over_its_account_fails_with_the_line(dry, counts):
    step = replace(STEP, host_syncs=3, places=(replace(STEP.places[0], line=9, count=3),))
    counts["half"] = replace(CALL, per_step=step)
    run = dry("mine.toml")
    run.assert_outcomes(passed=1, failed=1, skipped=1)
    run.stdout.fnmatch_lines(
        ["half of table 'mine', counted as on *:", "*host_syncs_per_step is 3, at most 2: 3 at diffusers/ddim.py:9  t.item()"]
    )


def test_a_run_of_one_row_counts_that_row_alone(dry, counts):
    dry("mine.toml::half").assert_outcomes(passed=1)
    assert [asked[1] for asked in counts["asked"]] == ["half"]


def test_the_seed_of_the_run_is_that_of_the_recipe(dry, counts):
    dry("mine.toml::half", "--sd-seed=7").assert_outcomes(passed=1)
    assert counts["asked"][0][3].seed == 7


def test_tests_of_latencies_count_setups_and_skip_what_only_a_clock_can_tell(dry, pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.sd_latency(table="mine")
        def test_row(sd_latency, sd_setup):
            sd_latency(sd_setup)

        @pytest.mark.sd_latency(table="mine")
        def test_account(sd_latency, sd_half):
            assert sd_latency(sd_half).operations == 100

        @pytest.mark.sd_latency(table="mine")
        def test_speed(sd_latency, sd_half):
            assert sd_latency(sd_half).speedup > 1

        @pytest.mark.sd_latency(speedup=1.0)
        def test_callable(sd_latency):
            sd_latency(lambda: None, baseline=lambda: None)

        @pytest.mark.sd_latency(table="mine")
        def test_never(sd_latency, sd_half):
            pass

        def test_both(sd_latency, sd_account, sd_half):
            sd_latency(sd_half)
            sd_account(sd_half)
        """)
    run = dry("--sd-tables=mine.toml", "--junit-xml=out.xml")
    run.assert_outcomes(passed=4, skipped=3, failed=1)
    run.stdout.fnmatch_lines(["*--sd-dry counts and measures nothing: there is no speedup to ask for", "*candidate takes no device that it could be counted on*"],
                             consecutive=False)  # fmt: skip
    run.stdout.fnmatch_lines(["*sd_latency was not called, so nothing was measured*"])


def test_the_default_table_is_that_of_a_gpu(dry, counts, pytester):
    pytester.makepyfile("def test_fp16(sd_latency, sd_fp16):\n    sd_latency(sd_fp16)\n")
    dry().assert_outcomes(passed=1)
    assert counts["asked"][0][:2] == ("inference", "fp16")


def test_the_account_of_a_setup_needs_no_option_and_is_that_of_the_full_size(pytester, counts):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.sd_account(host_syncs_per_step=2)
        def test_fp16(sd_account, sd_fp16):
            with pytest.raises(Exception, match="built while it is counted"):
                sd_fp16.pipeline
            sd_account(sd_fp16)

        @pytest.mark.sd_account(table="attention", host_syncs_per_step=1)
        def test_row(sd_account, sd_sdpa_fp16_b1):
            sd_account(sd_sdpa_fp16_b1)
        """)
    run = pytester.runpytest_inprocess("-p", "no:randomly")
    run.assert_outcomes(passed=1, failed=1)
    assert [(asked[:2], asked[3].height) for asked in counts["asked"]] == [
        (("inference", "fp16"), 512),
        (("attention", "sdpa_fp16_b1"), 512),
    ]
    run.stdout.fnmatch_lines(["*one denoising step, full size without weights, counted, not measured*"])


def test_every_row_of_a_table_may_be_counted_by_the_marker(pytester, counts):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.sd_account(table="distillation", host_syncs_per_step=2)
        def test_row(sd_account, sd_setup):
            sd_account(sd_setup)
        """)
    counts["baseline"] = replace(CALL, peak_bytes=2 * CALL.peak_bytes)  # the page promises less memory of the others
    assert pytester.runpytest_inprocess("-p", "no:randomly").ret == 0
    assert {asked[0] for asked in counts["asked"]} == {"distillation"}
    assert len(counts["asked"]) > 2


def test_a_marker_takes_precedence_over_the_account_of_the_row_and_both_hold(dry, pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.sd_account(table="mine", host_syncs_per_step=1, casts=2)
        def test_row(sd_account, sd_half):
            sd_account(sd_half)
        """)
    run = dry("--sd-tables=mine.toml", "--benchmark-json=out.json")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*host_syncs_per_step is 2, at most 1*"])
    (stored,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert stored["extra_info"]["sdspeed"]["bounds"] == {"host_syncs_per_step": 1, "casts": 2, "operations": 100}


def test_a_setup_that_is_timed_too_is_the_one_that_is_timed(pytester, counts):
    pytester.makepyfile("""
        def test_both(sd_latency, sd_account, sd_baseline):
            sd_account(sd_baseline)
            assert sd_baseline.recipe.model == "miniature"
            raise RuntimeError("before it is timed")
        """)
    pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(failed=1)
    assert counts["asked"][0][:2] == ("miniature", "baseline")


@pytest.mark.parametrize(("options", "said"), [
    (("--sd-gpu",), "--sd-dry and --sd-gpu: *"),
    (("--sd-confirm",), "--sd-dry and --sd-confirm: *"),
    (("--sd-against=HEAD", "--sd-against-control"), "--sd-dry and --sd-against-control: *"),
    (("-o", "sdspeed_against_control=true"), "--sd-dry and --sd-against-control: *-o sdspeed_against_control= takes it out*"),
    (("-o", "sdspeed_gpu=true"), "--sd-dry and --sd-gpu: *-o sdspeed_gpu= takes it out*"),
])  # fmt: skip
def test_what_needs_a_time_or_a_gpu_is_refused_beside_it(dry, options, said):
    run = dry("mine.toml", *options)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([f"*{said}"])


def test_the_configuration_file_may_ask_for_it(pytester, counts):
    pytester.makefile(".toml", mine=TABLE)
    pytester.makeini("[pytest]\nsdspeed_dry = true\n")
    pytester.runpytest_inprocess("-p", "no:randomly", "mine.toml::half").assert_outcomes(passed=1)


# Accounts in tables


@pytest.mark.parametrize(("account", "key", "said"), [
    ("{host_sync_per_step = 0}", "host_sync_per_step", "did you mean 'host_syncs_per_step'?"),
    ("{host_syncs = -1}", "host_syncs", "must be at least 0, not -1"),
    ("{host_syncs = 1.5}", "host_syncs", "must be an integer, not a float"),
    ("{host_syncs = true}", "host_syncs", "must be an integer, not a boolean"),
    ("{weight_bytes_per_step = 1}", "weight_bytes_per_step", "unknown key"),
    ("{}", "", "must not be empty"),
    ("3", "", "must be a table, not an integer"),
])  # fmt: skip
def test_a_malformed_account_ends_the_run_with_file_and_key(dry, pytester, account, key, said):
    pytester.makefile(".toml", mine=TABLE.replace("{host_syncs_per_step = 2, operations = 100}", account))
    run = dry("mine.toml")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    where = f"rows[1].account.{key}" if key else "rows[1].account"
    assert f"mine.toml: {where}: " in run.stderr.str()
    assert said in run.stderr.str()


def test_what_was_counted_is_recorded_as_bounds_that_hold_and_catch_one_more(dry, counts, pytester):
    run = dry("mine.toml", "--sd-record=counted.toml")
    run.stdout.fnmatch_lines(["sd record: mine: baseline: new", "sd record: mine: half: *host_syncs none -> 4*", "sd record: counted.toml: accounts of 2 rows of 'mine'"],
                             consecutive=False)  # fmt: skip
    table = load_table(pytester.path / "counted.toml")
    assert table.device == "dry run"
    assert table.recorded["speedups"] == "those of NVIDIA A100, not measured"
    account = table.row("half").account
    assert (account["host_syncs"], account["host_syncs_per_step"], account["weight_bytes"]) == (4, 2, 2**20)
    assert "recompilations" not in account
    assert not table.row("fast").account
    again = ("mine.toml", "--sd-tables=counted.toml")
    run = dry(*again)
    run.assert_outcomes(passed=2, skipped=1)
    run.stdout.no_fnmatch_line("* counted")
    counts["baseline"] = replace(CALL, device_to_host=1)
    run = dry(*again)
    run.assert_outcomes(failed=1, passed=1, skipped=1)
    run.stdout.fnmatch_lines(["*device_to_host is 1, at most 0"])


def test_recording_again_says_what_changes_and_records_nothing_that_fails(dry, counts, pytester):
    dry("mine.toml", "--sd-record=counted.toml")
    counts["baseline"] = replace(CALL, operations=90)
    counts["half"] = replace(CALL, operations=101)
    run = dry("mine.toml", "--sd-tables=counted.toml", "--sd-record=counted.toml")
    run.stdout.fnmatch_lines(["sd record: mine: half left out: its verdict is fail: operations is 101, at most 100*",
                              "sd record: mine: baseline: operations 100 -> 90"])  # fmt: skip
    table = load_table(pytester.path / "counted.toml")
    assert (table.row("baseline").account["operations"], table.row("half").account["operations"]) == (90, 100)


def test_a_recorded_table_of_latencies_keeps_them_and_gets_the_accounts(dry, pytester):
    recorded = TABLE.replace('device = "NVIDIA A100"', 'device = "NVIDIA H200"').replace(
        "[[rows]]", '[recorded]\nkind = "cuda"\n\n[[rows]]', 1
    )
    pytester.makefile(".toml", h200=recorded)
    dry("mine.toml", "--sd-record=h200.toml")
    table = load_table(pytester.path / "h200.toml")
    assert table.device == "NVIDIA H200"
    assert table.recorded == {"kind": "cuda"}
    assert table.row("half").speedup == 1.5
    assert table.row("half").account["host_syncs"] == 4
    assert "host_syncs" in tomllib.loads((pytester.path / "h200.toml").read_text())["rows"][1]["account"]


def test_a_table_that_somebody_wrote_is_not_replaced(dry, pytester):
    before = (pytester.path / "mine.toml").read_text()
    run = dry("mine.toml", "--sd-record=mine.toml")
    assert run.ret == pytest.ExitCode.TESTS_FAILED
    run.stdout.fnmatch_lines(["sd record: mine.toml: not replaced: it holds 'mine', a table that was written and not recorded*"])
    assert (pytester.path / "mine.toml").read_text() == before


def test_an_account_of_another_recipe_under_the_same_name_is_no_bound(dry, pytester):
    dry("mine.toml", "--sd-record=counted.toml")
    pytester.makefile(".toml", mine=TABLE.replace("steps = 2", "steps = 3"))
    run = dry("mine.toml", "--sd-tables=counted.toml")
    run.stdout.fnmatch_lines(["baseline * counted", "note: baseline, half: *counted.toml holds the account of another recipe or stack*"])


def test_a_real_row_is_counted_with_the_syncs_of_its_scheduler(pytester):
    pytester.makefile(".toml", mine=TABLE.replace("host_syncs_per_step = 2, operations = 100", "host_syncs_per_step = 1"))
    run = pytester.runpytest_inprocess("-p", "no:randomly", "--sd-dry", "mine.toml::half", "--benchmark-json=out.json")
    run.assert_outcomes(failed=1)
    run.stdout.re_match_lines([r".*host_syncs_per_step is \d, at most 1: \d at diffusers/schedulers/scheduling_ddim.py:\d+  \S"])
    (stored,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    record = stored["extra_info"]["sdspeed"]
    assert record["weights"] == "embedded"
    assert record["optimizations"] == ["fp16"]
    assert record["recipe"]["steps"] == 2
    assert record["account"]["weight_bytes"] > 10**6


# What a page says, beside the peaks of its device

WORK = Work("mm", "float32", flops=10**14, bytes_moved=10**6, count=1)


@pytest.mark.parametrize(("latency", "outcome"), [(1.0, {"passed": 1}), (0.05, {"failed": 1})])
def test_a_documented_latency_under_what_its_device_could_ever_do_fails(dry, counts, pytester, latency, outcome):
    pytester.makefile(".toml", mine=TABLE.replace('setup = "half"', f'setup = "half"\nlatency_s = {latency}').replace(
        'setup = "baseline"', f'setup = "baseline"\nlatency_s = {1.5 * latency}'))  # fmt: skip
    counts["half"] = replace(CALL, flops=10**14, work=(WORK,))
    run = dry("mine.toml::half")
    run.assert_outcomes(**outcome)
    if latency < 0.1:
        run.stdout.fnmatch_lines(["*documented 0.05 s on NVIDIA A100* is impossible: its arithmetic takes at least 0.* s there*"])
    else:
        run.stdout.fnmatch_lines(["  of the documented time on NVIDIA A100, its peaks explain: half *%"])


@pytest.mark.parametrize(("baseline", "outcome"), [(2**21, {"failed": 1}), (2**23, {"passed": 1})])
def test_a_row_that_promises_memory_is_held_to_it_without_a_gpu(dry, counts, pytester, baseline, outcome):
    pytester.makefile(".toml", mine=TABLE.replace('setup = "half"', 'setup = "half"\nmemory = 0.5'))
    counts["baseline"] = replace(CALL, peak_bytes=baseline)
    dry("mine.toml::half").assert_outcomes(**outcome)


def test_a_row_whose_work_depends_on_values_is_skipped_unless_it_has_an_account_to_keep(dry, counts):
    counts["baseline"] = counts["half"] = DryRunError("cache.py:7 needs the value of a tensor that has no values in this dry run")
    run = dry("mine.toml")
    run.assert_outcomes(skipped=2, failed=1)
    run.stdout.fnmatch_lines(
        ["sd rows: 3 of 1 table*: 0 counted, 1 failed without a figure, 2 skipped", "failed without a figure: mine::half"],
        consecutive=False,
    )
    run.stdout.fnmatch_lines(
        ["*skipped, 1 row: it cannot be counted: cache.py:7 needs the value of a tensor * in this dry run: mine::baseline"]
    )


@pytest.mark.parametrize("row", ["lora_fast_h100_lora", "lora_fast_h100_no_fa3_fp8"], ids=["no account", "an account"])
def test_weights_that_are_not_here_skip_a_row_of_the_package_and_fail_one_of_a_user(dry, counts, pytester, row):
    pytest.importorskip("peft")
    counts["baseline"] = counts[row] = ModelUnavailableError("lora a/b cannot be loaded.")
    dry("mine.toml::baseline").assert_outcomes(failed=1)
    pytester.makepyfile("""
        import pytest

        @pytest.mark.sd_latency(table="lora_fast_h100")
        def test_row(sd_latency, sd_setup):
            sd_latency(sd_setup)
        """)
    run = dry("-k", f"{row}]")
    run.assert_outcomes(skipped=1)
    run.stdout.fnmatch_lines([f"skipped, 1 row: it cannot be counted: lora a/b cannot be loaded: lora_fast_h100::{row}"])


def test_a_test_that_asks_for_an_account_fails_if_there_is_none(dry, counts, pytester):
    counts["baseline"] = DryRunError("cache.py:7 needs the value")
    pytester.makepyfile("""
        import pytest

        @pytest.mark.sd_account(table="mine", operations=1)
        def test_row(sd_account, sd_baseline):
            sd_account(sd_baseline)
        """)
    run = dry("--sd-tables=mine.toml")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*cache.py:7 needs the value*"])
