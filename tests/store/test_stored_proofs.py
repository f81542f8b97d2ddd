"""What was seen of optimizations, in the stored record: it comes back, records of before lack it, and rows that were not timed are read too."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from fakes import result

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.model import CONTROL, Finding, Proof
from pytest_sdspeed.store.records import from_json, to_json

SEEN = (
    Proof("bf16", Finding(acted=True, text="computes in bfloat16")),
    Proof("cache(threshold=0.0)", Finding(acted=None, text="it broke")),
)


def again(stored):
    return from_json(json.loads(json.dumps(stored)), Path())


def test_what_was_seen_comes_back():
    found = again(to_json(result(proofs=SEEN, baseline_proofs=SEEN[:1])))
    assert (found.proofs, found.baseline_proofs) == (SEEN, SEEN[:1])
    assert found.without_effect


def test_what_a_rehearsal_excuses_comes_back_and_is_no_row_without_effect():
    excused = (Proof("vae_tiling", Finding(acted=False, text="no tile", excused=True)),)
    found = again(to_json(result(proofs=(*SEEN[:1], *excused))))
    assert found.proofs == (*SEEN[:1], *excused)
    assert not found.without_effect
    assert "excused" not in to_json(result(proofs=SEEN))["proofs"][0]


def test_records_of_before_saw_nothing():
    stored = to_json(result())
    del stored["proofs"], stored["baseline_proofs"]
    found = again(stored)
    assert found.proofs == found.baseline_proofs == ()
    assert not found.without_effect


def test_a_row_that_was_not_timed_is_read_with_unknown_latencies():
    nothing = {"samples_s": {"baseline": (), CONTROL: (), "fp16": ()}, "blocks": 0, "latency_s": math.nan, "baseline_latency_s": math.nan}
    unknown = dict.fromkeys(("speedup", "low", "high"), math.nan)
    found = again(to_json(result(verdict="invalid", proofs=SEEN, **nothing, **unknown)))
    assert found.proofs == SEEN
    assert math.isnan(found.latency_s)
    assert math.isnan(found.baseline_latency_s)


def test_a_timed_row_without_its_samples_is_damaged():
    stored = to_json(result())
    stored["samples_s"]["fp16"] = []
    with pytest.raises(StoredRunError):
        again(stored)
