"""What a change of host says: nothing where hosts are new in every run, something where they usually stay."""

import random
from itertools import cycle, islice

import pytest
from test_judge_changes import STEP, after, called, campaign, change_of, upgraded

from pytest_sdspeed.judge.changes.causes import judge_histories, unresolved_regression
from pytest_sdspeed.judge.changes.hosts import _began_to_stay, _usually_stay, describe_host_change

SEEDS = range(2)


def fixed(name):
    return lambda _number, _rng: name


def always_new(number, _rng):
    return f"fv-az{number}"


def pool(size, name="pool"):
    return lambda _number, rng: f"{name}-{rng.randrange(size)}"


def pods(nights):
    """A runner's pod that lives for some nights, and never comes back."""
    return lambda number, _rng: f"pod-{number // nights}"


def hosts(before, later=None, seed=0, step=STEP):
    """Run -> facts with its host; another rule from the step on."""
    rng = random.Random(seed)
    drawn = {}

    def facts(number):
        if number not in drawn:
            drawn[number] = (later if later and number >= step else before)(number, rng)
        return {"host": drawn[number]}

    return facts


def kinds(facts, seed=0, **more):
    """What a lasting 12% of everything, with a steady canary and steady versions, is called."""
    return {kind for found in called(campaign(seed, common=after(0.12), facts=facts, **more)).values() for kind in found}


@pytest.mark.parametrize("seed", SEEDS)
def test_hosts_that_are_new_in_every_run_say_nothing(seed):
    histories = campaign(seed, common=after(0.12), facts=hosts(always_new))
    assert called(histories) == {"baseline": ["stack"], "tf32": ["stack"], "fp16": ["stack"]}
    assert not any("host" in reason for reason in change_of(histories, "fp16").reasons)
    assert all(unresolved_regression(history) for history in judge_histories(histories))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "before",
    [always_new, pool(50), pool(1000), pods(2), pods(3), pods(5)],
    ids=["every run", "50", "1000", "2 nights", "3 nights", "5 nights"],
)
def test_what_often_changes_is_no_evidence_against_the_machine(before, seed):
    facts = hosts(before, seed=seed)
    assert kinds(facts, seed, runs=34) == {"stack"}
    assert kinds(facts, seed, runs=60) == {"stack"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "before",
    [fixed("lab-1"), pool(2), pool(3), lambda number, _rng: f"lab-{number % 2}", lambda number, _rng: f"lab-{number > 12}"],
    ids=["one", "of two", "of three", "in turn", "moved before"],
)
@pytest.mark.parametrize("later", [fixed("new"), always_new, pool(3, "new"), pods(1)], ids=["one", "hosted", "of three", "pods"])
def test_hosts_that_usually_stay_and_all_changed_with_the_step_are_the_machine(before, later, seed):
    assert kinds(hosts(before, later, seed), seed) == {"machine"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_move_from_hosted_runners_to_one_host_is_the_machine(seed):
    assert kinds(hosts(always_new, fixed("lab-1")), seed) == {"machine"}
    assert kinds(hosts(always_new, fixed("lab-1")), seed, runs=STEP + 2) == {"machine"}


@pytest.mark.parametrize("seed", SEEDS)
def test_hosts_that_were_there_before_the_step_are_not_its_cause(seed):
    """Hosts in turn, of which one stays; a pool that goes on."""
    assert kinds(hosts(lambda number, _rng: f"lab-{number % 2}", fixed("lab-1")), seed) == {"stack"}
    assert kinds(hosts(pool(3), seed=seed), seed) == {"stack"}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_habit_is_that_of_lately(seed):
    """Hosted for the last runs before the step, whatever was before."""
    facts = hosts(fixed("lab-1"), always_new, step=STEP - 8)
    assert kinds(facts, seed, runs=60) == {"stack"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_version_that_changed_comes_before_a_host_that_did(seed):
    facts = hosts(fixed("a"), fixed("b"))
    assert kinds(lambda number: facts(number) | upgraded(number), seed) == {"stack"}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_canary_tells_the_machine_whatever_the_hosts(seed):
    for facts in (hosts(always_new), hosts(fixed("a"))):
        assert kinds(facts, seed, canary=after(0.12)) == {"machine"}


def test_runs_that_name_no_host_neither_stay_nor_change():
    assert kinds(lambda _number: {"host": None}) == {"stack"}
    every_other = hosts(fixed("a"), fixed("b"))
    assert kinds(lambda number: every_other(number) if number % 2 else {"host": None}) == {"machine"}


@pytest.mark.parametrize(
    ("before", "later", "said"),
    [
        (["a"] * 5, ["b", "b"], "a -> b"),
        (["a"] * 5, ["b", "a"], ""),
        ([], ["b"], ""),
        (["a"], ["b"], ""),
        (["a"] * 5, [], ""),
        (["a"] * 2, ["b"], "a -> b"),
        (list(islice(cycle("ab"), 20)), list("cdefg"), "a, b -> c, d, e and 2 more"),
        (list(islice(cycle("ab"), 20)), list("cdef"), "a, b -> c, d, e and 1 more"),
        (list(islice(cycle("ab"), 20)), list("cde"), "a, b -> c, d, e"),
        (list("abcde"), list("fg"), ""),
        (list("abcde"), list("ff"), "a, b, c and 2 more -> f"),
        (list("aabbccddee"), list("ff"), ""),
    ],
    ids=str,
)
def test_few_runs_and_many_names(before, later, said):
    assert describe_host_change(before, later) == said


@pytest.mark.parametrize(("size", "recurs"), [(3, True), (50, False), (200, False)])
def test_a_pool_that_goes_on_is_seldom_taken_for_another_and_another_is_seen_if_hosts_recur(size, recurs):
    rng = random.Random(1)
    tries = [[f"a{rng.randrange(size)}" for _ in range(32)] for _ in range(300)]
    goes_on = sum(bool(describe_host_change(drawn[:30], drawn[30:])) for drawn in tries)
    another = sum(bool(describe_host_change(drawn[:30], ["b0", "b1"])) for drawn in tries)
    assert goes_on <= 0.1 * len(tries)
    assert another >= 0.95 * len(tries) if recurs else another <= 0.1 * len(tries)


@pytest.mark.parametrize(
    ("hosts", "said"), [(["a"], False), (["a", "a"], True), (["a", "b", "b"], False), (["a", "a", "a"], True), ([*"aaaaab"], False)]
)
def test_a_habit_is_told_by_the_later_half_of_the_runs(hosts, said):
    assert _usually_stay(hosts, 1) is said


@pytest.mark.parametrize(("after", "said"), [("xxabc", False), ("xxxab", True), ("x", False), ("xx", True), ("xxab", False)])
def test_runs_began_to_stay_if_most_of_them_have_one_host(after, said):
    assert _began_to_stay([*"12345"], [*after]) is said
