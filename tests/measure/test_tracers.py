"""Tracers, debuggers and profilers: out of every slot, and afterwards as they were."""

import cProfile
import profile
import subprocess
import sys
import threading
from types import SimpleNamespace

import campaigns
import pytest
from campaigns import undecidable

from pytest_sdspeed.measure import tracers
from pytest_sdspeed.measure.tracers import call_traced, call_untraced, list_unstoppable, name_tracer, restore_tools, silence_tools

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


@pytest.fixture(autouse=True)
def as_it_was():
    """These tests may run under coverage, whose tracer they must not lose."""
    tracer, profiler = sys.gettrace(), sys.getprofile()
    later = threading.gettrace(), threading.getprofile()
    yield
    threading.settrace(later[0])
    threading.setprofile(later[1])
    sys.setprofile(profiler)
    sys.settrace(tracer)


def tracer(frame, event, argument):
    return tracer


def active():
    return sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()


@pytest.fixture
def watched():
    """A tracer and a profiler of this thread and of those to come."""

    def profiler(frame, event, argument):
        """Watch nothing."""

    threading.settrace(tracer)
    threading.setprofile(profiler)
    sys.setprofile(profiler)
    sys.settrace(tracer)
    return (tracer, profiler, tracer, profiler)


def test_nothing_watches_what_is_called_and_all_watch_again_afterwards(watched):
    assert call_untraced(active) == (None,) * 4
    assert active() == watched


def test_all_watch_again_after_an_exception(watched):
    with pytest.raises(ZeroDivisionError):
        call_untraced(lambda: 1 / 0)
    assert active() == watched


def test_a_tracer_that_the_called_code_sets_does_not_stay():
    sys.settrace(None)
    threading.settrace(tracer)
    call_untraced(sys.settrace, tracer)
    assert sys.gettrace() is None


def test_threads_that_are_started_inside_are_not_watched(watched):
    def trace_of_a_thread():
        found = []
        thread = threading.Thread(target=lambda: found.append((sys.gettrace(), sys.getprofile())))
        thread.start()
        thread.join()
        return found

    assert call_untraced(trace_of_a_thread) == [(None, None)]
    assert call_traced(trace_of_a_thread) == [(None, None)]
    assert active() == watched


def test_cprofile_goes_on_where_it_was():
    sys.settrace(None)
    profiler = cProfile.Profile()

    def inside():
        return sum(range(10))

    def outside():
        return sum(range(10))

    profiler.enable()
    call_untraced(inside)
    outside()
    profiler.disable()
    names = {entry.code.co_name for entry in profiler.getstats() if not isinstance(entry.code, str)}
    assert "outside" in names
    assert "inside" not in names


def test_a_profiler_in_python_does_not_lose_count_of_its_frames():
    sys.settrace(None)
    profiler = profile.Profile()

    def several():
        for _ in range(3):
            call_untraced(str)
        return 1

    assert profiler.runcall(several) == 1  # It asserts that each return belongs to the call before.
    assert sys.getprofile() is None


MEASURED = """
import coverage, os, sys
sys.path.insert(0, os.getcwd())
measured = coverage.Coverage(data_file=None, source=["."], config_file=False, branch=True)
measured.start()
import sdspeed_outer
sdspeed_outer.run()
measured.stop()
print([measured.analysis(f"sdspeed_{name}.py")[2] for name in ("inner", "outer")])
"""


@pytest.mark.parametrize("core", ["ctrace", "pytrace"])
def test_coverage_counts_what_is_outside_and_mistakes_no_file_for_another(tmp_path, monkeypatch, core):
    # A process of its own, since this one may be under coverage itself.
    for variable in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COVERAGE_CORE", core)
    (tmp_path / "sdspeed_inner.py").write_text("def inner():\n    return 1\n")
    (tmp_path / "sdspeed_outer.py").write_text(
        "from pytest_sdspeed.measure.tracers import call_untraced\nfrom sdspeed_inner import inner\n"
        "def run():\n    for _ in range(3):\n        call_untraced(inner)\n    after = 1\n    return after\n"
        "def never():\n    return 2\n"
    )
    found = subprocess.run([sys.executable, "-c", MEASURED], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[[2], [9]]"


class Monitoring:
    """A stand-in for ``sys.monitoring`` of Python 3.12 and later: tools, events and callbacks."""

    events = SimpleNamespace(NO_EVENTS=0, PY_START=1, PY_RETURN=4, LINE=32, CALL=64)

    def __init__(self, *, events):
        self.global_events = events
        self.callbacks = {(3, 1): print, (3, 32): repr}

    def get_tool(self, tool):
        return "debugger" if tool == 3 else None

    def get_events(self, tool):
        return self.global_events if tool == 3 else 0

    def register_callback(self, tool, event, callback):
        assert event in (1, 4, 32, 64)
        before = self.callbacks.pop((tool, event), None)
        if callback is not None:
            self.callbacks[tool, event] = callback
        return before


def test_tools_of_sys_monitoring_are_told_nothing_inside_and_all_afterwards(monkeypatch):
    monitoring = Monitoring(events=1)
    monkeypatch.setattr(sys, "monitoring", monitoring, raising=False)
    before = dict(monitoring.callbacks)
    assert call_untraced(lambda: dict(monitoring.callbacks)) == {}
    assert monitoring.callbacks == before
    assert monitoring.global_events == 1


def test_callbacks_are_restored_after_an_exception(monkeypatch):
    monitoring = Monitoring(events=1)
    monkeypatch.setattr(sys, "monitoring", monitoring, raising=False)
    before = dict(monitoring.callbacks)
    with pytest.raises(ZeroDivisionError):
        call_untraced(lambda: 1 / 0)
    assert monitoring.callbacks == before
    assert restore_tools(silence_tools()) is None
    assert monitoring.callbacks == before


@pytest.mark.parametrize(("events", "said"), [(32, 1), (64 + 1, 1), (1, 0)])
def test_a_tool_that_is_told_each_line_is_named(events, said):
    found = list(list_unstoppable(Monitoring(events=events)))
    assert len([one for one in found if "debugger has sys.monitoring tell it" in one]) == said


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="sys.monitoring is new in Python 3.12")
def test_a_real_tool_sees_no_line_inside():
    seen, tool = [], 4
    sys.monitoring.use_tool_id(tool, "sdspeed-test")
    try:
        sys.monitoring.register_callback(tool, sys.monitoring.events.PY_START, lambda code, _offset: seen.append(code.co_name))
        sys.monitoring.set_events(tool, sys.monitoring.events.PY_START)
        call_untraced(active)
        assert "active" not in seen
        active()
        assert "active" in seen
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)


def test_threads_that_were_traced_before_are_named_in_order():
    begun, end = [threading.Event(), threading.Event()], threading.Event()

    def wait(place):
        begun[place].set()  # it reads the tracer after start() has returned
        end.wait()

    threading.settrace(tracer)
    threads = [threading.Thread(target=wait, args=[place], name=f"listed-{place}") for place in (1, 0)]
    for thread in threads:
        thread.start()
    for event in begun:
        event.wait()
    threading.settrace(None)
    try:
        (said,) = (one for one in list_unstoppable() if "are traced, which nothing can suspend: " in one)
        # Other tests may have left threads that are traced.
        names = said.rpartition(": ")[2].split(", ")
        assert [name for name in names if name.startswith("listed-")] == ["listed-0", "listed-1"]
        assert names == sorted(names)
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_what_slows_slots_is_asked_of_this_python(monkeypatch):
    monkeypatch.setattr(tracers.sys, "monitoring", Monitoring(events=32), raising=False)
    assert [one for one in list_unstoppable() if "debugger has sys.monitoring tell it" in one]


def test_this_thread_is_none_that_was_traced_before_and_neither_is_one_that_did_not_begin():
    sys._getframe().f_trace = tracer
    assert not tracers._is_traced(threading.current_thread())
    assert not tracers._is_traced(threading.Thread())


@pytest.mark.parametrize("traced", [True, False])
def test_a_thread_is_traced_if_its_tracer_follows_one_of_its_outer_frames(traced):
    """As coverage does: it looks at the files of a project, and at no library."""
    begun, end = threading.Event(), threading.Event()

    def wait():
        begun.set()
        end.wait()

    def own_frames(frame, event, argument):
        return own_frames if frame.f_code is wait.__code__ else None

    threading.settrace(own_frames if traced else None)
    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    threading.settrace(None)
    try:
        assert tracers._is_traced(thread) is traced
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize(("set_it", "get_it"), [(threading.settrace, threading.gettrace), (threading.setprofile, threading.getprofile)])
def test_threads_that_a_traced_call_starts_are_not_traced(set_it, get_it):
    set_it(tracer)
    try:
        assert call_traced(get_it) is None
        assert get_it() is tracer
    finally:
        set_it(None)


def test_nobody_watches_if_no_tool_is_registered(monkeypatch):
    monkeypatch.setattr(tracers.sys, "gettrace", lambda: None)
    monkeypatch.setattr(tracers.sys, "getprofile", lambda: None)
    assert name_tracer(SimpleNamespace(get_tool=lambda _tool: None)) == ""
    assert name_tracer(SimpleNamespace(get_tool=lambda tool: "coverage" if tool == 1 else None)) == "coverage"
    monkeypatch.setattr(tracers.sys, "monitoring", SimpleNamespace(get_tool=lambda _tool: "profiler"), raising=False)
    assert name_tracer() == "profiler"


def test_a_tracer_that_is_no_function_is_named_by_its_type():
    assert tracers.name_watcher(SimpleNamespace()) == "types.SimpleNamespace"
    assert tracers.name_watcher(tracer) == f"{__name__}.tracer"


def test_a_tracer_that_cannot_be_switched_off_is_named(monkeypatch):
    monkeypatch.setattr(tracers.sys, "settrace", lambda _tracer: None)
    monkeypatch.setattr(tracers.sys, "gettrace", lambda: tracer)
    left = set()
    call_untraced(str, left=left)
    assert left == {f"{__name__}.tracer"}


def test_a_profiler_that_cannot_be_switched_off_is_named(monkeypatch):
    monkeypatch.setattr(tracers.sys, "gettrace", lambda: None)
    monkeypatch.setattr(tracers.sys, "setprofile", lambda _profiler: None)
    monkeypatch.setattr(tracers.sys, "getprofile", lambda: active)
    left = set()
    call_untraced(str, left=left)
    assert left == {f"{__name__}.active"}


# In a campaign


def test_every_slot_but_the_first_generation_of_an_arm_is_untraced(bench):
    seen = {"baseline": [], "row": []}

    def arm(name, seconds, floor=None):
        def generate(_case):
            seen[name].append(sys.gettrace())
            bench.clock.spend(seconds)

        return bench.calling(name, generate, floor=floor)

    sys.settrace(tracer)
    data = bench.run(arm("baseline", 2.0), arm("row", 1.0, 1.5))
    assert sys.gettrace() is tracer
    assert {name: traced[0] for name, traced in seen.items()} == dict.fromkeys(seen, tracer)
    assert {one for traced in seen.values() for one in traced[1:]} == {None}
    assert data.traced == f"{__name__}.tracer"
    assert data.decisions["row"].verdict == "pass"


def test_the_tracer_is_back_when_an_arm_raises_in_a_slot(bench):
    calls = []

    def generate(_case):
        calls.append(sys.gettrace())
        bench.clock.spend(1.0)
        if len(calls) > 3:
            raise RuntimeError("broken")

    sys.settrace(tracer)
    data = bench.run(bench.arm("baseline", 1.0), bench.calling("row", generate, floor=1.0))
    assert sys.gettrace() is tracer
    assert "broken" in str(data.errors["row"])


def test_a_tracer_that_stays_in_the_slots_is_a_note_of_the_campaign(bench, monkeypatch):
    monkeypatch.setattr(tracers, "_name_what_is_left", lambda: ["pydevd.trace"])
    sys.settrace(tracer)
    data = bench.run(bench.arm("baseline", 1.0), undecidable(bench))
    assert "pydevd.trace cannot be suspended" in data.tracers


def test_the_profile_of_an_arm_and_the_canary_are_untraced(bench):
    seen = []
    sys.settrace(tracer)
    canary = {"product": lambda: lambda: (seen.append(sys.gettrace()), bench.clock.spend(0.1))}
    bench.run(bench.arm("baseline", 1.0), canary=lambda: canary, max_blocks=3)
    assert set(seen) == {None}
