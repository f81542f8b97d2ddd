"""Where a pipeline's modules come from: ``from_pretrained``, or seeded random weights."""

from __future__ import annotations

import inspect
import logging
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from pytest_sdspeed.compatibility import make_dtype_argument
from pytest_sdspeed.device.quiet import hide_progress_bars, overhear, quiet
from pytest_sdspeed.errors import ModelUnavailableError, SdSpeedError, read_first_line
from pytest_sdspeed.pipelines.architectures import Architecture, find_architecture
from pytest_sdspeed.pipelines.building import build_part, build_pipeline
from pytest_sdspeed.pipelines.classes import find_part_class, find_pipeline_class
from pytest_sdspeed.pipelines.embedded import EMBEDDED, locate
from pytest_sdspeed.pipelines.model_folders import (
    VARIANTS,
    check_part,
    check_pipeline,
    find_variant,
    refuse_code,
)
from pytest_sdspeed.pipelines.parts import list_components
from pytest_sdspeed.pipelines.random_weights import draw_network, lay_out_network
from pytest_sdspeed.pipelines.shrinking import shrink_architecture
from pytest_sdspeed.pipelines.weight_types import (
    cast_weights,
    find_component_classes,
    hide_kept,
    need_accelerate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_sdspeed.pipelines.building import Make


class Source(Protocol):
    """Source of whole pipelines and of single replacement parts.

    They come in a dtype (``"float32"``, ...), on the source's device.
    """

    def load_pipeline(self, model: str, dtype: str, kind: str | None = None) -> Any:
        """Load a new pipeline.

        Args:
            model: hub id, folder or embedded model.
            dtype: type of the weights.
            kind: name of its class, or None for the one that the model names.
        """
        ...

    def load_part(self, component: str, model: str, dtype: str, like: type | None = None) -> Any:
        """Load a single component, which takes the place of a pipeline's own.

        Args:
            component: name of the component: ``unet``, ``vae``, ...
            model: a pipeline that has it, or the component itself.
            dtype: type of the weights.
            like: class of the component that it replaces, for models that name none.
        """
        ...


class PretrainedSource:
    """Weights from the package, a local folder, the hub's cache or the hub.

    They are safetensors only, never pickle, and no remote code ever runs.

    Args:
        device: torch device the modules are moved to.
        classes: pipelines that users registered, by the names of their classes.
    """

    def __init__(self, device: str, classes: Mapping[str, type] = MappingProxyType({})) -> None:
        self.device, self._classes = device, classes

    def load_pipeline(self, model: str, dtype: str, kind: str | None = None) -> Any:
        """Load a pipeline without its safety checker, which would run inside the timed call."""
        model = locate(model)
        with _load_quietly(model):
            from diffusers import DiffusionPipeline

            if Path(model).is_dir():
                check_pipeline(Path(model))
            index = DiffusionPipeline.load_config(model)
            refuse_code(model, index, self._classes, kind)
            chosen = self._find_class(index, kind)
            without = (
                {"safety_checker": None, "requires_safety_checker": False}
                if "safety_checker" in index and _takes_checker(chosen)
                else {}
            )
            kinds = find_component_classes(index)
            wide = need_accelerate(kinds)
            arguments = {**self._make_arguments(dtype, wide), **without}
            with hide_kept(kinds[name] for name in wide):
                pipeline = _load_variant(chosen, model, arguments)
            for part in list_components(pipeline).values():
                _cast_rest(part, dtype)
            return pipeline.to(self.device)

    def _find_class(self, index: Mapping[str, Any], kind: str | None) -> Any:
        """Return the class that loads a model: ``DiffusionPipeline`` finds those it knows."""
        from diffusers import DiffusionPipeline

        if kind is not None:
            return find_pipeline_class(kind, self._classes)
        return self._classes.get(str(index.get("_class_name")), DiffusionPipeline)

    def load_part(self, component: str, model: str, dtype: str, like: type | None = None) -> Any:
        """Load a single component from its folder in a pipeline, or from the root of a model.

        Its class is that of its own configuration.
        """
        model = locate(model)
        with _load_quietly(model):
            folder, config = _find_part_config(component, model)
            chosen = find_part_class(config, like, model)
            wide = need_accelerate({component: chosen})
            arguments = self._make_arguments("float32" if wide else dtype)
            arguments |= {"subfolder": folder} if folder else {}
            with hide_kept([chosen] if wide else ()):
                part = _load_variant(chosen, model, arguments)
            _cast_rest(part, dtype)
            return part.to(self.device)

    @staticmethod
    def _make_arguments(dtype: str, wide: Iterable[str] = ()) -> dict[str, Any]:
        import torch

        wanted = getattr(torch, dtype)
        parts = dict.fromkeys(wide, torch.float32)
        chosen = make_dtype_argument({**parts, "default": wanted} if parts else wanted)
        return {**chosen, "use_safetensors": True, "low_cpu_mem_usage": True}


class RandomSource:
    """The same architectures with random weights.

    A model always has the same weights, whatever was built before. They are drawn in float32 and
    cast, so that a float16 module holds the rounded weights of its float32 twin.

    Args:
        device: torch device the weights are drawn on.
        classes: pipelines that users registered, by the names of their classes.
        architectures: architectures that users registered, by the names of their models.
    """

    def __init__(
        self,
        device: str,
        classes: Mapping[str, type] = MappingProxyType({}),
        architectures: Mapping[str, Architecture] = MappingProxyType({}),
    ) -> None:
        self.device, self._classes, self._architectures = device, classes, architectures

    def load_pipeline(self, model: str, dtype: str, kind: str | None = None) -> Any:
        """Make a pipeline of the model's architecture."""
        return self.build_pipeline(
            model, find_architecture(model, self._architectures), dtype, kind
        )

    def build_pipeline(
        self, model: str, known: Architecture, dtype: str, kind: str | None = None
    ) -> Any:
        """Make a pipeline of an architecture in hand; of its networks only configurations are read.

        Args:
            model: name of the model, for messages, and for its weights.
            known: its architecture.
            dtype: type of the weights.
            kind: name of the pipeline's class, or None for the one that the model names.

        Raises:
            ModelUnavailableError: what is missing or broken, and where.
        """
        return build_pipeline(
            model,
            self._resize(known),
            self._make(known.name_weights(model), dtype),
            classes=self._classes,
            kind=kind,
        )

    def load_part(
        self,
        component: str,
        model: str,
        dtype: str,
        like: type | None = None,  # noqa: ARG002 - the architecture tells
    ) -> Any:
        """Make a single component: a student's denoiser, a tiny autoencoder, ..."""
        known = find_architecture(model, self._architectures)
        make = self._make(known.name_weights(model), dtype)
        return build_part(model, component, self._resize(known), make)

    def _make(self, name: str, dtype: str) -> Make:
        def make(component: str, build: Callable[[], Any]) -> Any:
            return draw_network(f"{name}/{component}", build, dtype, self.device)

        return make

    def _resize(self, full: Architecture) -> Architecture:
        return full


class TinySource(RandomSource):
    """The same classes and blocks with random weights at toy size.

    Args:
        device: torch device the weights are drawn on.
    """

    def _resize(self, full: Architecture) -> Architecture:
        return shrink_architecture(full)


class ShapesSource(RandomSource):
    """The same architectures without weights: tensors that have shapes, and no numbers.

    Args:
        device: torch device that the tensors say they are on, in a dry run.
        classes: pipelines that users registered, by the names of their classes.
    """

    def _make(self, name: str, dtype: str) -> Make:  # noqa: ARG002
        def make(_component: str, build: Callable[[], Any]) -> Any:
            return lay_out_network(build, dtype, self.device)

        return make


class EmbeddedFirst:
    """Embedded models from the package, every other model from another source.

    Args:
        embedded: source of the embedded models.
        other: source of every other model.
    """

    def __init__(self, embedded: Source, other: Source) -> None:
        self._embedded, self._other = embedded, other

    def _choose(self, model: str) -> Source:
        return self._embedded if model in EMBEDDED else self._other

    def load_pipeline(self, model: str, dtype: str, kind: str | None = None) -> Any:
        """Load a whole pipeline."""
        return self._choose(model).load_pipeline(model, dtype, kind)

    def load_part(self, component: str, model: str, dtype: str, like: type | None = None) -> Any:
        """Load a single component."""
        return self._choose(model).load_part(component, model, dtype, like)


def _takes_checker(kind: Any) -> bool:
    """Tell whether a pipeline can be made without its safety checker.

    ``DiffusionPipeline`` makes the class that the model names, which has one.
    """
    from diffusers import DiffusionPipeline

    return kind is DiffusionPipeline or "safety_checker" in inspect.signature(kind).parameters


def _find_part_config(component: str, model: str) -> tuple[str, Mapping[str, Any]]:
    """Return the folder of a component inside a model, "" for its root, and its configuration.

    Raises:
        ModelUnavailableError: a local folder has it neither here nor there, or it is broken.
    """
    from diffusers import AutoencoderKL

    read = AutoencoderKL.load_config  # of any class: it reads config.json

    root = Path(model)
    if root.is_dir():
        alone = not (root / component).is_dir() and (root / "config.json").exists()
        folder = "" if alone else component
        check_part(root, folder, kind=component)
        return folder, read(str(root / folder))
    try:
        return component, read(model, subfolder=component)
    except OSError:
        return "", read(model)


def _cast_rest(part: Any, dtype: str) -> None:
    """Cast what diffusers left in another type.

    Without accelerate, it loads some classes in float32 whatever they are asked for: what is
    measured as bfloat16 would be float32. Transformers does as it is asked.
    """
    import torch

    ours = isinstance(part, torch.nn.Module) and hasattr(part, "load_config")
    if ours and getattr(part, "hf_quantizer", None) is None:
        cast_weights(part, getattr(torch, dtype))


def _load_variant(kind: Any, model: str, arguments: Mapping[str, Any]) -> Any:
    """Load from a folder or the hub; if it holds only a variant of the weights, that variant."""
    root = Path(model)
    if root.is_dir():
        found = find_variant(root / str(arguments.get("subfolder", "")))
        more = {"variant": found} if found else {}
        return kind.from_pretrained(model, **arguments, **more)
    try:
        return kind.from_pretrained(model, **arguments)
    except (OSError, ValueError) as error:
        for variant in VARIANTS:
            with suppress(OSError, ValueError):
                return kind.from_pretrained(model, **arguments, variant=variant)
        raise error from None


@contextmanager
def _load_quietly(model: str) -> Iterator[None]:
    """Turn whatever loading raises into one message, and load without progress bars and log lines.

    Running out of memory tells nothing about the model, so that exception passes unchanged.

    Raises:
        ModelUnavailableError: it cannot be loaded, or the libraries drew weights at random that
            its files lack. They only log that.
    """
    with quiet(logging.CRITICAL):
        import torch
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

    with overhear() as said, hide_progress_bars(diffusers_logging, transformers_logging):
        try:
            yield
        except (SdSpeedError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            _refuse_drawn(model, said)
            raise ModelUnavailableError(_explain_failure(model, error)) from error
    _refuse_drawn(model, said)


def _refuse_drawn(model: str, said: Iterable[str]) -> None:
    """Refuse a model of which the libraries logged that its files lack weights."""
    if drawn := next((one for one in said if "newly initialized" in one), None):
        raise ModelUnavailableError(f"{model}: incomplete weights: {_explain_drawn(drawn)}")


def _explain_drawn(said: str) -> str:
    """Say which weights were drawn at random, from what diffusers or transformers logged."""
    said = re.sub(r"\x1b\[[\d;]*m", "", said)  # colors
    listed = re.findall(r"^(\S+) *\| *MISSING", said, re.MULTILINE)
    names = sorted(listed or re.findall(r"'([^']+)'", said))
    owner = re.search(r"(\w+)(?: LOAD REPORT|(?= were not initialized))", said)
    which = names[0] if names else "some of its weights"
    if further := len(names) - 1 if names else 0:
        which += f" and {further} other{'s' if further > 1 else ''}"
    return (
        f"{owner[1] if owner else 'a part'} would get {which} at random, since its files lack it;"
        " save the model again, or load it with the versions that saved it"
    )


def _explain_failure(model: str, error: Exception) -> str:
    first = read_first_line(error, type(error).__name__).replace(f"{model}/", "")[:160].rstrip(". ")
    if Path(model).is_dir():
        return f"{model}: broken or incomplete model folder: {first}"
    return (
        f"cannot load {model!r}: {first}. It is not a local folder, not in the hub's cache, and not"
        " available from the hub: download it while the network is available (hf download), name a"
        " local folder in a table, or use --sd-weights=random."
    )
