"""When each stage of a generation began and ended, and the shapes its parts were called with."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STAGES = {"text_encoder": "text_encoder", "unet": "denoising", "vae": "decoding"}
"""Part of a pipeline -> the stage that lasts from the part's first call to the end of its last."""

Shapes = tuple[tuple[int | str, tuple[int, ...], bool], ...]
"""The tensors of a call: position or keyword, shape, and whether it holds floating-point
numbers."""


class Timestamps(Protocol):
    """Points in a device's time."""

    def now(self) -> Any:
        """Return a point after all that the device was asked to do so far."""
        ...

    def seconds(self, start: Any, end: Any) -> float:
        """Return the seconds between two points, once the device has passed them."""
        ...


class HostTimestamps:
    """Points in the time of a CPU, which is synchronous, or of what it waits for.

    Args:
        synchronize: waits for the device.
    """

    def __init__(self, synchronize: Callable[[], None] = lambda: None) -> None:
        self._synchronize = synchronize

    def now(self) -> float:
        """Return the monotonic performance counter, seconds, once the device has done its work."""
        self._synchronize()
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        """Return the seconds between two points."""
        return end - start


class EventTimestamps:
    """Points in the time of an accelerator's current stream, without waiting for it.

    Args:
        module: the accelerator's module, such as ``torch.cuda``.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def now(self) -> Any:
        """Return an event that the stream passes once it has done what it was asked before."""
        event = self._module.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Wait for the second event, and return the seconds between the two."""
        end.synchronize()
        # torch tells milliseconds.
        return float(start.elapsed_time(end)) / 1e3


class StageTimer:
    """The parts of a pipeline, watched from outside.

    Text encoder and UNet are watched by hooks on the very objects that the pipeline calls: for a
    compiled module this is its wrapper, so that the hooks do not change the graph inside.
    ``decode`` is a method, which hooks do not see: it is replaced for the time being.

    Args:
        timestamps: points in the device's time.

    Attributes:
        calls: part -> shapes -> number of calls.
        inner: submodule of the UNet -> number of calls, if they are counted.
    """

    def __init__(self, timestamps: Timestamps) -> None:
        self._timestamps = timestamps
        self._first: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self.calls: dict[str, Counter[Shapes]] = {part: Counter() for part in STAGES}
        self.inner: Counter[str] = Counter()

    @contextmanager
    def watch(self, pipeline: Any, *, inside: bool) -> Iterator[None]:
        """Watch a pipeline inside the block, and restore it afterwards.

        Args:
            pipeline: a Stable Diffusion pipeline of diffusers.
            inside: whether to count the calls of every submodule of the UNet too.

        Raises:
            LookupError: no call of a part was seen.
        """
        with ExitStack() as held:
            for part in ("text_encoder", "unet"):
                module = getattr(pipeline, part)
                held.enter_context(
                    module.register_forward_pre_hook(
                        partial(self._hook_before, part), with_kwargs=True
                    )
                )
                held.enter_context(module.register_forward_hook(partial(self._hook_after, part)))
            held.enter_context(self._watch_decode(unwrap(pipeline.vae)))
            for name, module in unwrap(pipeline.unet).named_modules() if inside else ():
                held.enter_context(module.register_forward_pre_hook(partial(self._count, name)))
            yield
        unseen = [part for part, calls in self.calls.items() if not calls]
        if unseen:
            raise LookupError(f"no call of {', '.join(unseen)} was seen")

    def measure_stages_s(self) -> Mapping[str, float]:
        """Return stage -> seconds, once the device has done it all."""
        return {
            stage: self._timestamps.seconds(self._first[part], self._last[part])
            for part, stage in STAGES.items()
        }

    def _begin(self, part: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.calls[part][_read_shapes(args, kwargs)] += 1
        if part not in self._first:
            self._first[part] = self._timestamps.now()

    def _end(self, part: str) -> None:
        self._last[part] = self._timestamps.now()

    def _hook_before(
        self, part: str, _module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self._begin(part, args, kwargs)

    def _hook_after(self, part: str, _module: Any, _args: Any, _output: Any) -> None:
        self._end(part)

    def _count(self, name: str, _module: Any, _args: Any) -> None:
        self.inner[name] += 1

    @contextmanager
    def _watch_decode(self, vae: Any) -> Iterator[None]:
        own, decode = vars(vae).get("decode"), vae.decode

        def time_decode(*args: Any, **kwargs: Any) -> Any:
            self._begin("vae", args, kwargs)
            decoded = decode(*args, **kwargs)
            self._end("vae")
            return decoded

        vae.decode = time_decode
        try:
            yield
        finally:
            if own is None:
                del vae.decode
            else:
                vae.decode = own


def unwrap(module: Any) -> Any:
    """Return the module inside one that ``torch.compile`` made; return any other as it is."""
    return getattr(module, "_orig_mod", module)


def _read_shapes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Shapes:
    tensors = {
        name: value
        for name, value in (dict(enumerate(args)) | dict(kwargs)).items()
        if hasattr(value, "is_floating_point")
    }
    return tuple(
        (name, tuple(tensor.shape), tensor.is_floating_point()) for name, tensor in tensors.items()
    )
