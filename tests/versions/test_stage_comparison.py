"""What is said of the stages of two versions, and when the process is what makes one slower."""

from types import SimpleNamespace

import pytest

from pytest_sdspeed.model import CONTROL, Interval, StageResults
from pytest_sdspeed.versions.stage_comparison import explain_by_process, list_changes

NOISE = [1 + 0.001 * ((7 * block) % 5 - 2) for block in range(8)]


def pairs(seconds):
    return [(seconds * one, seconds * one) for one in NOISE]


def data(**other_process):
    """A campaign whose third process takes so many times as long in a stage."""
    steady = {"denoising": pairs(1.0), "decoding": pairs(0.1)}
    control = {stage: pairs(seconds * other_process.get(stage, 1.0)) for stage, seconds in (("denoising", 1.0), ("decoding", 0.1))}
    samples = {"old": steady, CONTROL: {stage: [(b, a) for a, b in found] for stage, found in steady.items()}, "third": control}
    return SimpleNamespace(baseline="old", stages=SimpleNamespace(samples_s=samples))


def results(**verdicts):
    ratio = Interval(0.94, 0.93, 0.95)
    return StageResults(
        steps=4,
        sampled_steps=4,
        ratios={"text_encoder": Interval(0.5, 0.4, 0.6), "denoising": Interval(1.0, 0.99, 1.01), "decoding": ratio},
        verdicts=verdicts,
        floor=0.97,
        latencies_s={"text_encoder": (0.002, 0.001), "denoising": (1.0, 1.0), "decoding": (0.106, 0.1)},
    )


def differs(found):
    return found.high < 0.985 or found.low > 1 / 0.985


def test_changes_are_latencies_over_those_of_the_other_version_without_what_takes_no_time():
    found = list_changes(results())
    assert list(found) == ["denoising", "decoding"]
    assert found["decoding"] == pytest.approx(1 / 0.94)


@pytest.mark.parametrize(
    ("verdicts", "other_process", "explained"),
    [
        ({"denoising": "pass", "decoding": "fail"}, {"decoding": 1.05}, True),
        ({"denoising": "pass", "decoding": "fail"}, {"decoding": 1.001}, False),
        ({"denoising": "pass", "decoding": "fail"}, {"denoising": 1.05}, False),
        # The other process explains one of them, and not the other.
        ({"denoising": "fail", "decoding": "fail"}, {"decoding": 1.05}, False),
        ({"denoising": "pass", "decoding": "pass"}, {"decoding": 1.05}, False),
    ],
)
def test_the_process_explains_a_slower_stage_only_if_it_differs_in_every_one_that_fails(verdicts, other_process, explained):
    why = explain_by_process(results(**verdicts), data(**other_process), "third", "main", differs)
    assert bool(why) == explained
    if explained:
        assert why.startswith("two processes of main differ by as much in what is slower (decoding x0.952 [0.952, 0.952]): an effect")
