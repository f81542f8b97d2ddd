"""Figures of the atlas for Stable Diffusion 1 and XL, copied from their sources by hand: a swapped digit fails."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

import pytest_sdspeed.tables
from pytest_sdspeed.tables import load_table

FOLDER = Path(pytest_sdspeed.tables.__file__).parent
FIGURES = {
    "torch2_a100": [
        ("txt2img_b1", "iterations_per_s", "21.66"),
        ("txt2img_b1_compile", "iterations_per_s", "44.03"),
        ("img2img_b4", "iterations_per_s", "11.47"),
        ("inpaint_b16_compile", "iterations_per_s", "3.9"),
        ("controlnet_b4_compile", "iterations_per_s", "10.51"),
        ("sdxl_b1", "iterations_per_s", "8.64"),
        ("sdxl_b16_nightly", "iterations_per_s", "0.72"),
    ],
    "torch2_v100": [
        ("txt2img_b1", "iterations_per_s", "18.99"),
        ("img2img_b4_compile", "iterations_per_s", "6.81"),
        ("inpaint_b1_compile", "iterations_per_s", "21.08"),
        ("controlnet_b16", "iterations_per_s", "1.19"),
    ],
    "torch2_t4": [
        ("txt2img_b1", "iterations_per_s", "6.9"),
        ("img2img_b4_compile", "iterations_per_s", "2.05"),
        ("inpaint_b1_compile", "iterations_per_s", "7.01"),
        ("sdxl_b4", "iterations_per_s", "0.288"),
        ("sdxl_b4_nightly", "iterations_per_s", "0.289"),
    ],
    "torch2_rtx3090": [
        ("txt2img_b16_compile", "iterations_per_s", "1.93"),
        ("img2img_b1_compile", "iterations_per_s", "24.1"),
        ("inpaint_b4_compile", "iterations_per_s", "7.44"),
        ("controlnet_b1", "iterations_per_s", "16.03"),
    ],
    "torch2_rtx4090": [
        ("txt2img_b1_compile", "iterations_per_s", "44.65"),
        ("img2img_b4", "iterations_per_s", "12.61"),
        ("inpaint_b16_compile", "iterations_per_s", "3.85"),
        ("controlnet_b16_compile", "iterations_per_s", "2.7"),
        ("sdxl_b1_nightly", "iterations_per_s", "8.18"),
    ],
    "fal_sd15_a100": [
        ("sdpa", "latency_s", "1.603"),
        ("xformers", "latency_s", "1.728"),
        ("consistency_decoder", "latency_s", "2.229"),
        ("compile_channels_last", "latency_s", "1.057"),
        ("tensorrt", "latency_s", "0.818"),
    ],
    "fal_sdxl_a100": [
        ("sdpa", "latency_s", "5.932"),
        ("minsdxl", "latency_s", "8.146"),
        ("comfy_xformers", "latency_s", "5.772"),
        ("compile", "latency_s", "5.216"),
        ("compile_channels_last", "latency_s", "5.137"),
        ("oneflow", "latency_s", "4.301"),
    ],
    "quick_tour_t4": [("fp32", "latency_s", "30"), ("fp16", "latency_s", "11"), ("fp16_20_steps", "latency_s", "4")],
    "onnxruntime_rtx3060": [
        ("torch_b1", "latency_s", "5.6"),
        ("torch_b8", "latency_s", "39.8"),
        ("xformers_b4", "latency_s", "21.6"),
        ("stack_fp32_b1", "latency_s", "25.6"),
        ("stack_group_norm_b1", "latency_s", "5.1"),
        ("stack_packed_qkv_b8", "latency_s", "33.4"),
    ],
    "onnxruntime_v100": [
        ("torch_b1", "latency_s", "2.7"),
        ("compile_b1", "latency_s", "3.1"),
        ("compile_b8", "latency_s", "15.6"),
        ("xformers_b4", "latency_s", "9.1"),
        ("onnx_b4", "latency_s", "8.3"),
    ],
    "stable_fast_rtx4080": [
        ("sd15", "iterations_per_s", "29.5"),
        ("sd15_stable_fast", "iterations_per_s", "51.6"),
        ("sd15_oneflow", "iterations_per_s", "53.6"),
        ("sdxl_compile", "iterations_per_s", "6.1"),
        ("controlnet_stable_fast", "iterations_per_s", "36.7"),
        ("call", "latency_s", "1.897"),
        ("call_compile", "latency_s", "1.510"),
        ("svd_stable_fast", "latency_s", "47"),
    ],
    "stable_fast_h100": [
        ("sd15_compile", "iterations_per_s", "66.0"),
        ("sd15_stable_fast", "iterations_per_s", "104.6"),
        ("sdxl_stable_fast", "iterations_per_s", "21.6"),
        ("controlnet", "iterations_per_s", "35.8"),
    ],
    "stable_fast_a100": [
        ("sd15", "iterations_per_s", "35.6"),
        ("sdxl_compile", "iterations_per_s", "10.0"),
        ("sdxl_stable_fast", "iterations_per_s", "11.9"),
        ("controlnet_stable_fast", "iterations_per_s", "41.1"),
    ],
    "animatediff_casting": [
        ("fp16", "latency_s", "16.66"),
        ("fp16", "memory_gb", "11.60"),
        ("e5m2", "memory_gb", "9.99"),
        ("e4m3fn", "latency_s", "18.89"),
    ],
    "sdxl_fast_a100": [
        ("fp32", "latency_s", "7.36"),
        ("bf16", "latency_s", "4.63"),
        ("sdpa", "latency_s", "3.31"),
        ("compile", "latency_s", "2.54"),
        ("fused_qkv", "latency_s", "2.52"),
        ("int8", "latency_s", "2.43"),
    ],
    "sdxl_simple_a100": [
        ("fp32", "latency_s", "72.2005"),
        ("fp32", "memory_gb", "28.09"),
        ("fp16", "latency_s", "14.8009"),
        ("default", "latency_s", "11.4130"),
        ("compile", "latency_s", "10.2967"),
        ("model_offload", "memory_gb", "20.21"),
        ("sequential_offload", "latency_s", "67.0340"),
        ("vae_slicing", "memory_gb", "15.40"),
        ("vae_slicing_sequential_offload", "memory_gb", "11.47"),
        ("precomputed_embeddings", "latency_s", "11.9090"),
        ("precomputed_embeddings", "memory_gb", "21.85"),
        ("tiny_vae", "latency_s", "10.4497"),
    ],
    "lcm_lora_a100": [("lcm", "latency_s", "1.2"), ("sdxl", "latency_s", "3.8")],
    "lcm_lora_rtx4090": [("lcm", "latency_s", "0.7"), ("sdxl", "latency_s", "3.4")],
    "lcm_lora_rtx3090": [("lcm", "latency_s", "1.4"), ("sdxl", "latency_s", "7")],
    "lcm_lora_t4": [("lcm", "latency_s", "8.4"), ("sdxl", "latency_s", "26.5")],
    "lcm_lora_rtx2080ti": [("lcm", "latency_s", "4.7"), ("sdxl", "latency_s", "10.2")],
    "lcm_lora_m1max": [("lcm", "latency_s", "6.5"), ("sdxl", "latency_s", "64")],
    "lcm_lora_i9_10980xe": [("lcm", "latency_s", "29"), ("sdxl", "latency_s", "219")],
}
"""Table -> the end of a setup's name, a key, and the figure to its last printed digit."""
STATED = [
    ("torch2_rtx4090", "img2img_b4", "text", "12,.79"),
    ("torch2_t4", "txt2img_b16", "text", "2.34s"),
    ("torch2_t4", "img2img_b16", "text", "2.35s"),
    ("torch2_t4", "inpaint_b16", "text", "2.30s"),
    ("fal_sd15_a100", "sdpa", "iterations_per_s", "31.19"),
    ("fal_sdxl_a100", "compile", "iterations_per_s", "9.59"),
    ("sdxl_simple_a100", "compile", "latency_s", "10.2"),
    ("sdxl_simple_a100", "vae_slicing_sequential_offload", "memory_gb", "11.45"),
    ("sdxl_simple_a100", "tiny_vae", "memory_gb", "15.6"),
    ("sdxl_simple_a100", "precomputed_embeddings", "memory_gb", "21.9"),
    ("stable_fast_rtx4080", "svd_stable_fast", "latency_s", "48"),
]


def read(table):
    """Return the rows of a file as they are written: setup -> keys, numbers with their digits."""
    raw = tomllib.loads((FOLDER / f"{table}.toml").read_text(encoding="utf-8"), parse_float=Decimal)
    return {one["setup"]: one for one in raw["rows"]}


@pytest.mark.parametrize("table", FIGURES)
def test_figures_are_those_that_are_printed(table):
    rows = read(table)
    found = [(setup, key, str(rows[f"{table}_{setup}"][key])) for setup, key, _ in FIGURES[table]]
    assert found == FIGURES[table]


@pytest.mark.parametrize(("table", "setup", "key", "figure"), STATED)
def test_what_contradicts_is_stated_as_it_is_printed(table, setup, key, figure):
    stated = read(table)[f"{table}_{setup}"]["stated"]
    assert figure in {str(one.get(key)) for one in stated}


def test_a_row_of_fal_ai_has_the_ten_timings_that_its_latency_is_the_median_of():
    for name in ("fal_sd15_a100", "fal_sdxl_a100"):
        table = load_table(FOLDER / f"{name}.toml")
        for row in table.rows:
            ordered = sorted(row.timings_s)
            assert len(ordered) == 10, row.setup
            assert (ordered[4] + ordered[5]) / 2 == pytest.approx(row.latency_s, abs=6e-4), row.setup
        ordered = table.rows[0].timings_s
        assert sum(ordered) / 10 == pytest.approx({"fal_sd15_a100": 1.604, "fal_sdxl_a100": 5.932}[name], abs=5e-4)
    first = load_table(FOLDER / "fal_sd15_a100.toml").row("fal_sd15_a100_sdpa")
    assert first.timings_s == (1.6092, 1.5904, 1.6015, 1.6045, 1.6173, 1.5886, 1.6177, 1.5997, 1.5974, 1.6111)


def test_the_contradictions_of_the_sources_are_acknowledged_with_a_reason():
    known = {
        ("torch2_a100", "txt2img_b1_compile"): "speedup: ",
        ("torch2_rtx4090", "img2img_b4"): "misprint: ",
        ("torch2_t4", "txt2img_b16"): "units: ",
        ("sdxl_simple_a100", "compile"): "two-figures: ",
        ("sdxl_simple_a100", "vae_slicing_sequential_offload"): "two-figures: ",
        ("sdxl_simple_a100", "tiny_vae"): "two-figures: ",
        ("stable_fast_rtx4080", "svd_stable_fast"): "two-figures: ",
    }
    for (table, setup), rule in known.items():
        notes = load_table(FOLDER / f"{table}.toml").row(f"{table}_{setup}").notes
        assert notes.startswith(rule), setup
        assert len(notes.removeprefix(rule).split()) >= 4, setup
    claims = load_table(FOLDER / "sdxl_simple_a100.toml").claims
    (denied,) = (one for one in claims if one.notes)
    assert denied.rows[0] == "sdxl_simple_a100_precomputed_embeddings"
    assert denied.notes.startswith("claim: ")


def test_torch_2_compares_the_unet_alone_compiled_with_the_same_pipeline_in_channels_last_memory():
    for name in ("torch2_a100", "torch2_v100", "torch2_t4", "torch2_rtx3090", "torch2_rtx4090"):
        table = load_table(FOLDER / f"{name}.toml")
        for row in table.rows:
            assert row.optimizations[0] == "channels_last"
            assert row.recipe.unit == "denoising"
            if row.setup.endswith("_compile") and not row.unsupported:
                assert row.optimizations[1] == 'compile(fullgraph=true, mode="reduce-overhead", parts=["unet"])'
