"""When each stage of a generation began and ended, and with which shapes the pipeline called its parts."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STAGES = {"text_encoder": "text_encoder", "unet": "denoising", "vae": "decoding"}
"""Part of a pipeline -> the stage that lasts from the part's first call to the end of its last."""

Shapes = tuple[tuple[int | str, tuple[int, ...], bool], ...]
"""The tensors of a call: position or keyword, shape, and whether it holds floating-point numbers."""


class Marks(Protocol):
    """Points in a device's time."""

    def now(self) -> Any:
        """A point behind all that the device was asked to do so far."""
        ...

    def seconds(self, start: Any, end: Any) -> float:
        """Between two points, once the device has passed them."""
        ...


class HostMarks:
    """Points in the time of a CPU, which is synchronous."""

    def now(self) -> float:
        """Seconds of the monotonic performance counter."""
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        """Between two points."""
        return end - start


class CudaMarks:
    """Points in the time of the current CUDA stream, without waiting for it.

    Args:
        cuda: the ``torch.cuda`` module.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda

    def now(self) -> Any:
        """An event that the stream passes when it has done what it was asked before."""
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Between two events, waited for; torch tells milliseconds."""
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3


class Watch:
    """Watches the parts of a pipeline from outside.

    Text encoder and UNet are watched by hooks on the very objects that the pipeline calls: of a compiled module this is its wrapper, so
    that the graph inside knows nothing of them. ``decode`` is a method, which hooks do not see: it is replaced for the while.

    Args:
        marks: time of the device.

    Attributes:
        calls: part -> shapes -> calls.
        inner: submodule of the UNet -> calls, where they are asked for.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._first: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self.calls: dict[str, Counter[Shapes]] = {part: Counter() for part in STAGES}
        self.inner: Counter[str] = Counter()

    @contextmanager
    def on(self, pipeline: Any, *, inside: bool) -> Iterator[None]:
        """Watch a pipeline inside the block, and leave it afterwards as it was.

        Args:
            pipeline: a Stable Diffusion pipeline of diffusers.
            inside: count the calls of every submodule of the UNet too.

        Raises:
            LookupError: a part was never seen to be called.
        """
        with ExitStack() as held:
            for part in ("text_encoder", "unet"):
                module = getattr(pipeline, part)
                held.enter_context(module.register_forward_pre_hook(partial(self._hook_before, part), with_kwargs=True))
                held.enter_context(module.register_forward_hook(partial(self._hook_after, part)))
            held.enter_context(self._decoding(unwrapped(pipeline.vae)))
            for name, module in unwrapped(pipeline.unet).named_modules() if inside else ():
                held.enter_context(module.register_forward_pre_hook(partial(self._count, name)))
            yield
        unseen = [part for part, calls in self.calls.items() if not calls]
        if unseen:
            raise LookupError(f"no call of {', '.join(unseen)} was seen")

    def stages_s(self) -> Mapping[str, float]:
        """Stage -> seconds, once the device has done it all."""
        return {stage: self._marks.seconds(self._first[part], self._last[part]) for part, stage in STAGES.items()}

    def _begin(self, part: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.calls[part][_shapes(args, kwargs)] += 1
        if part not in self._first:
            self._first[part] = self._marks.now()

    def _end(self, part: str) -> None:
        self._last[part] = self._marks.now()

    def _hook_before(self, part: str, _module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._begin(part, args, kwargs)

    def _hook_after(self, part: str, _module: Any, _args: Any, _output: Any) -> None:
        self._end(part)

    def _count(self, name: str, _module: Any, _args: Any) -> None:
        self.inner[name] += 1

    @contextmanager
    def _decoding(self, vae: Any) -> Iterator[None]:
        own, decode = vars(vae).get("decode"), vae.decode

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._begin("vae", args, kwargs)
            decoded = decode(*args, **kwargs)
            self._end("vae")
            return decoded

        vae.decode = watched
        try:
            yield
        finally:
            if own is None:
                del vae.decode
            else:
                vae.decode = own


def unwrapped(module: Any) -> Any:
    """The module inside one that ``torch.compile`` returned; any other is returned as it is."""
    return getattr(module, "_orig_mod", module)


def _shapes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Shapes:
    tensors = {name: value for name, value in (dict(enumerate(args)) | dict(kwargs)).items() if hasattr(value, "is_floating_point")}
    return tuple((name, tuple(tensor.shape), tensor.is_floating_point()) for name, tensor in tensors.items())
