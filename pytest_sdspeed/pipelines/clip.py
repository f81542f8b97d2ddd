"""CLIP scores of pictures, by a model from a folder or the hub's cache; downloads nothing."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.compatibility import choose_pillow
from pytest_sdspeed.device.quiet import hide_progress_bars, quiet
from pytest_sdspeed.errors import ModelUnavailableError, read_first_line
from pytest_sdspeed.pipelines.model_folders import TOKENIZER_FILES, check_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

BATCH = 16
"""Pictures per forward pass."""

_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Either of them configures the image processor."""


class ClipScorer:
    """How well pictures show a text, by CLIP (Radford et al. 2021).

    The score is the cosine of the embeddings of picture and text, as in CLIPScore (Hessel et al.
    2021).

    Args:
        model: a folder with a ``CLIPModel``, its tokenizer and its image processor, or the id of
            such a repository in the hub's cache.
        device: torch device that the model runs on, in float32.

    Raises:
        ModelUnavailableError: there is no such model here, or it is incomplete.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        folder = _find_folder(model)
        with _load_quietly(model):
            import torch
            from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer

            _check(folder)
            self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            # Pillow resizes the same way on every machine; torchvision, which may or may not be
            # installed, resizes a little differently.
            self._processor = AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, **choose_pillow()
            )
            # Before it reads weights, transformers 4 draws others.
            with torch.random.fork_rng(devices=()):
                loaded, report = CLIPModel.from_pretrained(
                    folder,
                    local_files_only=True,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
            if report["missing_keys"]:
                # transformers would draw them at random.
                missing = sorted(report["missing_keys"])
                raise ModelUnavailableError(
                    f"{folder}: incomplete CLIP model: its weights lack {missing[0]} and"
                    f" {len(missing) - 1} others"
                )
            self._model = loaded.to(device).eval()

    def score(self, pictures: NDArray[np.float32], prompt: str) -> list[float]:
        """Return the cosine of each picture and the text.

        Args:
            pictures: finite float32 array (N, H, W, 3) in [0, 1]; they are rounded to 8 bits, as
                they would be when saved.
            prompt: the text; it is truncated to the model's context, 77 tokens for OpenAI's.

        Returns:
            One value in [-1, 1] for each picture.
        """
        import torch

        levels = (pictures * 255).round().astype("uint8")
        longest = self._model.config.text_config.max_position_embeddings
        found: list[float] = []
        with quiet(), torch.no_grad():
            text = self._tokenizer(
                [prompt], truncation=True, max_length=longest, return_tensors="pt"
            ).to(self._model.device)
            for start in range(0, len(levels), BATCH):
                batch = list(levels[start : start + BATCH])
                pixels = self._processor(
                    batch, input_data_format="channels_last", return_tensors="pt"
                ).to(self._model.device)
                embedded = self._model(**text, **pixels)
                found += (
                    (embedded.image_embeds @ embedded.text_embeds.T)[:, 0].clamp(-1, 1).tolist()
                )
        return found


def _find_folder(model: str) -> Path:
    """Return the folder that holds a model's files.

    Raises:
        ModelUnavailableError: the model is neither a folder nor in the hub's cache.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        missing = (
            f"CLIP model {model!r} is neither a folder nor in the hub's cache"
            f" {constants.HF_HUB_CACHE}: {_advise(model)}"
        )
    except HFValidationError:
        missing = f"CLIP model {model!r} is neither a folder nor a hub id: {_advise('OWNER/NAME')}"
    raise ModelUnavailableError(missing)


def _advise(model: str) -> str:
    if Path(model).is_dir():
        return (
            "name a folder with a complete one, or a hub id that was downloaded before (hf download"
            " OWNER/NAME)"
        )
    return (
        f"download it while the network is available (hf download {model}), or name a folder that"
        " has one"
    )


def _check(folder: Path) -> None:
    """Reject a folder that lacks a part.

    The library loads some of them all the same, with the vocabulary or sizes of another model.

    Raises:
        ModelUnavailableError: what is missing or broken.
    """
    # A CLIP model is laid out as a text encoder is: configuration and safetensors weights side by
    # side.
    check_part(folder, kind="text_encoder")
    for names in (TOKENIZER_FILES, _PROCESSOR_FILES):
        if not any((folder / name).is_file() for name in names):
            raise ModelUnavailableError(
                f"{folder}: incomplete CLIP model: it has neither {' nor '.join(names)}"
            )


@contextmanager
def _load_quietly(model: str) -> Iterator[None]:
    """Turn whatever loading raises into one message, and load without progress bars and log lines.

    Running out of memory tells nothing about the model, so that exception passes unchanged.
    """
    with quiet(logging.CRITICAL):
        import torch
        from transformers.utils import logging as transformers_logging

    with quiet(logging.CRITICAL), hide_progress_bars(transformers_logging):
        try:
            yield
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except ModelUnavailableError as error:
            raise ModelUnavailableError(f"{error}; {_advise(model)}") from None
        except Exception as error:
            first = read_first_line(error, type(error).__name__)[:160].rstrip(". ")
            raise ModelUnavailableError(
                f"cannot load CLIP model {model!r}: {first}; {_advise(model)}"
            ) from error
