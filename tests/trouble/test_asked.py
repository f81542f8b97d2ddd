"""A gate that a test has and does not ask, or whose answer it throws away, lets no test pass."""

import textwrap

import pytest
from since import needs

NEVER = "*sd_latency was not called, so nothing was measured: call it, or say by pytest.skip(...) why this test cannot measure here"
PAGE = "See *reference/fixtures/#calling-the-gate"
FAST, SLOW = "engine(1.0)", "engine(1.5)"
PASSES = f"sd_latency({FAST}, baseline={SLOW})"
FAILS = f"sd_latency({SLOW}, baseline={SLOW})"


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_gate_that_fails_fails_its_test_though_the_body_throws_its_answer_away(gated):
    source = f"""
    import contextlib, threading

    pytestmark = pytest.mark.sd_latency(speedup=1.5)

    def test_passes_over_it(sd_latency):
        try:
            {FAILS}
        except BaseException:
            pass

    def test_suppresses_it(sd_latency):
        with contextlib.suppress(BaseException):
            {FAILS}

    def test_expects_it(sd_latency):
        with pytest.raises(pytest.fail.Exception):
            {FAILS}

    def test_skips_then(sd_latency):
        try:
            {FAILS}
        except pytest.fail.Exception:
            pytest.skip("flaky")

    def test_loses_it_with_a_thread(sd_latency):
        one = threading.Thread(target=lambda: {FAILS})
        one.start()
        one.join()
    """
    result = gated(textwrap.dedent(source), "--sd-history=off")
    result.assert_outcomes(failed=5)
    failures = result.stdout.str().partition("= FAILURES =")[2].partition("warnings summary")[0]
    assert failures.count("Reason: slower than its floor") == failures.count("verdicts/#fail") == 5


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


@needs("pytest", "9.0", "subtests")
def test_subtests_are_no_end_of_the_test(gated):
    source = f"""
    import unittest

    @pytest.mark.sd_latency(speedup=1.5)
    def test_asks_after_one(sd_latency, subtests):
        with subtests.test("before"):
            pass
        with subtests.test("gate"):
            {PASSES}

    @pytest.mark.sd_latency(speedup=1.5)
    def test_never_asks(sd_latency, subtests):
        with subtests.test("before"):
            pass

    @pytest.mark.sd_latency(speedup=1.5)
    def test_fails_in_one(sd_latency, subtests):
        with subtests.test("gate"):
            {FAILS}

    class TestCase(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def _gate(self, sd_latency):
            self.sd_latency = sd_latency

        @pytest.mark.sd_latency(speedup=1.5)
        def test_asks_after_one(self):
            with self.subTest("before"):
                pass
            with self.subTest("gate"):
                self.{PASSES}
    """
    result = gated(textwrap.dedent(source), "-v")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 2
    result.stdout.fnmatch_lines_random([NEVER, "*slower than its floor*"])
    assert result.stdout.str().count("See http") == 3


def test_a_gate_cannot_be_sent_to_another_process(gated):
    source = """
    import multiprocessing

    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency):
        multiprocessing.get_context("spawn").Process(target=print, args=(sd_latency,)).start()
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TypeError: sd_latency cannot be sent to another process, since what is measured there is lost*"])
