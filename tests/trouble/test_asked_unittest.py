"""Gates of unittest's classes and of doctests, which pytest runs in ways of their own."""

import textwrap

FAST, SLOW = "engine(1.0)", "engine(1.5)"
PASSES = f"sd_latency({FAST}, baseline={SLOW})"
FAILS = f"sd_latency({SLOW}, baseline={SLOW})"


def test_a_test_case_ends_as_its_gate_does(gated):
    source = f"""
    import unittest

    class Base:
        @pytest.fixture(autouse=True)
        def _gate(self, sd_latency):
            self.sd_latency = sd_latency

    @pytest.mark.sd_latency(speedup=1.5)
    class TestMarked(Base, unittest.TestCase):
        def test_passes(self):
            self.{PASSES}

        def test_never(self):
            pass

        def test_skips_what_failed(self):
            try:
                self.{FAILS}
            except BaseException:
                self.skipTest("flaky")

        def test_asserts_that_it_raises(self):
            with self.assertRaises(BaseException):
                self.{FAILS}

        @unittest.expectedFailure
        def test_is_expected_to_fail(self):
            self.{FAILS}

        @unittest.skip("not here")
        def test_is_skipped(self):
            pass

        def test_asserts_after_it(self):
            self.{PASSES}
            self.fail("of its own")

    @pytest.mark.sd_latency(speedup=1.5)
    class TestSetUp(Base, unittest.TestCase):
        def setUp(self):
            self.result = self.{PASSES}

        def test_of_the_result(self):
            assert self.result.speedup > 1

    class TestAsync(Base, unittest.IsolatedAsyncioTestCase):
        @pytest.mark.sd_latency(speedup=1.5)
        async def test_passes(self):
            self.{PASSES}

        @pytest.mark.sd_latency(speedup=1.5)
        async def test_never(self):
            pass
    """
    result = gated(textwrap.dedent(source), "-v")
    result.assert_outcomes(passed=3, failed=5, skipped=1, xfailed=1)
    told = ["test_never", "test_skips_what_failed", "test_asserts_that_it_raises", "test_asserts_after_it"]
    result.stdout.fnmatch_lines_random([f"*::{name} FAILED*" for name in told])
    result.stdout.fnmatch_lines_random(["*AssertionError: of its own", "*slower than its floor*"])
    assert result.stdout.str().count("sd_latency was not called") == 2


MARKING = """
            def pytest_collection_modifyitems(items):
                for item in items:
                    if item.name.endswith("marked"):
                        item.add_marker(pytest.mark.sd_latency({arguments}))
            """


def test_a_marker_that_a_conftest_file_adds_obliges_too_also_a_doctest(gated, pytester):
    (pytester.path / "doc_marked.py").write_text('"""\n>>> 1 + 1\n2\n"""\n')
    asks = "getfixture('sd_latency')(getfixture('engine_of')(1.0), baseline=getfixture('engine_of')(1.5)).verdict\n'pass'\n"
    (pytester.path / "doc_also_marked.py").write_text(f'"""\n>>> {asks}"""\n')
    conftest = (
        MARKING.format(arguments="speedup=1.5")
        + "\n            @pytest.fixture\n            def engine_of():\n                return engine\n"
    )
    source = "def test_marked():\n    pass\n\ndef test_other():\n    pass\n"
    result = gated(source, "--doctest-modules", "-v", conftest=conftest)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines_random(["*doc_also_marked PASSED*", "*doc_marked FAILED*", "*test_marked FAILED*", "*test_other PASSED*"])


def test_a_wrong_marker_that_a_conftest_file_adds_is_a_usage_error(gated):
    result = gated("def test_marked():\n    pass\n", conftest=MARKING.format(arguments="speedup=-1"))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*marker sd_latency: speedup=-1; valid: a ratio above 0*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_what_a_test_prints_after_its_gate_goes_where_it_has_sent_it(gated):
    source = f"""
    import contextlib, io

    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(sd_latency, capsys):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            {PASSES}
            print("inside")
        assert said.getvalue() == "inside\\n"
        print("outside")
        assert capsys.readouterr().out == "outside\\n"
    """
    gated(textwrap.dedent(source)).assert_outcomes(passed=1)
