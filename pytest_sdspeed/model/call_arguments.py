"""What a recipe says of the arguments of a pipeline's call, and what it must leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNT_ARGUMENTS = (
    "num_images_per_prompt",
    "num_videos_per_prompt",
    "num_images",
    "num_videos",
)
"""Names under which calls of pipelines take the number of pictures or videos."""
RECIPE_ARGUMENTS: Mapping[str, str] = {
    "prompt": "prompt",
    "height": "height",
    "width": "width",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    **dict.fromkeys(COUNT_ARGUMENTS, "images"),
    "num_frames": "frames",
}
"""Argument of a pipeline's call -> the field of a recipe that says it."""
OWN_ARGUMENTS = ("generator", "latents", "output_type", "return_dict")
"""Arguments of a pipeline's call that every generation decides for itself."""
