"""One generation in which every optimization of a stack shows whether it acts: proofs of anybody's are asked, and none can pass by breaking."""

from __future__ import annotations

from contextlib import contextmanager, suppress

import numpy as np
import pytest

from pytest_sdspeed.errors import LeakedFlagError, OutOfMemoryError
from pytest_sdspeed.model import Finding, Proof
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.proving import prove_stack

PIPELINE = object()
SEEN = Finding(acted=True, text="seen")


def answering(finding, *, name="one", **fields):
    @contextmanager
    def prove(_pipeline, **_options):
        yield lambda: finding

    return Optimization(name=name, summary="answers", prove=prove, **fields)


def proven_by(prove, **fields):
    return Optimization(name="one", summary="proves", prove=prove, **fields)


def find(*stack, draw=lambda: None):
    return [(proof.finding.acted, proof.finding.text) for proof in prove_stack(stack, PIPELINE, draw)]


def test_all_are_asked_in_one_generation_with_their_options_and_by_their_labels():
    events = []

    def watching(name):
        @contextmanager
        def prove(pipeline, *, threshold):
            assert pipeline is PIPELINE
            events.append(f"open {name}")
            yield lambda: (events.append(f"ask {name}"), Finding(acted=True, text=f"by {threshold}"))[1]
            events.append(f"close {name}")

        return Optimization(name=name, summary="watches", options={"threshold": 0.1}, prove=prove)

    stack = (watching("a"), Optimization(name="silent", summary="has no proof"), watching("b").with_options({"threshold": 0.5}, "a test"))
    assert prove_stack(stack, PIPELINE, lambda: events.append("draw")) == (
        Proof("a", Finding(acted=True, text="by 0.1")),
        Proof("b(threshold=0.5)", Finding(acted=True, text="by 0.5")),
    )
    # What is recorded by a context is whole once it is closed, as torch's profiler's is.
    assert events == ["open a", "open b", "draw", "close b", "close a", "ask a", "ask b"]


@pytest.mark.parametrize("acted", [True, np.True_, 1])
def test_what_stands_for_yes_is_yes(acted):
    assert find(answering(Finding(acted, "seen"))) == [(True, "seen")]


@pytest.mark.parametrize(("acted", "told"), [(False, False), (np.False_, False), (0, False), (None, None)])
def test_what_does_not_is_not(acted, told):
    assert find(answering(Finding(acted, "seen"))) == [(told, "seen")]


@pytest.mark.parametrize("answer", [True, None, ("yes",)])
def test_an_answer_that_is_no_finding_tells_nothing(answer):
    ((acted, text),) = find(answering(answer))
    assert acted is None
    assert "is no Finding" in text


def raising_before():
    @contextmanager
    def prove(_pipeline):
        raise ValueError("before")
        yield

    return prove


def raising_after():
    @contextmanager
    def prove(_pipeline):
        yield lambda: SEEN
        raise ValueError("after")

    return prove


def raising_when_asked():
    @contextmanager
    def prove(_pipeline):
        yield lambda: {}["asked"]

    return prove


def no_context():
    return lambda _pipeline: SEEN


def ambiguous():
    @contextmanager
    def prove(_pipeline):
        yield lambda: Finding(np.array([True, False]), "seen")

    return prove


@pytest.mark.parametrize("make", [raising_before, raising_after, raising_when_asked, no_context, ambiguous], ids=lambda make: make.__name__)
def test_a_proof_that_breaks_tells_nothing_and_leaves_the_others_their_answers(make):
    (broken, text), other = find(proven_by(make()), answering(SEEN))
    assert broken is None
    assert text.startswith("its proof raised ")
    assert other == (True, "seen")


def test_a_proof_that_swallows_what_the_generation_raises_does_not_pass_by_it():
    @contextmanager
    def prove(_pipeline):
        with suppress(RuntimeError):
            yield lambda: SEEN

    def draw():
        raise RuntimeError("no such kernel")

    assert [acted for acted, _ in find(proven_by(prove), draw=draw)] == [None]


def test_a_generation_that_raises_with_the_proofs_tells_nothing_of_any():
    def draw():
        raise ValueError("a hook of a proof")

    for acted, text in find(answering(SEEN), answering(SEEN, name="two"), draw=draw):
        assert acted is None
        assert text.startswith("the generation that was to show it raised ValueError: a hook of a proof")


@pytest.mark.parametrize(("error", "kind"), [(MemoryError("none"), OutOfMemoryError), (LeakedFlagError("a flag"), LeakedFlagError)])
def test_memory_and_what_others_share_are_no_question_of_proof(error, kind):
    def draw():
        raise error

    with pytest.raises(kind):
        find(answering(SEEN), draw=draw)


def test_an_interrupt_closes_every_proof():
    closed = []

    @contextmanager
    def prove(_pipeline):
        try:
            yield lambda: SEEN
        finally:
            closed.append(True)

    def draw():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(proven_by(prove), proven_by(prove), draw=draw)
    assert closed == [True, True]


def test_a_setup_proves_in_its_slot_and_generates_for_nothing_else(make_small):
    held = []

    @contextmanager
    def slot():
        held.append(True)
        yield
        held.clear()

    @contextmanager
    def prove(pipeline):
        calls = []
        hook = pipeline.unet.register_forward_hook(lambda *_: calls.append(list(held)))
        yield lambda: Finding(calls == [[True], [True]], f"{len(calls)} calls")
        hook.remove()

    from pytest_sdspeed.model import Case

    proven = make_small(extra=[Optimization(name="held", summary="held", slot=slot, prove=prove)])
    assert proven.has_proofs
    assert [str(one) for one in proven.prove(Case(0))] == ["held acted: 2 calls"]
    silent = make_small("sdpa") if not make_small("sdpa").has_proofs else make_small()
    assert silent.prove(Case(0)) == ()
