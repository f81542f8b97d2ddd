"""A gate that is asked a second time: it says what it said, or that it says nothing of another candidate."""

import json
import os
import textwrap
from types import SimpleNamespace

import pytest
from failures import match_failures
from fakes import result

from pytest_sdspeed.plugin.asking import Asking

FAST, SLOW = "engine(1.0)", "engine(1.5)"
RECORD = "--benchmark-json=out.json"


def count_results(pytester):
    return len(json.loads((pytester.path / "out.json").read_text())["benchmarks"])


def test_an_undecided_gate_is_not_passed_by_asking_again(gated):
    source = """
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        for _ in range(3):
            try:
                sd_latency(engine(1.0 / 0.985, cv=0.02), baseline=engine(1.5, cv=0.02))
            except BaseException:
                continue
            break
    """
    result = gated(textwrap.dedent(source), "--sd-max-blocks=4", RECORD)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*inconclusive: *"])


AGAIN = """
    import functools

    def again(test):
        @functools.wraps(test)
        def attempts(*args, **kwargs):
            for left in (2, 1, 0):
                try:
                    return test(*args, **kwargs)
                except {caught}:
                    if not left:
                        raise
        return attempts
"""


def test_a_body_that_a_decorator_runs_again_ends_with_its_own_assertion(gated, pytester):
    source = f"""{AGAIN.format(caught="Exception")}
    from functools import partial

    pytestmark = pytest.mark.sd_latency(speedup=1.5)
    fast, slow = {FAST}, {SLOW}

    class Pipe:
        def __init__(self, steps):
            self.steps = steps

        def draw(self):
            return fast()

    def judge(result):
        assert result.speedup > 9, "the latency is over the target"

    @again
    def test_closures(sd_latency):
        judge(sd_latency({FAST}, baseline={SLOW}))

    @again
    def test_lambdas(sd_latency):
        judge(sd_latency(lambda: fast(), baseline=lambda: slow()))

    @again
    def test_what_the_body_builds(sd_latency):
        pipe = Pipe(4)
        judge(sd_latency(lambda: pipe.draw(), baseline=slow))

    @again
    def test_methods(sd_latency):
        judge(sd_latency(Pipe(4).draw, baseline=slow))

    @again
    def test_partials(sd_latency):
        judge(sd_latency(partial(fast), baseline=slow))

    class TestClass:
        @again
        @pytest.mark.parametrize("size", [512])
        def test_method(self, sd_latency, size):
            judge(sd_latency(fast, baseline=slow))
    """
    result = gated(textwrap.dedent(source), RECORD)
    result.assert_outcomes(failed=6)
    assert result.stdout.str().count("E       AssertionError: the latency is over the target") == 6
    assert count_results(pytester) == 6


def test_a_gate_that_failed_says_so_again_to_every_attempt(gated, pytester):
    source = f"""{AGAIN.format(caught="BaseException")}
    LATENCIES = iter([1.5, 1.0, 1.0])

    @again
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        sd_latency(engine(next(LATENCIES)), baseline={SLOW})
    """
    result = gated(textwrap.dedent(source), RECORD)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*slower than its floor*"])
    assert count_results(pytester) == 1


@pytest.mark.parametrize("swallowing", ["contextlib.suppress(BaseException)", "contextlib.nullcontext()"])
def test_another_candidate_is_never_given_the_answer_of_the_first(gated, swallowing):
    source = f"""
    import contextlib

    pytestmark = pytest.mark.sd_latency(speedup=1.5)

    def test_a_loop_over_figures(sd_latency):
        with {swallowing}:
            for seconds in (1.0, 1.5):
                sd_latency(engine(seconds), baseline={SLOW})

    def test_a_loop_over_objects(sd_latency):
        with {swallowing}:
            for one in ({FAST}, {SLOW}):
                sd_latency(lambda: one(), baseline={SLOW})

    def test_a_helper_called_twice(sd_latency):
        def check(one):
            sd_latency(lambda: one(), baseline={SLOW})

        with {swallowing}:
            check({FAST})
            check({SLOW})

    def test_another_baseline(sd_latency):
        with {swallowing}:
            sd_latency({FAST}, baseline={SLOW})
            sd_latency({FAST}, baseline={FAST})
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(failed=4)
    said = result.stdout.str()
    assert said.count("sd_latency measures once per test: parametrize, or write one test for each candidate.") == 4
    assert said.count("Its first call here said: pass: test_") == 4


@pytest.mark.parametrize("arguments", ["seconds", "**{'seconds': seconds}"])
def test_a_decorator_that_runs_the_body_for_other_arguments_is_no_second_attempt(gated, arguments):
    source = f"""
    import functools

    def both(test):
        @functools.wraps(test, assigned=("__name__",), updated=())
        def run(sd_latency):
            for seconds in (1.0, 1.5):
                test(sd_latency, {arguments})
        del run.__wrapped__
        run.__wrapped__ = test
        run.__signature__ = __import__("inspect").signature(lambda sd_latency: None)
        return run

    @pytest.mark.sd_latency(speedup=1.5)
    @both
    def test_engine(sd_latency, seconds):
        held = [seconds]
        sd_latency(lambda: engine(held[0])(), baseline={SLOW})
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*sd_latency measures once per test: *"])


def test_a_warning_of_a_gate_points_at_the_line_that_asks(gated, pytester):
    source = """
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        sd_latency(engine(1.0 / 0.985, cv=0.02), baseline=engine(1.5, cv=0.02))
    """
    result = gated(textwrap.dedent(source), "--sd-max-blocks=4", "--sd-inconclusive=warn")
    result.assert_outcomes(passed=1, warnings=1)
    name = next(pytester.path.glob("test_*.py")).name
    result.stdout.re_match_lines([rf".*{name}:\d+: InconclusiveWarning: inconclusive: .*"])


OTHERS = {
    "a global that a lambda names": ("ENGINE = FIRST", "global ENGINE; ENGINE = SECOND", "lambda: ENGINE()"),
    "a global that a function names": ("ENGINE = FIRST\ndef run(): return ENGINE()", "global ENGINE; ENGINE = SECOND", "run"),
    "a global of a method": (
        "ENGINE = FIRST\nclass Pipe:\n    def draw(self): return ENGINE()",
        "global ENGINE; ENGINE = SECOND",
        "Pipe().draw",
    ),
    "a global of a comprehension": ("ENGINES = [FIRST]", "ENGINES[0] = SECOND", "lambda: [engine() for engine in ENGINES][0]"),
    "an attribute of a module": ("import conftest\nconftest.used = FIRST", "conftest.used = SECOND", "lambda: conftest.used()"),
    "an attribute that is not plain": (
        "class Pipe:\n    engine = None\nPIPE = Pipe(); PIPE.engine = FIRST",
        "PIPE.engine = SECOND",
        "lambda: PIPE.engine()",
    ),
    "an attribute of a class": (
        "class Pipe:\n    engine = staticmethod(FIRST)",
        "Pipe.engine = staticmethod(SECOND)",
        "lambda: Pipe.engine()",
    ),
    "a slot": (
        "class Pipe:\n    __slots__ = ('engine',)\nPIPE = Pipe(); PIPE.engine = FIRST",
        "PIPE.engine = SECOND",
        "lambda: PIPE.engine()",
    ),
    "a figure of the same object": (
        "class Pipe:\n    def __call__(self): return (FIRST if self.steps < 9 else SECOND)()\nPIPE = Pipe(); PIPE.steps = 4",
        "PIPE.steps = 50",
        "PIPE",
    ),
    "what cannot be looked into": ("ENGINE = iter(FIRST, 1)", "global ENGINE; ENGINE = iter(SECOND, 1)", "lambda: next(ENGINE)"),
}


def test_a_decorator_that_changes_what_the_body_measures_gets_no_answer_of_before(gated, pytester):
    files, said = {}, {}
    for index, (made, changed, candidate) in enumerate(OTHERS.values()):
        source = (
            "import pytest\nfrom conftest import engine\n"
            f"FIRST, SECOND = {FAST}, {SLOW}\nBASE = {SLOW}\n{made}\n"
            "def change():\n    " + changed + "\n"
            "def again(test):\n    import functools\n    @functools.wraps(test)\n    def twice(sd_latency):\n"
            "        test(sd_latency)\n        {1}\n        test(sd_latency)\n    return twice\n"
            "@again\n@pytest.mark.sd_latency(speedup=1.5)\ndef test_{0}(sd_latency):\n"
            f"    sd_latency({candidate}, baseline=BASE)\n"
        )
        # Those that change nothing come first: what the others change may belong to all.
        for name, between in ((f"a_{index}_same", "pass"), (f"b_{index}_changed", "change()")):
            files[f"test_{name}"] = source.replace("{0}", name).replace("{1}", between)
        said[f"test_b_{index}_changed"] = "*sd_latency measures once per test: *"
    pytester.makepyfile(**files)
    found = gated("")
    match_failures(found, said)
    found.assert_outcomes(passed=len(OTHERS), failed=len(OTHERS))


def test_what_measuring_itself_changes_is_nothing_else_that_is_asked(gated):
    source = f"""{AGAIN.format(caught="AssertionError")}
    class Pipe:
        calls, seen = 0, None
        def __init__(self): self.seen = []
        def __call__(self):
            self.calls += 1
            self.seen.append(self.calls)
            return fast()

    fast, pipe, tries = {FAST}, Pipe(), []

    @again
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        sd_latency(lambda: pipe(), baseline={SLOW})
        tries.append(1)
        assert len(tries) > 1
    """
    gated(textwrap.dedent(source)).assert_outcomes(passed=1)


def test_a_baseline_that_was_a_method_is_not_none(gated):
    source = f"""
    class Pipe:
        draw = staticmethod({SLOW})
        def method(self): return self.draw()

    pipe, fast = Pipe(), {FAST}

    @pytest.mark.sd_latency(speedup=1.5)
    def test_another(sd_latency):
        sd_latency(fast, baseline=pipe.method)
        sd_latency(fast)

    @pytest.mark.sd_latency(speedup=1.5)
    def test_the_same(sd_latency):
        assert sd_latency(fast, baseline=pipe.method) is sd_latency(fast, baseline=pipe.method)
    """
    found = gated(textwrap.dedent(source))
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(["*sd_latency measures once per test: *"])


def test_a_method_that_is_gone_is_not_taken_for_no_baseline():
    class Pipe:
        def draw(self):
            return None

    def fast():
        return None

    asking, pipe = Asking(SimpleNamespace(obj=None), os.getpid()), Pipe()
    first = asking.ask(fast, pipe.draw, result)
    assert asking.ask(fast, pipe.draw, result) is first
    with pytest.raises(pytest.fail.Exception, match="measures once per test"):
        asking.ask(fast, None, result)
