"""How many graphs torch compiled in this process: counted where torch counts, and nothing is imported for it."""

from __future__ import annotations

import sys

import pytest
import torch

from pytest_sdspeed.device.compilations import count_compiled


def test_nothing_is_compiled_before_the_compiler_is_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    assert count_compiled() == 0
    assert "torch._dynamo" not in sys.modules


def test_a_torch_that_does_not_count_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", object())
    monkeypatch.setitem(sys.modules, "torch._dynamo.utils", object())
    assert count_compiled() is None


@pytest.mark.slow
@pytest.mark.parametrize("fullgraph", [True, False])
def test_a_call_of_other_sizes_compiles_again_and_an_equal_one_does_not(fullgraph):
    def double(value):
        return value * 2

    torch.compiler.reset()
    compiled = torch.compile(double, backend="eager", fullgraph=fullgraph, dynamic=False)
    counts = []
    for size in (2, 2, 3):
        before = count_compiled()
        compiled(torch.ones(size))
        counts.append(count_compiled() - before)
    torch.compiler.reset()
    assert counts == [1, 0, 1]
