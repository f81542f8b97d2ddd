"""One stage of training: steps, a moving average of the weights, progress, and a checkpoint."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Losses = Callable[[int, torch.Generator], Mapping[str, torch.Tensor]]

CHECKPOINT_S = 120.0
POINTS = 40
"""Points of a loss curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is trained, and for how long.

    Attributes:
        name: name of the stage and of its checkpoint.
        steps: optimizer steps.
        batch: pictures per step.
        learning_rate: the highest learning rate.
        ema_decay: decay of the moving average of the weights, after enough steps.
    """

    name: str
    steps: int
    batch: int
    learning_rate: float
    ema_decay: float = 0.999

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step.

        It rises over the first twentieth of the steps, then it falls as a half cosine.
        """
        rise = max(1, self.steps // 20)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        return self.learning_rate * (
            0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The record of a stage.

    Attributes:
        stage: name, steps, batch and learning rate.
        seconds: time that it took, over all sessions.
        losses: name -> curve of ``POINTS`` means.
    """

    stage: Mapping[str, Any]
    seconds: float
    losses: Mapping[str, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the training.

    Attributes:
        stages: name -> stage.
        folder: folder of the checkpoints.
        seed: seed of every random number.
    """

    stages: Mapping[str, Stage]
    folder: Path
    seed: int

    def train(self, name: str, modules: Sequence[Any], losses: Losses) -> Trained:
        """Train modules through a stage, see ``Training``."""
        return Training(self.stages[name], modules, losses, self).run()


class Training:
    """Training of modules, which get the moving average of their weights at the end.

    Args:
        stage: the stage, with name and steps.
        modules: what is trained.
        losses: called with the size of the batch and random numbers that depend on seed and step
            only, so that a run continues as if it had not stopped. It returns the losses by name;
            those with a gradient are summed.
        run: the run, with seed and folder; the checkpoint is ``NAME.pt`` there.
    """

    def __init__(self, stage: Stage, modules: Sequence[Any], losses: Losses, run: Run) -> None:
        self._stage, self._modules, self._losses, self._seed = stage, modules, losses, run.seed
        self._file = run.folder / f"{stage.name}.pt"
        self._parameters = [
            part for module in modules for part in module.parameters() if part.requires_grad
        ]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self._averages = [part.detach().clone() for part in self._parameters]
        self._curves: dict[str, list[tuple[int, float]]] = {}
        self._step, self._seconds = 0, 0.0

    def run(self) -> Trained:
        """Train from the checkpoint, or from the start, to the last step."""
        self._restore()
        if self._step < self._stage.steps:
            self._go_on()
        for part, average in zip(self._parameters, self._averages, strict=True):
            part.data.copy_(average)
        for module in self._modules:
            module.eval()
        losses = {name: _curve(points, self._stage.steps) for name, points in self._curves.items()}
        return Trained(stage=asdict(self._stage), seconds=round(self._seconds, 1), losses=losses)

    def _go_on(self) -> None:
        saved = time.monotonic()
        for module in self._modules:
            module.train()
        with tqdm(
            total=self._stage.steps,
            initial=self._step,
            desc=self._stage.name,
            unit="step",
            smoothing=0.05,
        ) as bar:
            while self._step < self._stage.steps:
                start = time.monotonic()
                bar.set_postfix(self._one(), refresh=False)
                bar.update()
                self._seconds += time.monotonic() - start
                if time.monotonic() - saved > CHECKPOINT_S:
                    self._save()
                    saved = time.monotonic()
        self._save()

    def _one(self) -> dict[str, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = self._stage.rate_at(self._step)
        losses = self._losses(self._stage.batch, seeded(self._seed, self._stage.name, self._step))
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack([loss for loss in losses.values() if loss.requires_grad]).sum().backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        decay = min(self._stage.ema_decay, (1 + self._step) / (10 + self._step))
        for average, part in zip(self._averages, self._parameters, strict=True):
            average.lerp_(part.detach(), 1 - decay)
        found = {name: float(loss.detach()) for name, loss in losses.items()}
        for name, loss in found.items():
            self._curves.setdefault(name, []).append((self._step, loss))
        self._step += 1
        return found

    def _save(self) -> None:
        state = {
            "step": self._step,
            "seconds": self._seconds,
            "curves": self._curves,
            "weights": self._parameters,
            "averages": self._averages,
            "optimizer": self._optimizer.state_dict(),
        }
        write_whole(self._file, lambda file: torch.save(state, file))

    def _restore(self) -> None:
        if not self._file.is_file():
            return
        state = torch.load(self._file, weights_only=True, map_location="cpu")
        self._step, self._seconds, self._curves = state["step"], state["seconds"], state["curves"]
        for part, weights in zip(self._parameters, state["weights"], strict=True):
            part.data.copy_(weights)
        self._averages = [
            average.to(part.device)
            for average, part in zip(state["averages"], self._parameters, strict=True)
        ]
        self._optimizer.load_state_dict(state["optimizer"])


def seeded(seed: int, *names: object) -> torch.Generator:
    """Return a generator for a seed and names, which does not depend on what was drawn before."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {names}".encode()))


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file that is either whole or not there.

    Args:
        file: path of the file.
        write: called with the path to which it writes.
    """
    unfinished = file.with_name(f"unfinished-{file.name}")
    write(unfinished)
    unfinished.replace(file)


def _curve(points: list[tuple[int, float]], steps: int) -> list[float]:
    buckets: list[list[float]] = [[] for _ in range(POINTS)]
    for step, loss in points:
        buckets[min(POINTS - 1, step * POINTS // steps)].append(loss)
    return [round(sum(bucket) / len(bucket), 5) for bucket in buckets if bucket]
