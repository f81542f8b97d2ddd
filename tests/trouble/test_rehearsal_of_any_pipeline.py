"""Tables of schema 2 rehearsed: what is broken on purpose fails, and what was not rehearsed is skipped."""

from __future__ import annotations

import pytest
from rehearsed import rehearse, verdicts, write_table

HEAD = """
schema = 2
name = "night"
title = "A night on a GPU"
source = "here"
device = "NVIDIA A100"

[recipe]
prompt = "a photo of an astronaut riding a horse on mars"
steps = 4
"""
PICTURE, VIDEO = "height = 1024\nwidth = 1024\n", "height = 480\nwidth = 832\nframes = 5\n"
MODELS = {
    "flux": ("black-forest-labs/FLUX.1-dev", PICTURE),
    "sdxl": ("stabilityai/stable-diffusion-xl-base-1.0", PICTURE),
    "wan": ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", VIDEO),
}
CACHE = '{ name = "first_block_cache", threshold = 1e-9 }'
BROKEN = {name: f'"{name}_same_weights"' for name in ("another_seed", "another_prompt", "black")}


def head(model):
    name, size = MODELS[model]
    return f'{HEAD}model = "{name}"\n{size}'


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_pipeline_that_is_broken_on_purpose_fails_on_any_model(pytester, monkeypatch, model):
    table = write_table(pytester, {"baseline": "", "fused": '"fuse_qkv"', **BROKEN}, head(model))
    result = rehearse(pytester, monkeypatch, table)
    assert verdicts(result) == {"baseline": "-", "fused": "pass"} | dict.fromkeys(BROKEN, "fail")
    result.assert_outcomes(passed=2, failed=len(BROKEN))


@pytest.mark.slow
def test_what_acts_at_full_size_only_is_skipped_beside_rows_that_pass_and_never_hides_a_fault(pytester, monkeypatch):
    tiles = '{ name = "vae_tiling", tile_sample_min_height = 512, tile_sample_min_width = 512 }'
    rows = {
        "cached": CACHE,
        "tiled": tiles,
        "fused_cached": f'"fuse_qkv", {CACHE}',
        "broken_cached": f'"another_seed_same_weights", {CACHE}',
        "acting": '{ name = "first_block_cache", threshold = 0.9 }',
    }
    result = rehearse(pytester, monkeypatch, write_table(pytester, {"baseline": "", **rows}, head("flux")))
    passed = {"fused_cached": "pass", "broken_cached": "fail", "acting": "pass"}
    assert verdicts(result) == {"baseline": "-"} | passed
    result.assert_outcomes(passed=3, failed=1, skipped=2)
    label = "first_block_cache(threshold=1e-09) did not act at toy size, and may at full size"
    result.stdout.fnmatch_lines_random(
        [
            f"SKIPPED*{label}: *",
            "SKIPPED*vae_tiling(tile_sample_min_height=512, tile_sample_min_width=512) did not act at toy size*",
            f"note: *fused_cached*: {label}: *",
        ]
    )
