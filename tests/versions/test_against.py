"""``--sd-against`` from the outside: what one run of many tests says of each of them."""

import io
import json
import re
from contextlib import redirect_stdout
from types import SimpleNamespace

import pytest
from against import compare, stored, workers

from pytest_sdspeed.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Not saving anything")]

PICTURE = "return numpy.random.default_rng({seed}).random((32, 32, 3), dtype=numpy.float32) * {scale}"
LATENTS = "return numpy.random.default_rng({seed}).standard_normal((1, 4, 8, 8)) + {shift}"
BESIDES = """
import functools
import numpy
import random

from fake_clock import CLOCK

NOISE = random.Random(2)

def spend(seconds):
    CLOCK.spend(seconds * NOISE.gauss(1, 0.003))
"""
CALLABLES = {
    # In hand, and in the other version: seconds, and what follows.
    "work": ((0.05, "pass"), (0.05, "pass")),
    "slower": ((0.053, "pass"), (0.05, "pass")),
    "faster": ((0.05, "pass"), (0.053, "pass")),
    "slightly_slower": ((0.051, "pass"), (0.05, "pass")),
    "same_picture": ((0.05, PICTURE.format(seed=1, scale=1)), (0.05, PICTURE.format(seed=1, scale=1))),
    "other_picture": ((0.05, PICTURE.format(seed=1, scale=1)), (0.05, PICTURE.format(seed=1, scale=0.99))),
    "same_latents": ((0.05, LATENTS.format(seed=1, shift=0)), (0.05, LATENTS.format(seed=1, shift=0))),
    "other_latents": ((0.05, LATENTS.format(seed=1, shift=0.25)), (0.05, LATENTS.format(seed=1, shift=0))),
    "black": ((0.05, PICTURE.format(seed=1, scale=0)), (0.05, PICTURE.format(seed=1, scale=1))),
    "lost_versions": ((0.053, "pass"), (0.05, "pass")),
    "lost_served": ((0.053, "pass"), (0.05, "pass")),
    "lost_stages": ((0.053, "pass"), (0.05, "pass")),
}
TESTS = """
import engine
import pytest

@pytest.mark.parametrize("address", ["engine:work", "engine:missing", "nowhere:work", "work"])
def test_address(sd_latency, address):
    sd_latency(address)

def test_closure(sd_latency):
    def inner():
        pass
    sd_latency(inner)

def test_baseline(sd_latency):
    sd_latency("engine:work", baseline=lambda: None)

def test_task(sd_latency):
    sd_latency("engine:TASK")
"""
LOST = """
import pytest
from pytest_sdspeed.versions.workers import Worker, WorkerLostError

@pytest.fixture(autouse=True)
def lost_at_last(request, monkeypatch):
    lost, ask = request.node.name.removeprefix("test_lost_"), Worker.ask
    def asked(self, command, *arguments):
        if command == lost:
            raise WorkerLostError("it has ended")
        return ask(self, command, *arguments)
    monkeypatch.setattr(Worker, "ask", asked)
"""
"""The test ``test_lost_served`` loses its worker at the request ``served``."""


def write_side(folder, side):
    """Write the module of a side: every callable, and one without a name."""
    bodies = {name: sides[side] for name, sides in CALLABLES.items()}
    functions = [f"\ndef {name}():\n    spend({seconds})\n    {more}\n" for name, (seconds, more) in bodies.items()]
    folder.mkdir(exist_ok=True)
    (folder / "engine.py").write_text(BESIDES + "".join(functions) + "\nTASK = functools.partial(work)\n")


@pytest.fixture
def compared(pytester, monkeypatch, once):
    """What came of one run of all of them: what it printed, stored and wrote, and what the commands say of the stored run."""

    def run():
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
        write_side(pytester.path, 0)
        write_side(pytester.path / "old", 1)
        test = TESTS + "".join(f"\ndef test_{name}(sd_latency):\n    sd_latency(engine.{name})\n" for name in CALLABLES)
        result = compare(pytester, "-v", "-rsf", "--sd-report=report.html", "--benchmark-autosave", test=test, conftest=LOST)
        left = workers()
        with redirect_stdout(io.StringIO()) as told:
            assert main(["history", ".benchmarks", "--json"]) == 0
            histories = json.loads(told.getvalue())
            reported = main(["report", ".benchmarks", "page.html"])
        return SimpleNamespace(
            result=result,
            outcomes=dict(re.findall(r"^test_work\.py::(\S+) ([A-Z]+)", str(result.stdout), re.MULTILINE)),
            records=stored(pytester),
            summary=(pytester.path / "summary.md").read_text(),
            report=(pytester.path / "report.html").read_text(),
            left=left,
            histories=histories,
            reported=reported,
            page=(pytester.path / "page.html").read_text(),
        )

    return once("compared", run)


def row_of(compared, name):
    """The line of the table."""
    (line,) = [line for line in compared.result.outlines if line.startswith(f"{name} of test_work.py::test_{name} ")]
    return line


def test_a_version_against_itself_passes(compared):
    assert compared.outcomes["test_work"] == "PASSED"
    compared.result.stdout.fnmatch_lines(["*sd against old*: callables*floor -3%*"])
    assert re.search(r" ms +\S+ ms .*0\.\d% \[.*\].* pass$", row_of(compared, "work"))
    record = compared.records["test_work"]
    assert record["against"]["spec"] == "old"
    assert record["baseline"] == "work of old"
    assert len(record["samples_s"]["work"]) == record["blocks"] >= 3
    assert compared.left == []


def test_six_percent_slower_fails_and_says_so(compared):
    assert compared.outcomes["test_slower"] == "FAILED"
    assert compared.result.ret == pytest.ExitCode.TESTS_FAILED
    (said,) = [line for line in compared.result.outlines if line.startswith("slower of test_work.py::test_slower: ")]
    found = re.match(
        r"slower of .*: (\d\.\d)% slower \[(\d\.\d), (\d\.\d)\] than old\. On .*; at most 3% slower passes \(floor x0.97\), \d blocks", said
    )
    assert found, said
    assert float(found[2]) <= float(found[1]) <= float(found[3])
    assert 5.5 < float(found[1]) < 6.5
    assert "Traceback" not in str(compared.result.stdout)
    assert compared.records["test_slower"]["verdict"] == "fail"


def test_six_percent_faster_passes_and_says_so(compared):
    assert compared.outcomes["test_faster"] == "PASSED"
    assert re.search(r"% faster \[.* pass$", row_of(compared, "faster"))


def test_two_percent_slower_pass_unless_the_tolerance_is_less(compared):
    # With a smaller tolerance they fail: below, in the run whose workers are killed.
    assert compared.outcomes["test_slightly_slower"] == "PASSED"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("same_picture", r"identical.*pass$"),
        ("other_picture", r"differ  PSNR 4.*pass$"),
        ("same_latents", r"identical.*pass$"),
        ("other_latents", r"differ  max 0\.25  cosine \.9.*pass$"),
    ],
)
def test_equal_pictures_and_latents_are_told_from_others(compared, name, said):
    assert re.search(said, row_of(compared, name))


def test_a_black_picture_of_the_new_version_fails(compared):
    assert compared.outcomes["test_black"] == "FAILED"
    compared.result.stdout.fnmatch_lines(["black of *black*"])


def test_the_summary_of_a_step_is_a_markdown_table(compared):
    assert "| setup | old | new | change | stages | pictures | verdict |" in compared.summary
    assert re.search(r"\| slower of \S+ \| (49|50)\.\d+ ms \| 5[23]\.\d+ ms \| \d\.\d% slower .* \| ❌ fail \|", compared.summary)
    assert "% slower [" in compared.report
    assert ">change</th>" in compared.report


@pytest.mark.parametrize("command", ["versions", "served", "stages"])
def test_a_worker_lost_after_the_last_slot_takes_nothing_with_it(compared, command):
    assert compared.outcomes[f"test_lost_{command}"] == "FAILED"
    record = compared.records[f"test_lost_{command}"]
    assert record["verdict"] == "fail"
    assert record["against"]["stages"] == {}


def test_callables_are_named_by_module_and_name(compared):
    addresses = {name: outcome for name, outcome in compared.outcomes.items() if name.startswith("test_address")}
    assert list(addresses.values()) == ["PASSED", "FAILED", "FAILED", "FAILED"]
    assert (compared.outcomes["test_closure"], compared.outcomes["test_baseline"]) == ("SKIPPED", "PASSED")
    compared.result.stdout.fnmatch_lines(["*valid: *'module:name'*", "*sd_latency(inner): --sd-against measures in other processes*"])


def test_a_callable_without_a_name_of_its_own_is_known_by_the_address_it_was_given_by(compared):
    assert compared.outcomes["test_task"] == "PASSED"
    assert compared.records["test_task"]["setup"] == "candidate"


def test_histories_pass_over_comparisons(compared):
    assert compared.histories == []
    assert compared.reported == 0
    assert "work" in compared.page
