"""Shared by the tests of tables: the text of a valid table file, and a way to write one."""

from __future__ import annotations

import pytest

VALID = """\
schema = 1
name = "mine"
title = "Mine"
source = "https://example.org/page"
device = "NVIDIA A100"
[recipe]
model = "org/model"
prompt = "a prompt"
height = 512
width = 768
steps = 50
scheduler = "ddim"
[[rows]]
setup = "baseline"
optimizations = []
latency_s = 5.27
speedup = 1
[[rows]]
setup = "tf32"
optimizations = ["tf32"]
latency_s = 4.14
speedup = 1.27
image = {psnr = 28, ssim = 0.90}
[[rows]]
setup = "fp16"
optimizations = ["fp16"]
latency_s = 3.51
speedup = 1.50
[[rows]]
setup = "combined"
optimizations = ["fp16", "tf32"]
latency_s = 3.41
speedup = 1.54
"""

SECOND = """\
schema = 2
name = "mine"
title = "Mine"
source = "https://example.org/page"
device = "NVIDIA A100"
[recipe]
model = "org/video"
prompt = ""
height = 480
width = 832
steps = 50
scheduler = "EulerDiscreteScheduler"
pipeline = "WanPipeline"
frames = 81
inputs = ["image"]
unit = "denoising"
[recipe.call]
negative_prompt = "blurry"
true_cfg_scale = 4.0
joint_attention_kwargs = {scale = 1, layers = [1, 2.5, {deep = true}]}
[recipe.parts]
lora = "org/lora"
[[rows]]
setup = "baseline"
optimizations = []
iterations_per_s = 2.00
memory_gb = 22.0
load_gb = 20.5
[[rows]]
setup = "cached"
optimizations = ["bf16", {name = "first_block_cache", threshold = 0.08}]
iterations_per_s = 3.00
speedup = 1.50
compile_s = 60
warm_compile_s = 12
first_s = 70.5
account = {host_syncs_per_step = 0}
[[rows]]
setup = "offloaded"
optimizations = ["bf16", {name = "group_offload", parts = ["transformer"], use_stream = true}]
speedup = 0.8
slower = true
memory = 0.5
memory_gb = 10.0
load_gb = 1.5
"""

UNBUILT = """
schema = 1
name = "small"
title = "Two rows"
source = "https://example.org"
device = "cpu"
tolerance = {tolerance}

[recipe]
model = "nothing-of-the-kind"
prompt = "a cat"
height = 16
width = 16
steps = 2
scheduler = "pndm"

[[rows]]
setup = "baseline"
optimizations = []
speedup = 1

[[rows]]
setup = "{first}"
optimizations = ["sdpa"]
speedup = {speedup}

[[rows]]
setup = "{second}"
optimizations = ["channels_last"]
speedup = {speedup}
"""
"""A table of a model that is nowhere, for tests that put something else in the place of building and drawing."""


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
