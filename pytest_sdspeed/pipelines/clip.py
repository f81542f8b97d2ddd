"""CLIP scores of pictures, by a model from a folder or the hub's cache; nothing is ever downloaded."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import ModelUnavailableError, first_line
from pytest_sdspeed.pipelines.model_folders import check_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

BATCH = 16
"""Pictures per forward pass."""

# What is not given by weights and configuration: any of each group's files will do.
_TOKENIZER = ("tokenizer.json", "vocab.json")
_PROCESSOR = ("preprocessor_config.json", "processor_config.json")


class ClipScorer:
    """How well pictures show a text: the cosine of their embeddings by CLIP (Radford et al. 2021), as in CLIPScore (Hessel et al. 2021).

    Args:
        model: a folder with a ``CLIPModel``, its tokenizer and its image processor, or the id of such a repository in the hub's cache.
        device: torch device that it runs on, in float32.

    Raises:
        ModelUnavailableError: there is no such model here, or it is not whole.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        folder = _folder(model)
        with _loading(model):
            import torch
            from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer

            _check(folder)
            self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            # Pillow resizes on every machine alike; torchvision, which may or may not be installed, does it a little differently.
            self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
            loaded, report = CLIPModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
            if report["missing_keys"]:
                # transformers would draw them at random.
                missing = sorted(report["missing_keys"])
                raise ModelUnavailableError(f"{folder}: no whole CLIP model: its weights lack {missing[0]} and {len(missing) - 1} others")
            self._model = loaded.to(device).eval()

    def scores(self, pictures: NDArray[np.float32], prompt: str) -> list[float]:
        """The cosine of each picture and the text.

        Args:
            pictures: finite float32 array (N, H, W, 3) in [0, 1]; they are rounded to 8 bits, as they would be when saved.
            prompt: the text; what exceeds the model's context, 77 tokens for OpenAI's, is cut off.

        Returns:
            One value in [-1, 1] for each picture.
        """
        import torch

        levels = (pictures * 255).round().astype("uint8")
        longest = self._model.config.text_config.max_position_embeddings
        found: list[float] = []
        with quiet(), torch.no_grad():
            text = self._tokenizer([prompt], truncation=True, max_length=longest, return_tensors="pt").to(self._model.device)
            for start in range(0, len(levels), BATCH):
                batch = list(levels[start : start + BATCH])
                pixels = self._processor(batch, input_data_format="channels_last", return_tensors="pt").to(self._model.device)
                embedded = self._model(**text, **pixels)
                found += (embedded.image_embeds @ embedded.text_embeds.T)[:, 0].clamp(-1, 1).tolist()
        return found


def _folder(model: str) -> Path:
    """Where a model's files are."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        missing = f"CLIP model {model!r} is no folder, and not in the hub's cache {constants.HF_HUB_CACHE}: {_help(model)}"
    except HFValidationError:
        missing = f"CLIP model {model!r} is neither a folder nor a hub id: {_help('OWNER/NAME')}"
    raise ModelUnavailableError(missing)


def _help(model: str) -> str:
    if Path(model).is_dir():
        return "name a folder with a whole one, or a hub id that was downloaded before (hf download OWNER/NAME)"
    return f"download it where there is a network (hf download {model}), or name a folder that has one"


def _check(folder: Path) -> None:
    """Refuse a folder that lacks a part: some are loaded all the same, with a vocabulary or sizes of another model.

    Raises:
        ModelUnavailableError: what is missing or broken.
    """
    # A CLIP model is laid out as a text encoder is: configuration and safetensors weights side by side.
    check_part(folder, kind="text_encoder")
    for names in (_TOKENIZER, _PROCESSOR):
        if not any((folder / name).is_file() for name in names):
            raise ModelUnavailableError(f"{folder}: incomplete CLIP model: it has neither {' nor '.join(names)}")


@contextmanager
def _loading(model: str) -> Iterator[None]:
    """Turn whatever loading raises into one message, and load without progress bars and log lines.

    Running out of memory says nothing about the model, and passes.
    """
    with quiet(logging.CRITICAL):
        import torch
        from transformers.utils import logging as transformers_logging

        bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            yield
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except ModelUnavailableError as error:
            raise ModelUnavailableError(f"{error}; {_help(model)}") from None
        except Exception as error:
            first = first_line(error, type(error).__name__)[:160].rstrip(". ")
            raise ModelUnavailableError(f"cannot load CLIP model {model!r}: {first}; {_help(model)}") from error
        finally:
            if bars:
                transformers_logging.enable_progress_bar()
