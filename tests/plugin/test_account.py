"""The gate ``sd_account``: what is planted fails with its line, what is not passes, and who never asks fails."""

import json
import os
import re
import xml.etree.ElementTree as ET

import pytest
from counting import BOUNDS, run_counted

GATE = f"""
@pytest.mark.sd_account({BOUNDS})
def test_loop(sd_account):
    sd_account(make(__PLANT__))
"""


def gate(plant=None):
    return GATE.replace("__PLANT__", repr(plant))


@pytest.fixture
def counted(pytester):
    return lambda source, *arguments: run_counted(pytester, source, *arguments)


def test_a_loop_that_asks_for_nothing_passes_twice_with_equal_accounts(counted):
    run = counted(
        """
ACCOUNTS = []

@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.sd_account(BOUNDS)
def test_loop(sd_account, attempt):
    ACCOUNTS.append(sd_account(make()))

def test_equal():
    assert ACCOUNTS[0] == ACCOUNTS[1]
    assert ACCOUNTS[0].steps == 4 and ACCOUNTS[0].per_step.operations == 7
""".replace("BOUNDS", BOUNDS)
    )
    run.assert_outcomes(passed=3)


@pytest.mark.parametrize(("plant", "said"), [
    ("item", r"host_syncs_per_step is 1, at most 0: 1 at \S*engine.py:20  y = y \* t.item\(\)"),
    ("copy", r"host_to_device_per_step is 1, at most 0: 1 at \S*engine.py:24  y = y \+ torch.ones"),
    ("back", r"device_to_host_per_step is 1, at most 0: 1 at \S*engine.py:26  y.cpu\(\)"),
    ("once", r"host_syncs_per_step is 1, at most 0: 1 at \S*engine.py:22"),
    ("cast", r"casts_per_step is 6, at most 2"),
])  # fmt: skip
def test_what_is_planted_into_a_step_fails_with_its_line(counted, plant, said):
    run = counted(gate(plant))
    run.assert_outcomes(failed=1)
    run.stdout.re_match_lines([".*" + said])
    run.stdout.fnmatch_lines(["See https://*/guides/count-without-a-gpu/"])


def test_what_is_planted_behind_the_steps_fails_the_bound_of_the_call_alone(counted):
    run = counted("""
@pytest.mark.parametrize("plant", [None, "end"])
@pytest.mark.sd_account(host_syncs_per_step=0, host_syncs=2)
def test_loop(sd_account, plant):
    sd_account(make(plant))
""")
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.re_match_lines([r".*host_syncs is 3, at most 2: .*engine.py:29  x.sum\(\).item\(\)"])


def test_a_bound_of_a_step_is_invalid_where_no_two_steps_are_seen(counted):
    run = counted("""
import torch

@pytest.mark.sd_account(host_syncs_per_step=0)
def test_one_step(sd_account):
    sd_account(make(steps=1))

@pytest.mark.sd_account(host_syncs_per_step=0)
def test_no_scheduler(sd_account):
    sd_account(lambda device: torch.ones(4, device=device) + 1)

@pytest.mark.sd_account(recompilations=0)
def test_nothing_compiled(sd_account):
    sd_account(lambda device: torch.ones(4, device=device) + 1)
""")
    run.assert_outcomes(failed=3)
    run.stdout.fnmatch_lines(["invalid: *", "*host_syncs_per_step is not known, at most 0: 1 denoising step of*", "*: 0 denoising steps of*",
                              "*recompilations is not known, at most 0: *"])  # fmt: skip


def test_a_graph_break_and_a_recompilation_fail_with_their_line(counted):
    run = counted("""
import torch

@pytest.mark.parametrize("plant", [None, "break", "again"])
@pytest.mark.sd_account(graph_breaks=0, recompilations=0)
def test_compiled(sd_account, plant):
    def prepare(device):
        layer = torch.nn.Linear(8, 8).to(device)
        sizes = [1]

        def work(x):
            y = layer(x)
            if plant == "break":
                torch._dynamo.graph_break()
            return layer(y)

        compiled = torch.compile(work, dynamic=False)

        def generate():
            sizes[0] += plant == "again"
            return compiled(torch.ones(sizes[0], 8, device=device))

        return generate

    sd_account(prepare)
""")
    run.assert_outcomes(passed=1, failed=2)
    run.stdout.re_match_lines([r".*graph_breaks is \d, at most 0: .*\.py:\d+  torch._dynamo.graph_break\(\)"])
    run.stdout.re_match_lines([r".*recompilations is \d, at most 0: \d at .*\.py:\d+  "])


def test_a_callable_that_never_uses_the_device_is_invalid(counted):
    run = counted("""
import torch

@pytest.mark.sd_account(host_syncs=0)
def test_elsewhere(sd_account):
    sd_account(lambda device: torch.ones(4).sum().item())
""")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*no operation ran on the device*"])


def test_without_bounds_it_is_counted_and_never_called_a_pass(counted, pytester):
    run = counted("def test_loop(sd_account):\n    assert sd_account(make()).host_syncs == 2\n", "--junit-xml=out.xml")
    run.assert_outcomes(passed=1)
    run.stdout.re_match_lines([r"sd accounts: callables of \S*::test_loop   one denoising step, counted, not measured, .*",
                               r"setup +operations +host syncs +host to device +casts +FLOPs +peak +verdict", r"engine +7 .* counted"])  # fmt: skip
    run.stdout.no_fnmatch_line("*sd speed-ups*")
    told = {one.get("name"): one.get("value") for one in ET.parse(pytester.path / "out.xml").iter("property")}
    assert told["sdspeed_account_verdict"] == "counted"
    assert told["sdspeed_account_host_syncs_per_step"] == "0"
    assert told["sdspeed_account_operations_per_step"] == "7"
    assert "sdspeed_account_recompilations" not in told


@pytest.mark.parametrize(("marker", "said"), [
    ("host_sync=0", "unknown bound of an account 'host_sync'; valid: *host_syncs_per_step*"),
    ("weight_bytes_per_step=0", "unknown bound of an account 'weight_bytes_per_step'*"),
    ("'inference'", "takes its bounds by name, not 'inference'*"),
    ("host_syncs='none'", "host_syncs='none'; valid: a whole number*"),
    ("host_syncs=0.5", "host_syncs=0.5; valid: a whole number*"),
    ("host_syncs=-1", "host_syncs=-1; valid: a whole number*"),
    ("host_syncs=True", "host_syncs=True; valid: a whole number*"),
    ("host_syncs=None", "host_syncs=None; valid: a whole number*"),
    ("table='nowhere'", "unknown table 'nowhere'*"),
    ("table=3", "table=3; valid: the name of a table*"),
])  # fmt: skip
def test_a_marker_that_means_nothing_ends_the_run_before_any_test(counted, marker, said):
    run = counted(f"@pytest.mark.sd_account({marker})\ndef test_loop(sd_account):\n    sd_account(make())\n\ndef test_other():\n    pass\n")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([f"*{said}".replace("[", "[[]")])
    run.stdout.no_fnmatch_line("*passed*")


def test_a_marked_test_that_never_asks_fails_and_one_that_says_why_does_not(counted):
    run = counted("""
@pytest.mark.sd_account(host_syncs=0)
def test_never(sd_account):
    pass

@pytest.mark.sd_account(host_syncs=0)
def test_marked_alone():
    pass

def test_argument_alone(sd_account):
    pass

def test_skipped(sd_account):
    pytest.skip("not here")

def test_not_gated():
    pass
""")
    run.assert_outcomes(failed=3, skipped=1, passed=1)
    run.stdout.fnmatch_lines(["*sd_account was not called, so nothing was counted: call it, *"])


def test_a_caught_failure_is_a_failure_and_a_second_call_an_error(counted):
    run = counted("""
@pytest.mark.sd_account(host_syncs=0)
def test_caught(sd_account):
    with pytest.raises(BaseException):
        sd_account(make("item"))

def test_twice(sd_account):
    sd_account(make())
    sd_account(make("item"))
""")
    run.assert_outcomes(failed=2)
    run.stdout.fnmatch_lines(
        ["*host_syncs is 6, at most 0*", "*sd_account counts once per test*first call here said: *engine in a denoising step:*"]
    )


def test_a_known_failure_is_expected(counted):
    counted("@pytest.mark.xfail(strict=True)" + gate("item")).assert_outcomes(xfailed=1)


@pytest.mark.parametrize(("target", "said"), [
    ("lambda: None", "*it takes no device, so that nothing of it can be counted; valid: *sd_account(lambda device: ...)"),
    ("lambda first, second: None", "*it takes no device*"),
    ("3", "*sd_account: the target is 3; valid: a setup fixture*a callable (device) -> *"),
    ("'nowhere:nothing'", "*sd_account: the target is 'nowhere:nothing': *"),
    ("lambda device: 1 / 0", "*target raised ZeroDivisionError: *"),
])  # fmt: skip
def test_what_cannot_be_counted_says_what_can(counted, target, said):
    run = counted(f"def test_loop(sd_account):\n    sd_account({target})\n")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines([said])


def test_a_callable_is_named_by_where_to_import_it_from_and_may_have_a_default_device(counted):
    counted("""
import torch

def work(device="cpu"):
    return torch.ones(2, device=device) * 2

def test_address(sd_account):
    assert sd_account(f"{__name__}:work").operations
""").assert_outcomes(passed=1)


def test_a_callable_that_leaves_a_flag_set_fails(counted):
    run = counted("""
import torch

def test_flag(sd_account):
    def work(device):
        torch.backends.cuda.matmul.allow_tf32 = True
        return torch.ones(2, device=device) * 2
    sd_account(work)

def test_after(sd_account):
    assert not torch.backends.cuda.matmul.allow_tf32
    sd_account(make())
""")
    run.assert_outcomes(failed=1, passed=1)
    run.stdout.fnmatch_lines(["*left process-global flags behind*"])


def test_a_gate_that_the_collection_could_not_tell_of_says_to_mark_the_test(counted):
    run = counted("def test_late(request):\n    request.getfixturevalue('sd_account')(make())\n")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*mark it with @pytest.mark.sd_account(...)*"])
    counted("@pytest.mark.sd_account\ndef test_late(request):\n    request.getfixturevalue('sd_account')(make())\n").assert_outcomes(
        passed=1
    )


# Beside pytest-benchmark


def test_its_record_is_told_from_one_of_latencies_and_has_no_time(counted, pytester):
    run = counted(gate(), "--benchmark-json=out.json", "--benchmark-save=run")
    run.stdout.no_fnmatch_line("*Name (time in*")
    stored = json.loads((pytester.path / "out.json").read_text())
    (benchmark,) = stored["benchmarks"]
    assert benchmark["fullname"].endswith("::test_loop (account)")
    assert benchmark["stats"]["rounds"] == 0
    assert benchmark["stats"]["data"] == []
    record = benchmark["extra_info"]["sdspeed"]
    assert (record["schema"], record["kind"], record["verdict"]) == (1, "account", "pass")
    assert record["account"]["host_syncs"] == 2
    assert record["account"]["per_step"]["casts"] == 2
    assert record["bounds"]["casts_per_step"] == 2
    assert record["versions"]["torch"]
    assert record["test"].endswith("::test_loop")
    assert {"kind", "file", "line", "code", "count", "reason"} == set(record["account"]["places"][0])
    assert stored["machine_info"]["sdspeed"]["device"] == "dry run"


def test_later_runs_tell_its_own_history_and_compare_its_time_with_nothing(counted):
    assert counted(gate(), "--benchmark-save=run").ret == 0
    run = counted(gate(), "--benchmark-save=run", "--benchmark-compare", "--benchmark-compare-fail=mean:1%")
    assert run.ret == 0
    run.stdout.fnmatch_lines(["history: engine of *::test_loop: the same counts over 2 runs"])
    run.stdout.no_fnmatch_line("*not a record*")


@pytest.mark.parametrize(("option", "outcome", "stored"), [
    ("--benchmark-disable", {"failed": 1}, False), ("--benchmark-only", {"failed": 1}, True), ("--benchmark-skip", {"skipped": 1}, False),
])  # fmt: skip
def test_options_of_pytest_benchmark_take_no_failure_away(counted, pytester, option, outcome, stored):
    counted(gate("item"), option, "--benchmark-json=out.json").assert_outcomes(**outcome)
    path = pytester.path / "out.json"
    assert bool(path.exists() and path.read_text()) == stored


def test_without_pytest_benchmark_the_run_says_what_it_needs(counted):
    run = counted(gate(), "-p", "no:benchmark")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["*keeps its record through pytest-benchmark*So does sd_account*"])


# What is read of it


def test_the_report_the_summary_and_the_comment_tell_of_counts_and_lines(counted, pytester, monkeypatch, capsys):
    from pytest_sdspeed.__main__ import main

    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    counted(gate() + gate("item").replace("test_loop", "test_stall"), "--sd-report=page.html", "--benchmark-json=out.json").assert_outcomes(
        passed=1, failed=1
    )
    os.environ.pop("GITHUB_STEP_SUMMARY")
    assert main(["report", "out.json", "again.html"]) == 0
    assert main(["comment", "out.json", "--exit-code", "1"]) == 0
    printed = capsys.readouterr().out
    pages = [(pytester.path / name).read_text() for name in ("page.html", "again.html")]
    for page in pages:
        assert "1 of 2 rows need attention" in page
        assert "y = y * t.item()" in page
        assert 'data-verdict="fail"' in page
    summary = (pytester.path / "summary.md").read_text()
    for told in (summary, printed):
        assert "### Accounts" in told
        assert "engine.py:20" in told
        assert "❌ fail" in told
        assert told.index("fail |") < told.index("pass |")
    assert "## ❌ Diffusion speed-ups and pictures: 1 fail, 1 pass" in printed
    assert not re.search(r"(?<![\\w])nan", summary)


def test_a_run_that_only_counted_has_a_comment_without_a_claim(counted, capsys):
    from pytest_sdspeed.__main__ import main

    counted("def test_loop(sd_account):\n    sd_account(make())\n", "--benchmark-json=out.json").assert_outcomes(passed=1)
    assert main(["comment", "out.json", "--exit-code", "0"]) == 0
    told = capsys.readouterr().out
    assert "Diffusion speed-ups and pictures: 1 counted" in told
    assert "pass |" not in told
