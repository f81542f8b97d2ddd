"""Published figures of quantized pipelines and of those that are compiled alone, typed once more: a swapped digit fails."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from pytest_sdspeed.tables import load_table

TABLES = Path(__file__).parents[2] / "pytest_sdspeed" / "tables"
DOCUMENTED = {
    # latency_s, memory_gb, load_gb
    "torchao_flux_h100": {
        "b1": (6.573, 33.851, 31.438),
        "b1_compile": (4.209, 33.851, 31.438),
        "b1_int8dq": (130.498, 31.608, 20.386),
        "b1_int8dq_fused": (119.736, 35.616, 22.397),
        "b1_int8dq_fused_compile": (3.357, 35.617, 22.397),
        "b1_fp8wo": (8.402, 31.607, 20.362),
        "b1_fp8dqrow_compile_vae": (2.981, 31.818, 20.368),
        "b1_fp8dqrow_fused_compile_vae": (2.966, 35.831, 22.379),
        "b4": (24.828, 39.49, 31.438),
        "b4_int8wo_compile": (16.08, 31.609, 20.387),
        "b4_fp8dqrow_compile_vae": (11.421, 31.817, 20.367),
        "b8_compile": (31.685, 47.506, 31.439),
        "b8_int8dq": (333.567, 36.458, 20.386),
        "b8_fp8dq_fused_compile": (23.261, 38.43, 22.363),
        "b16": (97.545, 61.548, 31.438),
        "b16_fp8dq_compile_vae": (45.004, 52.704, 20.356),
        "b16_fp6_e3m2_compile": (62.551, 47.7, 17.598),
        "b16_fp4_e2m1_fused_compile": (62.296, 45.929, 15.827),
        "b16_sparse_fused_compile_vae": (50.62, None, None),
    },
    "quantization_backends_h100": {
        "bf16": (12, 36.166, 31.447),
        "bnb_4bit": (12, 17.281, 12.584),
        "torchao_int4wo": (109, 14.654, 10.635),
        "torchao_fp8wo": (15, 21.488, 17.016),
        "quanto_int4": (109, 16.139, 12.254),
        "gguf_q2_k": (26, 17.752, 13.264),
        "layerwise_fp8": (13, 28.451, 23.682),
    },
    "quanto_pixart_h100": {
        "b1": (1.200, 12.086, None),
        "b1_fp8_te": (1.601, 5.363, None),
        "b1_int8_te_fused": (1.504, 5.536, None),
        "b1_bf16_int8_te": (1.454, 5.364, None),
        "b1_bf16_int4_te": (7.604, 3.058, None),
        "b4": (4.482, 12.087, None),
        "b4_fp8": (5.109, 11.548, None),
    },
    "quanto_sd3_h100": {"fp16": (2.118, 16.403, None), "fp8_te1": (2.730, 14.384, None), "fp8_te23": (2.875, 8.325, None)},
    "nunchaku_lite_rtxpro6000": {
        "bf16": (3.00, 31.1, None),
        "nvfp4": (2.27, 20.6, None),
        "nvfp4_compile": (1.68, 20.6, None),
        "nvfp4_te_nf4": (2.29, 16.0, None),
        "loop_bf16": (2.86, None, None),
        "loop_nvfp4_compile": (1.53, None, None),
    },
    "nunchaku_kernels_rtx5090": {"no_fusion": (1.057, None, None), "epilogue": (0.836, None, None), "gelu": (0.722, None, None)},
    "torchao_lpips": {
        "b1": (0.4178, None, None),
        "b1_float8_rowwise": (0.3455, None, None),
        "b4_mxfp8": (1.2820, None, None),
        "b4_nvfp4": (1.0913, None, None),
    },
    "torchao_pr10009": {
        "flux": (6.856, None, None),
        "flux_int4wo": (68.017, None, None),
        "cogvideox_int4wo": (666.9, None, None),
        "cogvideox_uint2wo_compile": (84.675, None, None),
    },
    "qwen_image_a100": {"bf16": (4.70, None, None), "compile": (1.93, None, None)},
    "hunyuan_dit_a100": {"fp16": (20.570, None, None), "compile": (12.470, None, None)},
    "latte_a100": {"fp16": (16.246, None, None), "compile": (14.573, None, None)},
    "cogvideox_2b_a100": {"fp16": (96.89, None, None), "compile": (76.27, None, None)},
    "marigold_rtx3090": {"fp16": (0.280, None, None), "tiny_vae": (0.085, None, None)},
    "diffusers_benchmarks_l40s": {
        "flux": (0.535, None, None),
        "flux_offload": (1.901, None, None),
        "flux_nf4": (0.563, None, None),
        "ltx_compile": (1.106, None, None),
        "sdxl": (0.074, None, None),
        "sdxl_layerwise": (0.149, None, None),
    },
}
ROWS = {
    "torchao_flux_h100": 78,
    "quantization_backends_h100": 13,
    "quanto_pixart_h100": 14,
    "quanto_sd3_h100": 8,
    "nunchaku_lite_rtxpro6000": 8,
    "nunchaku_kernels_rtx5090": 8,
    "torchao_lpips": 8,
    "torchao_pr10009": 8,
    "diffusers_benchmarks_l40s": 12,
}
STATED = [
    ("torchao_flux_h100", "b1", {"latency_s": 6.431}),
    ("torchao_flux_h100", "b1_fp8dqrow_fused_compile_vae", {"saved_percent": 53.88}),
    ("quanto_sd3_h100", "fp16", {"memory_gb": 18.765}),
    ("nunchaku_lite_rtxpro6000", "bf16", {"latency_s": 2.271}),
    ("nunchaku_lite_rtxpro6000", "nvfp4", {"speedup": 1.35}),
    ("nunchaku_lite_rtxpro6000", "nvfp4_compile", {"latency_s": 1.675, "speedup": 1.8}),
    ("torchao_pr10009", "flux", {"memory_gb": 22.633}),
    ("torchao_pr10009", "cogvideox", {"load_gb": 10.824}),
    ("diffusers_benchmarks_l40s", "flux_nf4", {"memory_gb": 6.7}),
    ("diffusers_benchmarks_l40s", "flux_nf4", {"memory_gb": 22.18}),
    ("diffusers_benchmarks_l40s", "flux", {"tflops": 59.523}),
    ("diffusers_benchmarks_l40s", "flux", {"tflops": 74.395}),
    ("diffusers_benchmarks_l40s", "ltx_offload", {"memory_gb": 1.04}),
]
PRINTED = [
    ("torchao_lpips", "b1_float8_rowwise", 1.21),
    ("torchao_lpips", "b4_nvfp4", 1.37),
    ("nunchaku_kernels_rtx5090", "grouping", 1.025),
    ("qwen_image_a100", "compile", 2.4),
]


@functools.cache
def table(name):
    return load_table(TABLES / f"{name}.toml")


def row(name, setup):
    return table(name).row(f"{name}_{setup}")


@pytest.mark.parametrize(("name", "setup"), [(name, setup) for name, rows in DOCUMENTED.items() for setup in rows])
def test_figures_are_the_published_ones(name, setup):
    found = row(name, setup)
    assert (found.latency_s, found.memory_gb, found.load_gb) == DOCUMENTED[name][setup]


@pytest.mark.parametrize(("name", "rows"), ROWS.items())
def test_every_row_of_a_source_is_there(name, rows):
    assert len(table(name).rows) == rows


@pytest.mark.parametrize(("name", "setup", "figures"), STATED)
def test_what_contradicts_a_table_stands_beside_it(name, setup, figures):
    assert figures in [dict(one.figures) for one in row(name, setup).stated]


@pytest.mark.parametrize(("name", "setup", "speedup"), PRINTED)
def test_speedups_that_are_printed_are_kept_as_they_are(name, setup, speedup):
    assert row(name, setup).speedup == speedup


def test_quantizing_without_compiling_is_published_as_a_slow_down():
    rows = [one for one in table("torchao_flux_h100").rows if one.setup.endswith(("_int8dq", "_int8dq_fused"))]
    assert len(rows) == 6
    assert [one.setup for one in rows if not (one.slower and one.speedup < 0.2 and one.notes)] == []


def test_rows_that_are_said_to_compile_do():
    rows = [one for name in DOCUMENTED for one in table(name).rows if "_compile" in one.setup.removeprefix(name)]
    assert len(rows) > 30
    assert [one.setup for one in rows if not any(label.startswith("compile") for label in one.optimizations)] == []
