"""The model card: what the miniature is, how it was made, and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniature.scenes import HELD_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miniature.loop import Trained

_TEXT = """\
---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags: [stable-diffusion, tiny, testing]
---
# Miniature Stable Diffusion

A Stable Diffusion small enough for a laptop's CPU: 64x64 cartoons of what it was taught, and \
nothing else. It comes with pytest-sdspeed, so
that speed and pictures of optimizations can be measured offline. `miniature` is the whole \
pipeline; `miniature-student` has the UNet
distilled from it as BK-SDM-small is (one residual block and attention less a level, no mid \
block); `miniature-tiny-vae` is an
`AutoencoderTiny` for the same latents.

It knows astronauts, knights, robots and wizards riding horses, elephants, turtles and dinosaurs; \
vases of many materials with flowers;
balls, mushrooms and fish by ones, twos and threes; cars, houses, boats, umbrellas and rockets, \
also on the left and on the right; in twelve
colors; on mars, on the moon, on a beach, in a forest, in the snow, in a city, on a table and \
under the sea. It has seen no
picture but those that `benchmarks/miniature/draw.py` draws: {pictures:,} of them, no data set was \
downloaded.

## Training

`python benchmarks/miniature/train.py{scale}`, seed {seed}, on {device}: {minutes:.0f} minutes in \
the five stages. AdamW, learning rate rising over
the first twentieth of the steps and falling as a half cosine; the weights are moving averages, \
rounded to float16. One in {held_out}
combinations of subject, rider or bouquet, color and place was kept from training. UNets are \
trained with epsilon prediction, min-SNR weights and one caption
in ten left out; the student on noise, the teacher's output and its features.

| stage | steps | batch | learning rate | minutes | losses, first and last fortieth of the steps |
|---|---|---|---|---|---|
{stages}

## Figures

`python benchmarks/miniature/evaluate.py` gives, on captions held out from training:

```
{report}
```
"""


def card(
    records: Sequence[Trained], report: str, *, pictures: int, scale: float, seed: int, device: str
) -> str:
    """Write the card as Markdown.

    Args:
        records: records of the training's stages.
        report: text of the evaluation.
        pictures: number of pictures that were drawn.
        scale: share of the plan's steps; 1 is all.
        seed: seed of the training.
        device: device of the training, in words.
    """
    return _TEXT.format(
        pictures=pictures,
        scale="" if scale == 1 else f" --scale {scale:g}",
        seed=seed,
        device=device,
        minutes=sum(record.seconds for record in records) / 60,
        held_out=HELD_OUT,
        stages="\n".join(_stage(record) for record in records),
        report=report,
    )


def _stage(record: Trained) -> str:
    stage: Mapping[str, object] = record.stage
    losses = ", ".join(
        f"{name} {curve[0]:.3g} to {curve[-1]:.3g}" for name, curve in record.losses.items()
    )
    cells = (
        stage["name"],
        stage["steps"],
        stage["batch"],
        stage["learning_rate"],
        f"{record.seconds / 60:.1f}",
        losses,
    )
    return "| " + " | ".join(map(str, cells)) + " |"
