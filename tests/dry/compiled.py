"""What tests compile: small modules, each with one fault planted, and the one without."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """A layer, called in a loop as a pipeline calls its UNet."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.calls = 0

    def forward(self, sample):
        return self.layer(sample).relu()


class ReadsItem(Block):
    def forward(self, sample):
        scale = sample.mean().item()
        return self.layer(sample) * scale


class Prints(Block):
    def forward(self, sample):
        print("a debugging line")  # noqa: T201 - the fault
        return self.layer(sample)


class Branches(Block):
    def forward(self, sample):
        if sample.sum() > 0:
            return self.layer(sample)
        return sample


class BreaksInLoop(Block):
    """A break inside a loop makes torch leave the whole frame."""

    def forward(self, sample):
        for _ in range(2):
            sample = self.layer(sample) * sample.mean().item()
        return sample


class CountsCalls(Block):
    """A Python int of the module changes at every call."""

    def forward(self, sample):
        self.calls += 1
        return self.layer(sample) * self.calls


class TakesStep(Block):
    def forward(self, sample, step):
        return self.layer(sample) * (2 if step % 2 else 3) ** step


def prepare(module, *, steps=3, wrap=torch.compile, shape=(2, 4)):
    """Return what ``count_callable`` takes: it builds the module anew, compiles it, and returns a call of some steps."""

    def draw(device):
        built = module().to(device).eval()
        wrapped = wrap(built)
        compiled = built if wrapped is None else wrapped
        takes_step = isinstance(built, TakesStep)

        def call():
            sample = torch.ones(shape, device=device)
            for step in range(steps):
                sample = compiled(sample, step) if takes_step else compiled(sample)
            return sample

        return call

    return draw
