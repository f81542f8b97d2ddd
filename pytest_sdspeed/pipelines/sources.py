"""Where a pipeline's modules come from: trained weights by ``from_pretrained``, or seeded random ones."""

from __future__ import annotations

import logging
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import ModelUnavailableError, SdSpeedError, first_line
from pytest_sdspeed.pipelines.architectures import Architecture, architecture
from pytest_sdspeed.pipelines.embedded import EMBEDDED, located
from pytest_sdspeed.pipelines.model_folders import check_part, check_pipeline
from pytest_sdspeed.pipelines.tokenizer import clip_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Source(Protocol):
    """Gives whole pipelines and single replacement parts, in a dtype (``"float32"``, ...), on a device."""

    def pipeline(self, model: str, dtype: str) -> Any:
        """A new diffusers pipeline."""
        ...

    def unet(self, model: str, dtype: str) -> Any:
        """The UNet of a student model."""
        ...

    def vae(self, model: str, dtype: str) -> Any:
        """A tiny autoencoder."""
        ...


class PretrainedSource:
    """Weights from the package, a local folder, the hub's cache or the hub: safetensors only, never pickle, never remote code.

    Args:
        device: torch device the modules are moved to.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def pipeline(self, model: str, dtype: str) -> Any:
        """The whole pipeline, without a safety checker, which would run inside the timed call."""
        model = located(model)
        with _loading(model):
            from diffusers import DiffusionPipeline

            if Path(model).is_dir():
                check_pipeline(Path(model))
            index = DiffusionPipeline.load_config(model)
            without = {"safety_checker": None, "requires_safety_checker": False} if "safety_checker" in index else {}
            return DiffusionPipeline.from_pretrained(model, **self._arguments(dtype), **without).to(self.device)

    def unet(self, model: str, dtype: str) -> Any:
        """The ``unet`` folder of a pipeline."""
        model = located(model)
        with _loading(model):
            from diffusers import UNet2DConditionModel

            if Path(model).is_dir():
                check_part(Path(model), "unet")
            return UNet2DConditionModel.from_pretrained(model, subfolder="unet", **self._arguments(dtype)).to(self.device)

    def vae(self, model: str, dtype: str) -> Any:
        """An ``AutoencoderTiny`` at the root of a model."""
        model = located(model)
        with _loading(model):
            from diffusers import AutoencoderTiny

            if Path(model).is_dir():
                check_part(Path(model), kind="vae")
            return AutoencoderTiny.from_pretrained(model, **self._arguments(dtype)).to(self.device)

    @staticmethod
    def _arguments(dtype: str) -> dict[str, Any]:
        import torch

        return {"dtype": getattr(torch, dtype), "use_safetensors": True, "low_cpu_mem_usage": False}


class RandomSource:
    """The same architectures with random weights, the same for the same name whatever was built before.

    Weights are drawn in float32 and cast, so that a float16 module holds the rounded weights of its float32 twin.

    Args:
        device: torch device the weights are drawn on.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def pipeline(self, model: str, dtype: str) -> Any:
        """A Stable Diffusion pipeline of the model's architecture."""
        parts = architecture(model)
        with quiet():
            from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
            from transformers import CLIPTextConfig, CLIPTextModel

            text = CLIPTextConfig(**_part(parts, "text_encoder", model))
            return StableDiffusionPipeline(
                vae=self._draw(f"{model}/vae", dtype, lambda: AutoencoderKL(**_part(parts, "vae", model))),
                text_encoder=self._draw(f"{model}/text_encoder", dtype, lambda: CLIPTextModel(text)),
                tokenizer=clip_tokenizer(text.vocab_size),
                unet=self._draw(f"{model}/unet", dtype, lambda: UNet2DConditionModel(**_part(parts, "unet", model))),
                scheduler=PNDMScheduler.from_config(_part(parts, "scheduler", model)),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )

    def unet(self, model: str, dtype: str) -> Any:
        """A student's UNet."""
        with quiet():
            from diffusers import UNet2DConditionModel

        return self._draw(f"{model}/unet", dtype, lambda: UNet2DConditionModel(**_part(architecture(model), "unet", model)))

    def vae(self, model: str, dtype: str) -> Any:
        """A tiny autoencoder."""
        with quiet():
            from diffusers import AutoencoderTiny

        return self._draw(f"{model}/vae", dtype, lambda: AutoencoderTiny(**_part(architecture(model), "tiny_vae", model)))

    def _draw(self, name: str, dtype: str, build: Callable[[], Any]) -> Any:
        import torch

        with quiet(), torch.random.fork_rng(), torch.device(self.device):
            torch.manual_seed(zlib.crc32(name.encode()))
            return build().to(getattr(torch, dtype)).eval()


class EmbeddedFirst:
    """Embedded models come with the package; every other model comes from the source given.

    Args:
        embedded: gives the embedded models.
        other: gives the rest.
    """

    def __init__(self, embedded: Source, other: Source) -> None:
        self._embedded, self._other = embedded, other

    def _of(self, model: str) -> Source:
        return self._embedded if model in EMBEDDED else self._other

    def pipeline(self, model: str, dtype: str) -> Any:
        """A whole pipeline."""
        return self._of(model).pipeline(model, dtype)

    def unet(self, model: str, dtype: str) -> Any:
        """A student's UNet."""
        return self._of(model).unet(model, dtype)

    def vae(self, model: str, dtype: str) -> Any:
        """A tiny autoencoder."""
        return self._of(model).vae(model, dtype)


def _part(parts: Architecture, name: str, model: str) -> dict[str, Any]:
    config = getattr(parts, name)
    if config is None:
        raise ModelUnavailableError(f"{model!r} has no {name.replace('_', ' ')} to give random weights to")
    return dict(config)


@contextmanager
def _loading(model: str) -> Iterator[None]:
    """Turn whatever loading raises into one message, without progress bars and log lines that would say it twice.

    Running out of memory says nothing about the model, and passes.
    """
    with quiet(logging.CRITICAL), _without_bars():
        import torch

        try:
            yield
        except (SdSpeedError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise ModelUnavailableError(_why(model, error)) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    bars = [library for library in (diffusers_logging, transformers_logging) if library.is_progress_bar_enabled()]
    for library in bars:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in bars:
            library.enable_progress_bar()


def _why(model: str, error: Exception) -> str:
    first = first_line(error, type(error).__name__).replace(f"{model}/", "")[:160].rstrip(". ")
    if Path(model).is_dir():
        return f"{model}: broken or incomplete model folder: {first}"
    return (
        f"cannot load {model!r}: {first}. It is not a local folder, not in the hub's cache, and not to be had from the hub: "
        "download it where there is a network (hf download), name a local folder in a table, or use --sd-weights=random."
    )
