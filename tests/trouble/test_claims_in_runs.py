"""Sentences that compare rows are tests: true ones pass, false ones fail, and what nobody can tell is said to be so."""

from __future__ import annotations

import pytest
from claimed import HEAD, JUDGE, claim, judge

FASTER = 'faster = ["quicker", "quick", "baseline"]'


@pytest.fixture
def run(gated, pytester):
    def run(claims, *arguments, **facts):
        return judge(gated, pytester, claims, *arguments, **facts)

    return run


def said(result, *lines):
    result.stdout.fnmatch_lines([f"*{line}*" for line in lines])


def test_a_true_claim_passes_and_shows_the_ratio_of_its_rows(run):
    result = run(claim(FASTER, "Stacked they are the fastest."))
    result.assert_outcomes(passed=1)
    said(
        result,
        "sd claims: said   judged on *",
        'pass: faster-quicker: "Stacked they are the fastest."',
        "quicker against quick      x1.33 [[]1.3*, 1.3*]   faster, more than x1   pass",
        "quicker against baseline   x2.0* [[]*]   faster, more than x1   pass",
    )


def test_a_false_claim_fails_with_what_was_found(run):
    result = run(claim(FASTER), seconds={"quicker": 1.05})
    result.assert_outcomes(failed=1)
    said(result, "quicker against quick x0.95* said faster, more than x1 (fail)", "See https://*/verdicts/#claims")


def test_a_row_that_is_as_fast_as_the_other_decides_nothing(run):
    result = run(claim('faster = ["quicker", "quick"]'), seconds={"quicker": 0.9985})
    result.assert_outcomes(failed=1)
    said(result, "could not be decided*more blocks would decide it: --sd-budget * --sd-max-blocks *")
    for manner, outcome in (("skip", {"skipped": 1}), ("warn", {"passed": 1, "warnings": 1})):
        run(claim('faster = ["quicker", "quick"]'), f"--sd-inconclusive={manner}", seconds={"quicker": 0.9985}).assert_outcomes(**outcome)


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(0.70, "passed"), (0.765, "passed"), (0.82, "failed")],
    ids=["above", "within the tolerance", "below"],
)
def test_a_figure_has_the_tolerance_of_a_speed_up(run, seconds, outcome):
    result = run(claim('faster = ["quicker", "quick"]\nby = 1.333'), seconds={"quicker": seconds})
    result.assert_outcomes(**{outcome: 1})
    said(result, "faster, more than x1.27")


def test_a_figure_close_to_one_still_says_that_there_is_a_difference(run):
    """Its tolerance would let a row pass that is slower than what it is said to be faster than."""
    result = run(claim('faster = ["quicker", "quick"]\nby = 1.02'), seconds={"quicker": 1.01})
    result.assert_outcomes(failed=1)
    said(result, "faster, more than x1 ")


def test_slower_is_not_faster(run):
    run(claim('slower = ["quick", "quicker"]')).assert_outcomes(passed=1)
    run(claim('slower = ["quicker", "quick"]')).assert_outcomes(failed=1)


def test_one_false_comparison_among_true_ones_fails(run):
    result = run(claim('faster = ["quick", "quicker", "baseline"]'))
    result.assert_outcomes(failed=1)
    said(result, "quick against quicker*(fail)*quick against baseline*(pass)")


def test_rows_that_cannot_be_built_are_skipped_with_their_reason(run):
    result = run(claim('faster = ["elsewhere", "baseline"]') + claim('comparable = ["quick", "elsewhere"]'))
    result.assert_outcomes(skipped=2)
    said(result, "SKIPPED*it needs another engine")


def test_an_acknowledged_claim_is_skipped_while_it_is_false_and_fails_when_it_is_true(run):
    denied = claim('faster = ["quicker", "quick"]\nnotes = "claim: the source itself measured the opposite"')
    result = run(denied, seconds={"quicker": 1.2})
    result.assert_outcomes(skipped=1)
    said(result, "known to be false: faster-quicker", "SKIPPED*x0.83*Its notes say: the source itself measured the opposite.")
    result = run(denied)
    result.assert_outcomes(failed=1)
    said(result, "is true, and its notes call it false*Take the line `claim: ...` out")


@pytest.mark.parametrize(("seconds", "outcome"), [(0.77, "skipped"), (0.72, "failed")])
def test_a_figure_that_is_called_wrong_has_no_tolerance(run, seconds, outcome):
    """x1.30 is within the tolerance of x1.333, and is not what the sentence says."""
    denied = claim('faster = ["quicker", "quick"]\nby = 1.333\nnotes = "claim: the source itself measured less"')
    run(denied, seconds={"quicker": seconds}).assert_outcomes(**{outcome: 1})


def test_an_acknowledgement_of_too_few_words_acknowledges_nothing(run):
    run(claim('faster = ["quicker", "quick"]\nnotes = "claim: not true"'), seconds={"quicker": 1.2}).assert_outcomes(failed=1)


def test_what_is_denied_of_another_device_and_is_true_on_this_one_is_no_failure(run):
    """What was measured on the table's device binds no other one."""
    denied = claim('faster = ["quicker", "quick"]\nnotes = "claim: the source itself measured the opposite"')
    recorded = '\n[recorded]\nkind = "cpu"\n'
    result = run(denied + recorded, head=HEAD.replace('device = "cpu"', 'device = "Another CPU"'))
    result.assert_outcomes(skipped=1)
    said(result, "true here: faster-quicker", "SKIPPED*is true on this device, and its notes call it false of another one")


def test_memory_is_not_compared_on_a_cpu(run):
    result = run(claim('less_memory = ["quick", "baseline"]'))
    result.assert_outcomes(skipped=1)
    said(result, "its memory cannot be compared: on a CPU peaks are lower bounds")


def test_pictures_are_held_to_the_bounds_of_the_first_row(run):
    run(claim('comparable = ["quick", "baseline"]')).assert_outcomes(passed=1)
    result = run(claim('comparable = ["quick", "baseline"]'), pictures={"quick": 7})
    result.assert_outcomes(failed=1)
    said(result, "pictures of quick against baseline*said psnr 30 (fail)")


def test_pictures_that_no_bound_was_held_to_are_no_evidence(run):
    head = HEAD.replace("image = {psnr = 30}", "image = {clip_drop = 0.1}")
    result = run(claim('comparable = ["quick", "baseline"]'), "--sd-clip=nowhere/at-all", head=head)
    result.assert_outcomes(skipped=1)
    said(result, "were not held to the bounds of its row here: *CLIP*")


def test_settings_of_torch_are_those_of_a_new_process(run):
    text = claim('defaults = {"backends.cudnn.allow_tf32" = true, "backends.cuda.matmul.allow_tf32" = false}')
    source = "import torch\n\n@pytest.fixture(autouse=True)\ndef set_by_somebody():\n    before = torch.backends.cudnn.allow_tf32\n"
    source += "    torch.backends.cudnn.allow_tf32 = False\n    yield\n    torch.backends.cudnn.allow_tf32 = before\n" + JUDGE
    run(text, source=source).assert_outcomes(passed=1)


def test_wrong_settings_and_unknown_ones_are_told_apart(run, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.device.torch_defaults.read_defaults", lambda _names: {"backends.cudnn.allow_tf32": True})
    result = run(claim('defaults = {"backends.cudnn.allow_tf32" = false, "backends.cuda.nosuch" = 1}'))
    result.assert_outcomes(failed=1)
    said(result, "torch.backends.cudnn.allow_tf32 True, said False (fail)*nosuch torch has no such setting*(invalid)")


def test_a_row_that_raises_fails_the_claims_on_it(run):
    result = run(claim('faster = ["quicker", "quick"]'), broken=("quick",))
    result.assert_outcomes(failed=1)
    said(result, "quick raised RuntimeError: planted")


@pytest.mark.parametrize("name", ["quick", "quicker"])
def test_a_row_that_draws_black_pictures_is_no_evidence_of_speed(run, name):
    result = run(claim('faster = ["quicker", "quick"]'), black=(name,))
    result.assert_outcomes(failed=1)
    said(result, f"could not be judged*Reason: {name}: *slots black")


def test_a_test_that_never_judges_its_claim_fails(run):
    result = run(claim(FASTER), source="@pytest.mark.sd_latency(table='said')\ndef test_claims(sd_claim):\n    pass\n")
    result.assert_outcomes(failed=1)
    said(result, "sd_claim was not called, so nothing was judged")


def test_a_test_that_catches_the_failure_fails_all_the_same(run):
    source = "@pytest.mark.sd_latency(table='said')\ndef test_claims(sd_claim):\n    try:\n        sd_claim()\n    except BaseException:\n        pass\n"
    run(claim('faster = ["quick", "quicker"]'), source=source).assert_outcomes(failed=1)


def test_a_table_without_claims_is_a_usage_error(run):
    result = run("")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*table 'said' has none*"])


def test_a_claim_that_is_asked_for_late_says_how_to_ask(run):
    source = "@pytest.mark.sd_latency(table='said')\ndef test_claims(request):\n    request.getfixturevalue('sd_claim')()\n"
    result = run(claim(FASTER), source=source)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said(result, "take it as an argument of the test")
