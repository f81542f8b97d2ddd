"""What changed in a history: planted steps are called by what they are, and what is no lasting step is not called at all."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pytest_sdspeed.judge.changes.causes import judge_histories, judge_history_among, unresolved_regression
from pytest_sdspeed.judge.changes.evidence import gather_evidence
from pytest_sdspeed.model import History, HistoryRun

N, STEP = 40, 30
LATENCIES_S = {"baseline": 2.0, "tf32": 1.5, "fp16": 1.3}
SEEDS = range(5)


def after(size, since=STEP):
    return lambda run: size if run >= since else 0.0


def nothing(_run):
    return 0.0


def campaign(seed=0, runs=N, plant=None, *, common=nothing, canary=nothing, noise=0.004, facts=None):
    """Histories of a campaign whose runs share the machine's noise.

    Args:
        seed: of the noise.
        runs: how many.
        plant: setup -> run -> what is added to the logarithm of its latency.
        common: run -> the same for all setups; canary: for the canary.
        noise: of each setup by itself, a fraction; the machine's is 1%.
        facts: run -> other facts of it.
    """
    rng = np.random.default_rng(seed)
    machine = 0.01 * rng.standard_normal(runs)
    times = {
        setup: [
            math.log(latency) + machine[run] + noise * rng.standard_normal() + (plant or {}).get(setup, nothing)(run) + common(run)
            for run in range(runs)
        ]
        for setup, latency in LATENCIES_S.items()
    }
    canaries = [
        {name: math.exp(-5 + machine[run] + 0.004 * rng.standard_normal() + canary(run)) for name in ("matmul", "copy")}
        for run in range(runs)
    ]
    return [
        History(
            table="inference",
            setup=setup,
            baseline="baseline",
            device="gpu",
            recipe="{}",
            runs=tuple(
                HistoryRun(
                    **{
                        "name": f"{run:04}",
                        "date": f"2026-{1 + run // 28:02}-{1 + run % 28:02}",
                        "commit": f"{run:07x}",
                        "dirty": False,
                        "host": "a",
                        "versions": {"torch": "2.13.0"},
                        "verdict": "pass",
                        "speedup": math.exp(times["baseline"][run] - times[setup][run]),
                        "low": 1.0,
                        "high": 2.0,
                        "latency_s": math.exp(times[setup][run]),
                        "baseline_latency_s": math.exp(times["baseline"][run]),
                        "canary_s": canaries[run],
                        "reference": True,
                    }
                    | (facts(run) if facts else {})
                )
                for run in range(runs)
            ),
        )
        for setup in LATENCIES_S
    ]


def upgraded(run):
    return {"versions": {"torch": "2.14.0" if run >= STEP else "2.13.0"}}


def called(histories):
    """Setup -> kinds of its changes, in order."""
    return {history.setup: [change.kind for change in history.changes] for history in judge_histories(histories)}


def change_of(histories, setup):
    (change,) = next(history for history in judge_histories(histories) if history.setup == setup).changes
    return change


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_is_no_change(seed):
    assert called(campaign(seed, runs=100)) == {"baseline": [], "tf32": [], "fp16": []}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_in_one_row_is_the_code(seed):
    histories = campaign(seed, plant={"fp16": after(0.06)})
    assert called(histories) == {"baseline": [], "tf32": [], "fp16": ["code"]}
    change = change_of(histories, "fp16")
    assert (change.since, change.found, change.ratio, change.holds) == (STEP, STEP + 1, True, True)
    assert change.change == pytest.approx(0.06, abs=0.01)
    assert change.versions == {}
    assert change.reasons[0].startswith("the ratio moved -")
    assert change.reasons[1].startswith("the canary stayed (")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_in_one_row_names_the_versions_that_changed_with_it(seed):
    change = change_of(campaign(seed, plant={"fp16": after(0.06)}, facts=upgraded), "fp16")
    assert change.kind == "code"
    assert change.versions == {"torch": ("2.13.0", "2.14.0")}
    assert change.reasons[-1] == "with torch 2.13.0 -> 2.14.0"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_of_everything_with_the_canary_is_the_machine(seed):
    histories = campaign(seed, common=after(0.08), canary=after(0.08), facts=upgraded)
    assert called(histories) == {"baseline": ["machine"], "tf32": ["machine"], "fp16": ["machine"]}
    assert change_of(histories, "fp16").change == pytest.approx(0.08, abs=0.015)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_operation_of_the_canary_is_enough_for_the_machine(seed):
    def slower_memory(run):
        return {"canary_s": {"matmul": 0.01, "copy": 0.02 * (1.3 if run >= STEP else 1.0)}}

    assert called(campaign(seed, common=after(0.08), facts=slower_memory))["fp16"] == ["machine"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_of_everything_but_the_canary_is_the_stack(seed):
    histories = campaign(seed, common=after(0.08), facts=upgraded)
    assert called(histories) == {"baseline": ["stack"], "tf32": ["stack"], "fp16": ["stack"]}
    assert [reason.partition(" (")[0] for reason in change_of(histories, "baseline").reasons[1:]] == [
        "the canary stayed",
        "with torch 2.13.0 -> 2.14.0",
    ]
    change = change_of(histories, "tf32")
    latency, stayed, *_ = change.reasons
    assert latency.startswith(("latency +7.", "latency +8.", "latency +9."))
    assert stayed.startswith(("the ratio stayed (-0.", "the ratio stayed (+0."))
    assert (change.ratio, change.versions) == (False, {"torch": ("2.13.0", "2.14.0")})
    assert change.change == pytest.approx(0.08, abs=0.015)


def test_the_stack_without_a_version_that_changed_says_so():
    assert change_of(campaign(common=after(0.08)), "fp16").reasons[-1] == "no recorded version changed: look at what all rows share"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_of_every_row_but_the_baseline_with_a_new_version_is_the_stack(seed):
    slower = {"tf32": after(0.06), "fp16": after(0.08)}
    assert called(campaign(seed, plant=slower, facts=upgraded)) == {"baseline": [], "tf32": ["stack"], "fp16": ["stack"]}
    assert change_of(campaign(seed, plant=slower, facts=upgraded), "fp16").reasons[2:] == (
        "so did every other row",
        "with torch 2.13.0 -> 2.14.0",
    )
    assert called(campaign(seed, plant=slower)) == {"baseline": [], "tf32": ["code"], "fp16": ["code"]}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slower_baseline_is_no_improvement_of_its_rows(seed):
    assert called(campaign(seed, plant={"baseline": after(0.06)})) == {"baseline": ["code"], "tf32": [], "fp16": []}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_faster_row_is_an_improvement(seed):
    change = change_of(campaign(seed, plant={"fp16": after(-0.06)}), "fp16")
    assert change.kind == "improvement"
    assert change.change == pytest.approx(-0.06, abs=0.01)
    assert change.reasons[0].startswith("the ratio moved +6.")
    assert change.reasons[1].startswith("the canary stayed (")


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_faster_with_the_canary_is_the_machine_and_without_it_an_improvement(seed):
    assert called(campaign(seed, common=after(-0.08), canary=after(-0.08)))["fp16"] == ["machine"]
    assert called(campaign(seed, common=after(-0.08), facts=upgraded))["fp16"] == ["improvement"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_single_spike_is_no_change(seed):
    spike = {"fp16": lambda run: 0.3 if run == STEP else 0.0}
    assert called(campaign(seed, plant=spike)) == {"baseline": [], "tf32": [], "fp16": []}
    last = {"fp16": lambda run: 0.3 if run == N - 1 else 0.0}
    assert called(campaign(seed, plant=last))["fp16"] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_drift_is_found_within_fifteen_runs(seed):
    drift = {"fp16": lambda run: 0.005 * max(0, run - STEP)}
    history = judge_histories(campaign(seed, runs=STEP + 16, plant=drift))[2]
    assert history.changes[0].kind == "code"
    assert history.changes[0].found <= STEP + 15


@pytest.mark.parametrize("seed", SEEDS)
def test_another_host_explains_what_the_canary_does_not_show(seed):
    def moved(run):
        return {"host": "b" if run >= STEP else "a"}

    histories = campaign(seed, common=after(0.08), facts=moved)
    assert called(histories)["fp16"] == ["machine"]
    assert change_of(histories, "fp16").reasons[-1] == "on another host: a -> b"
    both = campaign(seed, common=after(0.08), facts=lambda run: moved(run) | upgraded(run))
    assert called(both)["fp16"] == ["stack"]
    elsewhere_before = campaign(seed, common=after(0.08), facts=lambda run: {"host": "b" if run >= STEP or run % 3 == 0 else "a"})
    assert called(elsewhere_before)["fp16"] == ["stack"]


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_canary_the_versions_decide(seed):
    unknown = {"canary_s": {}}
    assert called(campaign(seed, common=after(0.08), facts=lambda _run: unknown))["fp16"] == ["machine"]
    assert called(campaign(seed, common=after(0.08), facts=lambda run: unknown | upgraded(run)))["fp16"] == ["stack"]
    slower_baseline = campaign(seed, plant={"baseline": after(0.06)}, facts=lambda _run: unknown)
    assert called(slower_baseline)["fp16"] == called(slower_baseline)["tf32"] == []
    assert "no canary was recorded" in change_of(campaign(seed, plant={"fp16": after(0.06)}, facts=lambda _run: unknown), "fp16").reasons


@pytest.mark.parametrize("seed", SEEDS)
def test_a_canary_that_moves_alone_changes_nothing(seed):
    assert called(campaign(seed, canary=after(0.2))) == {"baseline": [], "tf32": [], "fp16": []}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_machine_that_changed_more_than_the_ratio_is_to_blame(seed):
    histories = campaign(seed, plant={"fp16": after(0.05)}, common=after(0.2), canary=after(0.2))
    change = change_of(histories, "fp16")
    assert (change.kind, change.reasons[-1]) == (
        "machine",
        "the machine changed by more than the ratio: compare on the machine of before",
    )
    slower = campaign(seed, plant={"fp16": after(0.15)}, common=after(0.06), canary=after(0.06))
    assert change_of(slower, "fp16").kind == "code"


def test_runs_whose_control_broke_say_nothing():
    def broken(run):
        return {"verdict": "invalid", "reference": False} if run >= STEP else {}

    assert called(campaign(plant={"fp16": after(0.3)}, facts=broken))["fp16"] == []
    wrong_pictures = {"verdict": "fail", "reference": False}
    assert called(campaign(plant={"fp16": after(-0.3)}, facts=lambda run: wrong_pictures if run >= STEP else {}))["fp16"] == []


def test_runs_that_were_not_decided_are_found_slower_and_are_no_reference():
    def undecided(run):
        return {"verdict": "inconclusive", "reference": False} if run >= STEP else {}

    assert called(campaign(plant={"fp16": after(0.06)}, facts=undecided))["fp16"] == ["code"]
    # Twenty of them, and the level is still that of before.
    slower_at_last = {"fp16": lambda run: 0.0 if run < 10 else 0.02 if run < STEP else 0.055}
    quiet = campaign(
        plant=slower_at_last, noise=0.001, facts=lambda run: {"verdict": "inconclusive", "reference": False} if run >= 10 else {}
    )
    assert change_of(quiet, "fp16").change == pytest.approx(0.055, abs=0.005)


def test_a_change_that_the_latest_run_does_not_show_does_not_hold():
    fixed = {"fp16": lambda run: 0.06 if STEP <= run < N - 1 else 0.0}
    change = change_of(campaign(plant=fixed), "fp16")
    assert (change.kind, change.holds) == ("code", False)
    mostly_fixed = {"fp16": lambda run: 0.1 if STEP <= run < N - 1 else 0.042 if run == N - 1 else 0.0}
    assert not change_of(campaign(plant=mostly_fixed, noise=0.001), "fp16").holds
    hardly = {"fp16": lambda run: 0.1 if STEP <= run < N - 1 else 0.065 if run == N - 1 else 0.0}
    assert change_of(campaign(plant=hardly, noise=0.001), "fp16").holds


def test_missing_results_are_neither_fast_nor_slow():
    def gaps(run):
        return {"speedup": math.nan, "latency_s": math.nan, "baseline_latency_s": math.nan} if run % 3 else {}

    assert called(campaign(runs=90, facts=gaps)) == {"baseline": [], "tf32": [], "fp16": []}
    found = change_of(campaign(runs=90, plant={"fp16": after(0.06, 60)}, facts=gaps), "fp16")
    assert (found.kind, found.since, found.found) == ("code", 60, 63)


def test_setups_of_other_campaigns_say_nothing_about_each_other():
    ours = campaign(common=after(0.06), plant={"tf32": after(-0.06), "fp16": after(-0.06)})
    theirs = campaign(1, common=after(0.06))
    assert called(ours)["baseline"] == ["code"]
    moved = [
        History(**{name: getattr(history, name) for name in ("setup", "baseline", "device", "recipe", "runs")}, table="other")
        for history in theirs
    ]
    both = judge_histories([*ours, *moved])
    assert [change.kind for change in both[0].changes] == ["code"]
    assert [change.kind for change in both[3].changes] == ["stack"]
    renamed = [replace(history, baseline="eager", setup="eager" if history.setup == "baseline" else history.setup) for history in theirs]
    assert [change.kind for change in judge_histories([*ours, *renamed])[0].changes] == ["code"]


def test_nothing_is_said_of_few_runs():
    assert called(campaign(runs=1)) == {"baseline": [], "tf32": [], "fp16": []}
    assert called(campaign(runs=6, plant={"fp16": after(0.3, 4)}))["fp16"] == []
    assert judge_histories([]) == ()


def test_an_operation_that_came_later_shifts_the_canary_nowhere():
    history = campaign(facts=lambda run: {"canary_s": {"matmul": 0.01} | ({"dispatch": 0.5} if run >= STEP else {})})[0]
    assert np.ptp(gather_evidence(history.runs).canary) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("runs", "expected"), [(STEP + 2, True), (STEP + 20, True), (STEP + 21, False)])
def test_a_change_stands_for_twenty_runs(runs, expected):
    history = judge_histories(campaign(runs=runs, plant={"fp16": after(0.06)}))[2]
    assert history.latest.kind == "code"
    assert unresolved_regression(history) is (history.latest if expected else None)


def test_only_what_is_slower_and_not_by_the_machine_stands():
    def stand(**planted):
        return [unresolved_regression(history) is not None for history in judge_histories(campaign(**planted))]

    assert stand(common=after(0.08)) == [True, True, True]
    assert stand(common=after(0.08), canary=after(0.08)) == [False, False, False]
    assert stand(plant={"fp16": after(-0.06)}) == [False, False, False]
    assert stand(plant={"fp16": lambda run: 0.06 if STEP <= run < N - 1 else 0.0}) == [False, False, False]
    assert stand() == [False, False, False]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_canary_shows_what_a_restless_machine_hides(seed):
    restless = np.random.default_rng(seed).normal(0, 0.05, N)
    slower = campaign(seed, common=lambda run: restless[run] + after(0.08)(run), canary=lambda run: restless[run])
    assert called(slower)["fp16"] == ["stack"]


def test_a_noisy_operation_of_the_canary_blames_no_machine():
    noise = np.random.default_rng(3).normal(0, 0.2, N)
    # By luck it is slower where the step is, by less than its own noise.
    facts = lambda run: {"canary_s": {"matmul": 0.01, "dispatch": 0.02 * math.exp(noise[run] + after(0.05)(run))}}  # noqa: E731
    assert called(campaign(common=after(0.08), facts=facts))["fp16"] == ["stack"]


def test_figures_that_cannot_be_say_nothing():
    impossible = {"speedup": 0.0, "latency_s": 0.0, "baseline_latency_s": -1.0, "canary_s": {"matmul": 0.0}}
    assert called(campaign(facts=lambda run: impossible if run >= STEP else {})) == {"baseline": [], "tf32": [], "fp16": []}


def test_rows_that_moved_apart_do_not_make_a_stack():
    apart = {"tf32": after(0.06, 15), "fp16": after(0.06)}
    assert called(campaign(plant=apart, facts=upgraded)) == {"baseline": [], "tf32": ["code"], "fp16": ["code"]}
    opposite = {"tf32": after(-0.06), "fp16": after(0.06)}
    assert called(campaign(plant=opposite, facts=upgraded)) == {"baseline": [], "tf32": ["improvement"], "fp16": ["code"]}


def test_what_comes_later_does_not_hide_a_change():
    machine = judge_histories(campaign(plant={"fp16": after(0.1)}, common=after(0.08, 35), canary=after(0.08, 35)))[2]
    assert [change.kind for change in machine.changes] == ["code", "machine"]
    assert unresolved_regression(machine) is machine.changes[0]
    better = judge_histories(campaign(plant={"fp16": lambda run: 0.15 if STEP <= run < 35 else 0.1 if run >= 35 else 0.0}))[2]
    assert [change.kind for change in better.changes] == ["code", "improvement"]
    assert unresolved_regression(better) is better.changes[0]
    mended = judge_histories(campaign(plant={"fp16": lambda run: 0.1 if 28 <= run < 37 else 0.0}))[2]
    assert unresolved_regression(mended) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_a_canary_that_moved_by_itself_hides_nothing(seed):
    faster = campaign(seed, common=after(0.08), canary=after(-0.1), facts=upgraded)
    assert called(faster) == {"baseline": ["stack"], "tf32": ["stack"], "fp16": ["stack"]}
    # The change is that of the latency, not of the latency over the canary.
    assert change_of(faster, "fp16").change == pytest.approx(math.expm1(0.08), abs=0.015)
    improved = campaign(seed, plant={"fp16": after(-0.09)}, canary=after(-0.065))
    assert called(improved)["fp16"] == ["improvement"]
    slower = campaign(seed, plant={"fp16": after(0.09)}, canary=after(0.065))
    assert called(slower)["fp16"] == ["code"]


def test_rows_that_are_no_longer_measured_and_runs_that_one_lacks_do_not_matter():
    slower = {"tf32": after(0.08), "fp16": after(0.08)}
    base, tf32, fp16 = campaign(plant=slower, facts=upgraded)
    retired = replace(tf32, setup="old", runs=tf32.runs[:10])
    assert called([base, tf32, fp16, retired]) == {"baseline": [], "tf32": ["stack"], "fp16": ["stack"], "old": []}
    lacking = replace(tf32, runs=(*tf32.runs[:STEP], *tf32.runs[STEP + 1 :]))
    assert called([base, lacking, fp16]) == {"baseline": [], "tf32": ["stack"], "fp16": ["stack"]}


def test_a_history_is_judged_among_its_campaign_as_the_whole_campaign_is():
    histories = campaign(common=after(0.1), canary=after(0.1))
    whole = judge_histories(histories)
    for place, history in enumerate(histories):
        others = [*histories[:place], *histories[place + 1 :]]
        assert judge_history_among(history, others) == whole[place]
    assert {change.kind for found in whole for change in found.changes} == {"machine"}
