"""Where a pipeline's modules come from: ``from_pretrained``, or seeded random weights."""

from __future__ import annotations

import logging
import re
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_sdspeed.compatibility import make_dtype_argument
from pytest_sdspeed.device.quiet import hide_progress_bars, overhear, quiet
from pytest_sdspeed.device.seeds import hold_torch_generators
from pytest_sdspeed.errors import ModelUnavailableError, SdSpeedError, read_first_line
from pytest_sdspeed.pipelines.architectures import Architecture, find_architecture
from pytest_sdspeed.pipelines.embedded import EMBEDDED, locate
from pytest_sdspeed.pipelines.model_folders import check_part, check_pipeline
from pytest_sdspeed.pipelines.shrinking import shrink_architecture
from pytest_sdspeed.pipelines.tokenizer import make_clip_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Source(Protocol):
    """Source of whole pipelines and of single replacement parts.

    They come in a dtype (``"float32"``, ...), on the source's device.
    """

    def load_pipeline(self, model: str, dtype: str) -> Any:
        """Load a new diffusers pipeline."""
        ...

    def load_unet(self, model: str, dtype: str) -> Any:
        """Load the UNet of a student model."""
        ...

    def load_vae(self, model: str, dtype: str) -> Any:
        """Load a tiny autoencoder."""
        ...


class PretrainedSource:
    """Weights from the package, a local folder, the hub's cache or the hub.

    They are safetensors only, never pickle, and no remote code ever runs.

    Args:
        device: torch device the modules are moved to.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def load_pipeline(self, model: str, dtype: str) -> Any:
        """Load a pipeline without its safety checker, which would run inside the timed call."""
        model = locate(model)
        with _load_quietly(model):
            from diffusers import DiffusionPipeline

            if Path(model).is_dir():
                check_pipeline(Path(model))
            index = DiffusionPipeline.load_config(model)
            without = (
                {"safety_checker": None, "requires_safety_checker": False}
                if "safety_checker" in index
                else {}
            )
            return DiffusionPipeline.from_pretrained(
                model, **self._make_arguments(dtype), **without
            ).to(self.device)

    def load_unet(self, model: str, dtype: str) -> Any:
        """Load a UNet from the ``unet`` folder of a pipeline."""
        model = locate(model)
        with _load_quietly(model):
            from diffusers import UNet2DConditionModel

            if Path(model).is_dir():
                check_part(Path(model), "unet")
            return UNet2DConditionModel.from_pretrained(
                model, subfolder="unet", **self._make_arguments(dtype)
            ).to(self.device)

    def load_vae(self, model: str, dtype: str) -> Any:
        """Load an ``AutoencoderTiny`` from the root of a model."""
        model = locate(model)
        with _load_quietly(model):
            from diffusers import AutoencoderTiny

            if Path(model).is_dir():
                check_part(Path(model), kind="vae")
            return AutoencoderTiny.from_pretrained(model, **self._make_arguments(dtype)).to(
                self.device
            )

    @staticmethod
    def _make_arguments(dtype: str) -> dict[str, Any]:
        import torch

        chosen = make_dtype_argument(getattr(torch, dtype))
        return {**chosen, "use_safetensors": True, "low_cpu_mem_usage": False}


class RandomSource:
    """The same architectures with random weights.

    A model always has the same weights, whatever was built before. They are drawn in float32 and
    cast, so that a float16 module holds the rounded weights of its float32 twin.

    Args:
        device: torch device the weights are drawn on.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def load_pipeline(self, model: str, dtype: str) -> Any:
        """Make a Stable Diffusion pipeline of the model's architecture."""
        parts = self._find(model)
        with quiet():
            from diffusers import (
                AutoencoderKL,
                PNDMScheduler,
                StableDiffusionPipeline,
                UNet2DConditionModel,
            )
            from transformers import CLIPTextConfig, CLIPTextModel

            text = CLIPTextConfig(**_find_part(parts, "text_encoder", model))
            return StableDiffusionPipeline(
                vae=self._draw(
                    f"{model}/vae", dtype, lambda: AutoencoderKL(**_find_part(parts, "vae", model))
                ),
                text_encoder=self._draw(
                    f"{model}/text_encoder", dtype, lambda: CLIPTextModel(text)
                ),
                tokenizer=make_clip_tokenizer(text.vocab_size),
                unet=self._draw(
                    f"{model}/unet",
                    dtype,
                    lambda: UNet2DConditionModel(**_find_part(parts, "unet", model)),
                ),
                scheduler=PNDMScheduler.from_config(_find_part(parts, "scheduler", model)),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )

    def load_unet(self, model: str, dtype: str) -> Any:
        """Make a student's UNet."""
        with quiet():
            from diffusers import UNet2DConditionModel

        return self._draw(
            f"{model}/unet",
            dtype,
            lambda: UNet2DConditionModel(**_find_part(self._find(model), "unet", model)),
        )

    def load_vae(self, model: str, dtype: str) -> Any:
        """Make a tiny autoencoder."""
        with quiet():
            from diffusers import AutoencoderTiny

        return self._draw(
            f"{model}/vae",
            dtype,
            lambda: AutoencoderTiny(**_find_part(self._find(model), "tiny_vae", model)),
        )

    def _find(self, model: str) -> Architecture:
        return find_architecture(model)

    def _draw(self, name: str, dtype: str, build: Callable[[], Any]) -> Any:
        import torch

        with quiet(), hold_torch_generators(), torch.device(self.device):
            torch.manual_seed(zlib.crc32(name.encode()))
            return build().to(getattr(torch, dtype)).eval()


class TinySource(RandomSource):
    """The same classes and blocks with random weights at toy size.

    Args:
        device: torch device the weights are drawn on.
    """

    def _find(self, model: str) -> Architecture:
        return shrink_architecture(find_architecture(model))


class ShapesSource(RandomSource):
    """The same architectures without weights: tensors that have shapes, and no numbers.

    Args:
        device: torch device that the tensors say they are on, in a dry run.
    """

    def _draw(self, name: str, dtype: str, build: Callable[[], Any]) -> Any:  # noqa: ARG002
        import torch

        with quiet(), hold_torch_generators(), torch.device("meta"):
            module = build().to(getattr(torch, dtype)).eval()
        return module.to(self.device)


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

    def load_pipeline(self, model: str, dtype: str) -> Any:
        """Load a whole pipeline."""
        return self._choose(model).load_pipeline(model, dtype)

    def load_unet(self, model: str, dtype: str) -> Any:
        """Load a student's UNet."""
        return self._choose(model).load_unet(model, dtype)

    def load_vae(self, model: str, dtype: str) -> Any:
        """Load a tiny autoencoder."""
        return self._choose(model).load_vae(model, dtype)


def _find_part(parts: Architecture, name: str, model: str) -> dict[str, Any]:
    config = getattr(parts, name)
    if config is None:
        raise ModelUnavailableError(
            f"{model!r} has no {name.replace('_', ' ')} to give random weights to"
        )
    return dict(config)


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
            raise ModelUnavailableError(_explain_failure(model, error)) from error
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
