"""A CUDA graph's replay asks for what was captured, and what it writes has no known values."""

import pytest
import torch

from pytest_sdspeed.dry.ledger import Operation
from pytest_sdspeed.errors import DryRunError, UnsupportedError


def capture(work):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        assert torch.cuda.is_current_stream_capturing()
        result = work()
    assert not torch.cuda.is_current_stream_capturing()
    return graph, result


def test_a_replay_asks_for_the_same_operations(counted):
    held = torch.ones(3, 3, device="cuda")
    start = len(counted.events)
    graph, _result = capture(lambda: (held @ held).relu() + 1)
    captured = counted.events[start:]
    assert [event.name for event in captured] == ["mm", "relu", "add"]
    assert counted.captured
    graph.replay()
    graph.replay()
    assert counted.events[start:] == captured * 3
    graph.reset()
    graph.replay()
    assert len(counted.events) == start + 9
    counted.restart()
    assert not counted.captured


def test_what_a_replay_writes_has_no_known_values(counted):
    held, other = torch.ones(3, device="cuda"), torch.zeros(3, device="cuda")

    def work():
        other.copy_(held)
        return held * 2

    graph, result = capture(work)
    assert result.sum().item() == 6
    held.fill_(5)
    graph.replay()
    for unknown in (result, other, result[1:]):
        with pytest.raises(DryRunError, match=r"test_graphs\.py"):
            unknown.sum().item()
    assert held.sum().item() == 15


def test_a_host_that_waits_inside_a_capture_is_refused_with_its_line(counted):
    x = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match=r"capturing: .*test_graphs\.py:\d+  .*item"):
        capture(lambda: x.sum().item())
    assert not torch.cuda.is_current_stream_capturing()


def test_an_exception_inside_a_capture_is_the_one_that_is_raised(counted):
    x = torch.ones(3, device="cuda")

    def work():
        x.sum().item()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        capture(work)


def test_what_the_dry_run_would_not_see_is_refused(counted):
    layer = torch.nn.Linear(2, 2).to("cuda")
    x = torch.ones(1, 2, device="cuda")
    with pytest.raises(UnsupportedError, match=r"torch\.jit\.trace"):
        torch.jit.trace(layer, (x,))
    with pytest.raises(UnsupportedError, match="make_graphed_callables"):
        torch.cuda.make_graphed_callables(layer, (x,))
    assert all(isinstance(event, Operation) or event.kind == "host_to_device" for event in counted.events)
