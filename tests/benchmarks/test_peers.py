"""The peers' rules: each alarms on a slowdown, and on nothing else that is as plain."""

import sys

import numpy as np
import pytest
from power.peers import PEERS, available

PACKAGES = {"pytest-benchmark": "pytest_benchmark", "asv": "asv", "pyperf": "pyperf", "Google": "scipy", "median": "numpy"}
NAMED = {peer.name.split()[-1]: peer for peer in PEERS}


def durations(n, scale=1.0, cv=0.01, seed=1):
    return scale * np.random.default_rng(seed).normal(1, cv, n)


@pytest.fixture(params=PEERS, ids=lambda peer: peer.name)
def peer(request):
    pytest.importorskip(PACKAGES[request.param.name.split()[0]])
    return request.param


@pytest.mark.parametrize("n", [6, 12, 24, 60])
def test_a_plain_slowdown_alarms_and_its_reverse_does_not(peer, n):
    before, after = durations(n), durations(n, 1.2, seed=2)
    # Of six per side the least two-sided p is 2 / 924, above asv's 0.002, and yet asv asks the test and not the intervals.
    assert peer.alarms(before, after) is not (n == 6 and peer is NAMED["1.05"])
    assert peer.alarms(after, before) is False


@pytest.mark.parametrize("n", [6, 12, 24, 60])
def test_a_speed_up_or_the_same_durations_do_not_alarm(peer, n):
    before = durations(n)
    assert peer.alarms(before, durations(n, 0.8, seed=2)) is False
    assert peer.alarms(before, before.copy()) is False
    assert peer.alarms(np.ones(n), np.ones(n)) is False


def test_the_unit_does_not_matter(peer):
    before = durations(24)
    assert peer.alarms(1e-6 * before, durations(24, 1.2e-6, seed=2))
    assert not peer.alarms(1e3 * before, durations(24, 0.8e3, seed=2))


@pytest.mark.parametrize("peer", [peer for peer in PEERS if "5%" in peer.name or "1.05" in peer.name], ids=lambda peer: peer.name)
def test_rules_with_a_limit_alarm_only_beyond_it(peer):
    pytest.importorskip(PACKAGES[peer.name.split()[0]])
    before = durations(24, cv=0.001)
    assert not peer.alarms(before, 1.045 * before)
    assert peer.alarms(before, 1.055 * before)


@pytest.mark.parametrize(("name", "package"), [("compare_to", "pyperf"), ("test", "scipy")])
def test_rules_without_a_limit_alarm_on_what_is_significant(name, package):
    pytest.importorskip(package)
    before = durations(24, cv=0.001)
    assert NAMED[name].alarms(before, 1.01 * before)
    assert not NAMED[name].alarms(before, 1.00001 * before)


def test_each_statistic_of_pytest_benchmark_is_its_own():
    before = np.ones(24)
    spiked = np.concatenate([np.ones(23), [4.0]])
    assert NAMED["mean:5%"].alarms(before, spiked)
    assert not NAMED["min:5%"].alarms(before, spiked)


def test_asv_wants_the_factor_and_the_test():
    pytest.importorskip("asv")
    before = durations(24, cv=0.3)
    assert not NAMED["1.05"].alarms(before, 1.08 * before)  # beyond the factor, within the noise
    assert not NAMED["1.05"].alarms(durations(24, cv=0.001), durations(24, 1.04, cv=0.001, seed=2))


@pytest.mark.slow
@pytest.mark.parametrize("n", [7, 20, 21])
def test_asv_decides_as_its_own_two_criteria_do(n):
    stats = pytest.importorskip("asv._stats")
    decided = set()
    for seed in range(12):
        cv = 0.005 * (1 + seed)
        before, after = durations(n, cv=cv, seed=seed), durations(n, 1.06, cv=cv, seed=seed + 100)
        differ = bool(stats.is_different(before.tolist(), after.tolist(), {}, {}))
        expected = differ and bool(np.median(before) < np.median(after) / 1.05)
        assert NAMED["1.05"].alarms(before, after) is expected
        decided.add((differ, expected))
    assert {(True, True), (False, False)} <= decided


def test_one_slow_night_of_five_moves_nothing():
    rule = PEERS[-1]
    nights = np.repeat([1.0, 1.0, 5.0, 1.0, 1.0], 3)
    assert not rule.alarms(nights, np.full(15, 1.04))
    assert rule.alarms(nights, np.full(15, 1.06))


def test_a_missing_package_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "asv.commands.compare", None)
    monkeypatch.setitem(sys.modules, "pyperf._compare", None)
    found, missing = available(tuple(peer for peer in PEERS if "asv" in peer.name or "pyperf" in peer.name or "median" in peer.name))
    assert found == (PEERS[-1],)
    assert [line.split(":")[0] for line in missing] == ["asv continuous --factor 1.05", "pyperf compare_to"]
    assert all("dependency group power" in line and "\n" not in line for line in missing)


def test_without_anything_missing_every_rule_is_asked():
    for package in PACKAGES.values():
        pytest.importorskip(package)
    assert available() == (PEERS, ())
