"""CUDA graphs: what is captured is asked for again when it is replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from pytest_sdspeed.dry.ledger import Operation, Visible
from pytest_sdspeed.errors import UnsupportedError

if TYPE_CHECKING:
    import weakref

    from pytest_sdspeed.dry.device import CountingDevice
    from pytest_sdspeed.dry.tensors import CountedTensor


class _Graph:
    """Stands for ``torch.cuda.CUDAGraph``.

    A replay asks for every operation that was captured. What it computes is not computed again:
    the tensors that the capture wrote lose their values.
    """

    device: CountingDevice

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self._start: int | None = None
        self._operations: list[Operation] = []
        self._written: list[weakref.ref[CountedTensor]] = []

    def capture_begin(self, *_args: Any, **_kwargs: Any) -> None:
        """Start to capture."""
        self._start = len(self.device.ledger.events)
        self.device.written = []

    def capture_end(self) -> None:
        """Stop capturing.

        Raises:
            RuntimeError: the host waited, which a GPU refuses during a capture.
        """
        events = self.device.ledger.events[self._start :]
        self._written, self.device.written = self.device.written or [], None
        self._start, self.device.ledger.captured = None, True
        for event in events:
            if isinstance(event, Visible) and event.kind == "host_sync":
                raise RuntimeError(
                    "CUDA error: operation not permitted when stream is capturing:"
                    f" {event.caller.file}:{event.caller.line}  {event.caller.code}"
                )
        self._operations = [event for event in events if isinstance(event, Operation)]

    def replay(self) -> None:
        """Ask for what was captured."""
        for operation in self._operations:
            self.device.ledger.add(operation)
        for reference in self._written:
            tensor = reference()
            if tensor is not None:
                self.device.values.lose(tensor)

    def reset(self) -> None:
        """Forget what was captured."""
        self._operations, self._written = [], []

    def pool(self) -> tuple[int, int]:
        """Return the name of its memory."""
        return (0, 0)


class _Capture:
    """Stands for ``torch.cuda.graph``, the block in which a graph is captured."""

    def __init__(self, cuda_graph: Any, *_args: Any, **_kwargs: Any) -> None:
        self._graph = cuda_graph

    def __enter__(self) -> Self:
        self._graph.capture_begin()
        return self

    def __exit__(self, kind: object, *_args: object) -> None:
        try:
            self._graph.capture_end()
        except RuntimeError:
            if kind is None:
                raise


def make_graph_answers(device: CountingDevice) -> dict[str, Any]:
    """Return what stands for the graphs of ``torch.cuda``: name -> class or function."""
    return {
        "CUDAGraph": type("CUDAGraph", (_Graph,), {"device": device}),
        "graph": _Capture,
        "graph_pool_handle": lambda: (0, 0),
        "is_current_stream_capturing": lambda: device.written is not None,
        "make_graphed_callables": _refuse_callables,
    }


def _refuse_callables(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise UnsupportedError(
        "a dry run does not count torch.cuda.make_graphed_callables: capture with torch.cuda.graph"
    )


def refuse_trace(*_args: Any, **_kwargs: Any) -> NoReturn:
    """Stand for ``torch.jit.trace``, whose results torch runs without asking the device.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError("a dry run does not count what torch.jit.trace made: count it untraced")
