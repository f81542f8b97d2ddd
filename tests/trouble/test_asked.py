"""A gate that a test has and does not ask, or whose answer it throws away, lets no test pass."""

import json
import os
import textwrap

import pytest

NEVER = "*sd_latency was not called, so nothing was measured: call it, or say by pytest.skip(...) why this test cannot measure here"
ELSEWHERE = "*sd_latency was called in another process than the one that runs the test, a fork of it, and what is measured there is lost*"
PAGE = "See *reference/fixtures/#calling-the-gate"
FAST, SLOW = "engine(1.0)", "engine(1.5)"
PASSES = f"sd_latency({FAST}, baseline={SLOW})"
FAILS = f"sd_latency({SLOW}, baseline={SLOW})"
RECORD = "--benchmark-json=out.json"

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def count_results(pytester):
    return len(json.loads((pytester.path / "out.json").read_text())["benchmarks"])


def test_a_gate_that_is_not_called_fails_its_test_whatever_kind_of_test_it_is(gated):
    source = f"""
    import unittest

    @pytest.mark.sd_latency(speedup=1.5)
    def test_returns_early(sd_latency):
        if True:
            return
        {PASSES}

    def test_without_a_marker(sd_latency):
        if False:
            {PASSES}

    @pytest.fixture
    def offered(sd_latency):
        return sd_latency

    def test_by_a_fixture(offered):
        pass

    class TestClass:
        @pytest.mark.sd_latency(speedup=1.5)
        @pytest.mark.parametrize("size", [512, 768])
        def test_of_sizes(self, sd_latency, size):
            if size == 512:
                {PASSES}

    class TestCase(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def _gate(self, sd_latency):
            self.sd_latency = sd_latency

        @pytest.mark.sd_latency(speedup=1.5)
        def test_marked(self):
            assert self.sd_latency

    @pytest.mark.sd_latency(speedup=1.5)
    def test_marked_without_the_fixture():
        pass

    @pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.sd_latency(speedup=1.5))])
    def test_marked_for_one_parameter(request, size):
        pass
    """
    result = gated(textwrap.dedent(source), "-v")
    result.assert_outcomes(passed=2, failed=7)
    result.stdout.fnmatch_lines(["*test_of_sizes[[]512] PASSED*", "*test_marked_for_one_parameter[[]1] PASSED*"])
    result.stdout.fnmatch_lines_random([NEVER, PAGE])
    assert result.stdout.str().count("See http") == 7


def test_a_gate_that_a_class_or_a_module_offers_obliges_no_test_without_the_marker(gated):
    source = f"""
    import unittest

    class TestCase(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def _gate(self, sd_latency):
            self.sd_latency = sd_latency

        def test_something_else(self):
            assert True

        @pytest.mark.sd_latency(speedup=1.5)
        def test_speed(self):
            self.{PASSES}

    @pytest.fixture
    def as_attribute(request, sd_latency):
        request.instance.gate = sd_latency

    @pytest.mark.usefixtures("as_attribute")
    class TestOffered:
        def test_something_else(self):
            assert self.gate

    @pytest.mark.sd_latency(speedup=1.5)
    class TestMarked:
        def test_arithmetic(self):
            assert 1 + 1 == 2

        def test_speed(self, sd_latency):
            {PASSES}
    """
    gated(textwrap.dedent(source)).assert_outcomes(passed=5)


def test_a_mark_of_a_class_obliges_the_tests_that_can_get_the_gate(gated):
    source = f"""
    @pytest.mark.sd_latency(speedup=1.5)
    class TestMarked:
        @pytest.fixture(autouse=True)
        def _request(self, request):
            self.request = request

        def test_never_gets_it(self):
            pass

        def test_gets_it(self):
            self.request.getfixturevalue("sd_latency")({FAST}, baseline={SLOW})
    """
    gated(textwrap.dedent(source)).assert_outcomes(passed=1, failed=1)


def test_tests_that_say_how_they_end_end_so(gated):
    source = """
    import unittest

    def test_skips(sd_latency):
        pytest.skip("no GPU")

    def test_expects(sd_latency):
        pytest.xfail("not yet")

    @pytest.mark.xfail(strict=False)
    def test_is_expected_to_fail(sd_latency):
        pass

    @pytest.mark.xfail(strict=True)
    def test_is_surely_expected_to_fail(sd_latency):
        pass

    def test_fails(sd_latency):
        assert False, "of its own"

    @pytest.fixture
    def broken():
        raise ValueError("broken")

    def test_errs(sd_latency, broken):
        pass

    @pytest.mark.skip(reason="marked")
    def test_is_skipped(sd_latency):
        pass

    class TestCase(unittest.TestCase):
        @pytest.mark.sd_latency(speedup=1.5)
        def test_skips(self):
            self.skipTest("no GPU")
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(skipped=3, xfailed=1, xpassed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines_random(["*of its own", "*XPASS(strict)*"])
    result.stdout.no_fnmatch_line(NEVER)


def test_under_benchmark_disable_nothing_is_asked_and_nothing_fails(gated):
    source = """
    @pytest.mark.sd_latency(speedup=1.5)
    def test_by_request(request):
        if False:
            request.getfixturevalue("sd_latency")

    def test_by_fixture(sd_latency):
        pass
    """
    gated(textwrap.dedent(source), "--benchmark-disable").assert_outcomes(passed=1, skipped=1)


def test_an_async_test_that_never_asks_fails(gated):
    source = f"""
    @pytest.mark.sd_latency(speedup=1.5)
    async def test_forgets(sd_latency):
        pass

    @pytest.mark.sd_latency(speedup=1.5)
    async def test_asks(sd_latency):
        {PASSES}
    """
    conftest = """
            import asyncio, inspect

            @pytest.hookimpl(tryfirst=True)
            def pytest_pyfunc_call(pyfuncitem):
                if inspect.iscoroutinefunction(pyfuncitem.obj):
                    names = pyfuncitem._fixtureinfo.argnames
                    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
                    return True
            """
    gated(textwrap.dedent(source), conftest=conftest).assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    "around",
    [
        "try:\n        {gate}\n    except BaseException:\n        pass",
        "import contextlib\n    with contextlib.suppress(BaseException):\n        {gate}",
        "with pytest.raises(pytest.fail.Exception):\n        {gate}",
        "try:\n        {gate}\n    except pytest.fail.Exception:\n        pytest.skip('flaky')",
        "import threading\n    one = threading.Thread(target=lambda: {gate})\n    one.start(); one.join()",
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_gate_that_fails_fails_its_test_though_the_body_throws_its_answer_away(gated, around):
    source = f"@pytest.mark.sd_latency(speedup=1.5)\ndef test_engine(sd_latency):\n    {around}\n"
    result = gated(source.format(gate=FAILS), "--sd-history=off")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*candidate*expected x1.50*slower than its floor*", "See *verdicts/#fail"])


def test_a_gate_that_fails_may_be_expected_to(gated):
    source = f"""
    @pytest.mark.xfail(reason="known to be slow", strict=True)
    @pytest.mark.sd_latency(speedup=1.5)
    def test_marked(sd_latency):
        try:
            {FAILS}
        except BaseException:
            pass

    @pytest.mark.sd_latency(speedup=1.5)
    def test_says_so(sd_latency):
        with pytest.raises(pytest.fail.Exception, match="slower than its floor"):
            {FAILS}
        pytest.xfail("known to be slow")
    """
    gated(textwrap.dedent(source)).assert_outcomes(xfailed=2)


def test_a_gate_that_skips_skips_its_test_though_the_body_throws_that_away(gated):
    source = """
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        def greedy():
            from pytest_sdspeed.errors import UnsupportedError
            raise UnsupportedError("not on this machine")
        try:
            sd_latency(greedy, baseline=engine(1.5))
        except BaseException:
            pass
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*not on this machine"])


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


@pytest.mark.parametrize(
    ("made", "call"),
    [
        ("", f"sd_latency({FAST}, baseline={SLOW})"),
        ("", "sd_latency(lambda: fast(), baseline=lambda: slow())"),
        ("pipe = object()", "sd_latency(lambda: (pipe, fast())[1], baseline=slow)"),
        ("from functools import partial", "sd_latency(partial(fast), baseline=slow)"),
    ],
)
def test_a_body_that_a_decorator_runs_again_ends_with_its_own_assertion(gated, pytester, made, call):
    source = f"""{AGAIN.format(caught="Exception")}
    fast, slow = {FAST}, {SLOW}

    @again
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        {made}
        result = {call}
        assert result.speedup > 9, "the latency is over the target"
    """
    result = gated(textwrap.dedent(source), RECORD)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: the latency is over the target"])
    assert count_results(pytester) == 1


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


@pytest.mark.parametrize(
    "body",
    [
        f"for seconds in (1.0, 1.5):\n            sd_latency(engine(seconds), baseline={SLOW})",
        f"for one in ({FAST}, {SLOW}):\n            sd_latency(lambda: one(), baseline={SLOW})",
        f"def check(one):\n            sd_latency(lambda: one(), baseline={SLOW})\n        check({FAST}); check({SLOW})",
        f"sd_latency({FAST}, baseline={SLOW})\n        sd_latency({FAST}, baseline={FAST})",
    ],
)
@pytest.mark.parametrize("swallowed", [False, True])
def test_another_candidate_is_never_given_the_answer_of_the_first(gated, body, swallowed):
    indented = textwrap.indent(body, "    ") if swallowed else body
    source = f"""
    import contextlib

    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        {"with contextlib.suppress(BaseException):" if swallowed else ""}
        {indented}
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*sd_latency measures once per test: *Its first call here said: pass: candidate*x1.*"])


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


@forks
def test_a_gate_that_a_forked_child_calls_fails_and_says_why(gated):
    source = f"""
    import functools, os, multiprocessing

    def in_a_child(checks):
        def decorate(test):
            @functools.wraps(test)
            def run(*args, **kwargs):
                child = os.fork()
                if child == 0:
                    try:
                        test(*args, **kwargs)
                    except BaseException:
                        os._exit(1)
                    os._exit(0)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                assert not checks or code == 0
            return run
        return decorate

    @in_a_child(checks=False)
    @pytest.mark.sd_latency(speedup=1.5)
    def test_ignores_the_child(sd_latency):
        {PASSES}

    @in_a_child(checks=True)
    @pytest.mark.sd_latency(speedup=1.5)
    def test_looks_at_the_child(sd_latency):
        {PASSES}

    @in_a_child(checks=False)
    @pytest.mark.sd_latency(speedup=1.5)
    def test_gets_it_in_the_child(request):
        request.getfixturevalue("sd_latency")({FAST}, baseline={SLOW})

    @pytest.mark.sd_latency(speedup=1.5)
    def test_process(sd_latency):
        def inside():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            {PASSES}
        child = multiprocessing.get_context("fork").Process(target=inside)
        child.start()
        child.join()

    @pytest.mark.sd_latency(speedup=1.5)
    def test_forks_and_asks_itself(sd_latency):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        {PASSES}
    """
    result = gated(textwrap.dedent(source), "-v")
    result.assert_outcomes(failed=4, passed=1)
    result.stdout.fnmatch_lines(["*test_forks_and_asks_itself PASSED*"])
    assert result.stdout.str().count("sd_latency was called in another process") >= 4


def test_a_thread_may_call_the_gate_and_must_come_to_its_end(gated):
    source = f"""
    import threading

    @pytest.mark.sd_latency(speedup=1.5)
    def test_waits(sd_latency):
        one = threading.Thread(target=lambda: {PASSES})
        one.start()
        one.join()

    @pytest.mark.sd_latency(speedup=1.5)
    def test_does_not_wait(sd_latency):
        begun, go_on = threading.Event(), threading.Event()

        def waits():
            begun.set()
            go_on.wait(20)

        test_does_not_wait.end = lambda: (go_on.set(), one.join())
        one = threading.Thread(target=lambda: sd_latency(waits, baseline={SLOW}))
        one.start()
        begun.wait(20)

    def test_afterwards():
        test_does_not_wait.end()
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*sd_latency had not come to its end when the test ended, so nothing was judged*"])
