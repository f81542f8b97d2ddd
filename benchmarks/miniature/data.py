"""The training data: captioned pictures, drawn once and kept on disk."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from miniature.draw import draw
from miniature.loop import write_whole
from miniature.places import SIDE
from miniature.scenes import OPENINGS, training_scene

if TYPE_CHECKING:
    from pathlib import Path

    from miniature.scenes import Scene


class Drawn:
    """Pictures of scenes with their captions.

    Args:
        folder: folder that keeps the pictures, as ``pictures.npy``.
        count: number of pictures.
        seed: seed of scenes and pictures.

    Attributes:
        scenes: what each picture shows.
    """

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.scenes = [training_scene(random.Random(f"{seed} {index}")) for index in range(count)]  # noqa: S311 - pictures, not secrets
        file = folder / "pictures.npy"
        if not file.is_file():
            write_whole(file, lambda unfinished: np.save(unfinished, self._draw(seed)))
        self._pixels = np.load(file, mmap_mode="r")

    def _draw(self, seed: int) -> np.ndarray:
        pixels = np.empty((len(self.scenes), SIDE, SIDE, 3), dtype=np.uint8)
        for index, scene in enumerate(tqdm(self.scenes, "drawing", unit="picture")):
            pixels[index] = np.asarray(draw(scene, zlib.crc32(f"{seed} {index}".encode())))
        return pixels

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.scenes)

    def pictures(self, indices: Any) -> torch.Tensor:
        """Return some pictures: float32, (N, 3, H, W) in [-1, 1]."""
        return as_tensor(self._pixels[np.asarray(indices)])


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Convert pictures for the models: uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def tokens(tokenizer: Any, captions: list[str]) -> torch.Tensor:
    """Tokenize captions as the pipeline does: (N, 77) token ids, padded."""
    length = tokenizer.model_max_length
    return tokenizer(
        captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids


class Captions:
    """Token ids of every scene's caption, with every opening.

    Args:
        tokenizer: tokenizer of the captions.
        scenes: the scenes, in the order of their pictures.
    """

    def __init__(self, tokenizer: Any, scenes: list[Scene]) -> None:
        texts = [opening + scene.caption for scene in scenes for opening in OPENINGS]
        distinct = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        self._ids = tokens(tokenizer, list(distinct))
        self._of = torch.tensor([distinct[text] for text in texts]).view(len(scenes), len(OPENINGS))
        self.empty = tokens(tokenizer, [""])[0]

    def draw(self, indices: torch.Tensor, generator: torch.Generator, empty: float) -> torch.Tensor:
        """Draw token ids of some scenes, each with a random opening.

        Args:
            indices: indices of the scenes.
            generator: source of random numbers.
            empty: probability that a caption is left out.
        """
        opening = torch.randint(len(OPENINGS), indices.shape, generator=generator)
        ids = self._ids[self._of[indices, opening]]
        dropped = torch.rand(indices.shape, generator=generator) < empty
        return torch.where(dropped[:, None], self.empty, ids)
