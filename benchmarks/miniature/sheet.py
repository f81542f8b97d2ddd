"""A contact sheet: every pipeline draws the same prompts from the same seeds."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from miniature.evaluation import pictures

if TYPE_CHECKING:
    from miniature.evaluation import Models

PROMPTS = (
    "a photo of an astronaut riding a horse on mars",
    "a golden vase with different flowers",
    "a knight riding a dinosaur in a forest",
    "a wizard riding a purple turtle under the sea",
    "a robot riding an elephant in a city",
    "a red rocket on the moon",
    "two pink fish in the snow",
    "a glass vase with blue flowers on a beach",
)
STEPS = 50
_SIDE, _GAP, _LEFT, _TOP = 128, 6, 84, 52
_INK = (32, 32, 40)


def contact_sheet(models: Models) -> Image.Image:
    """Draw a sheet of eight columns and three rows, in 50 DDIM steps, seeds 0 to 7.

    Columns are prompts; rows are teacher, student, and student with the tiny autoencoder.
    """
    rows = {
        "teacher": models.teacher,
        "student": models.student,
        "student,\ntiny\nautoencoder": models.tiny,
    }
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (_LEFT + step * len(PROMPTS), _TOP + step * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, prompt in enumerate(PROMPTS):
        draw.multiline_text(
            (_LEFT + step * column, 4), textwrap.fill(prompt, 22), _INK, font, spacing=2
        )
    for row, (name, pipeline) in enumerate(rows.items()):
        draw.multiline_text((4, _TOP + step * row + 48), name, _INK, font, spacing=2)
        for column, picture in enumerate(pictures(pipeline, PROMPTS, STEPS)):
            tile = Image.fromarray((picture * 255).round().astype(np.uint8)).resize(
                (_SIDE, _SIDE), Image.Resampling.BICUBIC
            )
            sheet.paste(tile, (_LEFT + step * column, _TOP + step * row))
    return sheet
