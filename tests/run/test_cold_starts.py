"""How many new processes are asked how they start, and with which caches; none is started here."""

from __future__ import annotations

import pytest

from pytest_sdspeed.run.cold_starts import Started, measure_cold_starts


class Processes:
    """Starts that take what they are told; each notes whether its cache was empty, and fills it.

    Attributes:
        warm: for each process, whether its cache was filled by one before it.
    """

    def __init__(self, *first_s, compile_s=5.0, warm_compile_s=1.0, dies_at=None, fills=True):
        self._first_s, self._compile_s, self._warm_compile_s = list(first_s), compile_s, warm_compile_s
        self._dies_at, self._fills = dies_at, fills
        self.warm, self.asked = [], []

    def __call__(self, table, setup, cache):
        self.asked.append((table, setup))
        if len(self.warm) == self._dies_at:
            return Started(error="signal 9 ended the process")
        warm = any(cache.iterdir())
        self.warm.append(warm)
        if self._fills:
            (cache / "graph").touch()
        taken = self._first_s.pop(0) if self._first_s else 9.0
        beyond = self._warm_compile_s if warm else self._compile_s
        return Started(taken, (beyond + 2.0, 2.5, 2.0))


def measure(processes, **bounds):
    return measure_cold_starts(bounds, processes, "mine", "fast")


def test_no_process_is_started_without_a_bound_on_a_start():
    processes = Processes()
    assert measure(processes, peak_memory_bytes=1.0, recompilations=0.0) is None
    assert processes.asked == []


def test_a_start_within_its_bound_is_not_repeated():
    processes = Processes(9.0)
    found = measure(processes, first_s=10.0)
    assert found.seconds["first_s"] == [9.0]
    assert (processes.asked, processes.warm) == ([("mine", "fast")], [False])


def test_a_start_beyond_its_bound_is_repeated_twice_and_every_cache_is_empty():
    processes = Processes(20.0, 21.0, 22.0)
    assert measure(processes, first_s=10.0).seconds["first_s"] == [20.0, 21.0, 22.0]
    assert processes.warm == [False] * 3


def test_one_slow_start_on_a_busy_machine_is_made_up_for():
    assert measure(Processes(20.0, 9.0), first_s=10.0).seconds["first_s"] == [20.0, 9.0]


def test_all_cold_figures_must_be_within_their_bounds_to_stop():
    processes = Processes(9.0, 9.0, 9.0, compile_s=50.0)
    found = measure(processes, first_s=10.0, compile_s=6.0)
    assert found.seconds["compile_s"] == [50.0] * 3


def test_a_warm_start_uses_what_a_cold_one_cached():
    processes = Processes()
    found = measure(processes, warm_compile_s=2.0)
    assert found.seconds["warm_compile_s"] == [1.0]
    assert processes.warm == [False, True]


def test_a_cache_that_nothing_fills_is_cold_every_time():
    processes = Processes(fills=False)
    assert measure(processes, warm_compile_s=2.0).seconds["warm_compile_s"] == [5.0] * 3
    assert processes.warm == [False] * 4


@pytest.mark.parametrize(("dies_at", "kept"), [(0, []), (1, [20.0])])
def test_a_process_that_dies_ends_it_and_what_was_measured_stays(dies_at, kept):
    found = measure(Processes(20.0, dies_at=dies_at), first_s=10.0)
    assert found.error == "signal 9 ended the process"
    assert found.seconds["first_s"] == kept


def test_what_compiling_took_is_never_less_than_nothing():
    assert Started(1.0, (1.0, 2.0, 3.0)).compile_s == 0.0
