"""Shared by the tests of campaigns: the bench, a collector that costs nothing, and what is read off a record."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from fakes import Bench


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture(autouse=True)
def quick_collector(request, monkeypatch):
    """Thousands of collections of a test process's heap, of which only the tests of the collector ask anything."""
    if "real_collector" not in request.fixturenames:
        monkeypatch.setattr(gc, "collect", lambda: 0)


def durations(record, label):
    return [duration for pair in record.samples_s[label] for duration in pair]


def undecidable(bench, **facts):
    """A row on its floor, exactly, as long as nothing but the clock decides: no look ever does."""
    return bench.arm("row", 1.0, floor=1.0, **facts)


def picture(text):
    """A picture of noise, another one for every text."""
    return np.random.default_rng(list(text.encode())).random((8, 8, 3), dtype=np.float32)


def tell(pictures, *texts):
    """Case -> which of the texts its only output is the picture of."""
    found = {
        case: [text for text in texts if np.array_equal(outputs[0].values[0], picture(text))] for case, outputs in pictures.outputs.items()
    }
    assert {len(outputs) for outputs in pictures.outputs.values()} <= {1}
    return {case: text for case, (text,) in found.items()}
