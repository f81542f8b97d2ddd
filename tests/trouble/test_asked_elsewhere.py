"""A gate that a forked child or a thread calls."""

import os
import textwrap

import pytest

FAST, SLOW = "engine(1.0)", "engine(1.5)"
PASSES = f"sd_latency({FAST}, baseline={SLOW})"

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


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


@forks
def test_a_plugin_that_runs_whole_tests_in_forks_loses_nothing_unsaid(gated, pytester):
    source = f"@pytest.mark.sd_latency(speedup=1.5)\ndef test_engine(sd_latency):\n    {PASSES}\n"
    conftest = """
            import os
            from _pytest.runner import runtestprotocol

            def pytest_runtest_protocol(item):
                child = os.fork()
                if child == 0:
                    reports = runtestprotocol(item, log=False)
                    with open("said.txt", "w") as file:
                        file.write(str(reports[1].longrepr))
                    os._exit(0)
                os.waitpid(child, 0)
                return True
            """
    gated(source, conftest=conftest)
    assert (pytester.path / "said.txt").read_text().startswith("sd_latency was called in another process than the one that runs the tests")
