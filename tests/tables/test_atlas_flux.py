"""Published figures of token merging, DeepCache, T-GATE, tiled decoding and FLUX.1, typed once more: a swapped digit fails."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.lint import find_contradictions
from pytest_sdspeed.tables import load_table
from pytest_sdspeed.tables.parser import parse_table

TABLES = Path(__file__).parents[2] / "pytest_sdspeed" / "tables"

LATENCIES = {
    "tome_a100": {
        "512_b10": 6.88,
        "768_b10_tome": 14.71,
        "768_b2": 4.99,
        "768_b2_tome": 3.24,
        "768_b2_tome_xformers": 2.1,
        "1024_b1_tome_xformers": 2.81,
    },
    "tome_v100": {
        "512_b1": 1.88,
        "512_b1_tome": 1.57,
        "768_b10_tome_xformers": 23.67,
        "768_b1": 5.43,
        "1024_b2_tome": 13,
        "1024_b4_tome_xformers": 19.35,
    },
    "tomesd_rtx4090": {"original": 3.09, "r10": 2.56, "r50": 1.65, "r60": 1.52},
    "deepcache_a5000": {
        "512_b1": 2.61,
        "512_b1_i5_b0": 0.81,
        "768_b8_i3_b0": 18.99,
        "1024_b8": 101.95,
        "1024_b8_i5_b1": 53.00,
        "1024_b1_i5_b1": 7.15,
    },
    "tgate_gtx1080ti": {
        "sd15": 7.032,
        "sd15_tgate": 4.313,
        "sdxl_tgate": 27.932,
        "sdxl_deepcache": 19.931,
        "pixart_alpha_tgate": 37.867,
        "lcm_pixart_tgate": 4.543,
    },
    "tgate_readme_gtx1080ti": {
        "sdxl": 53.187,
        "sdxl_tgate": 31.643,
        "pixart_alpha_tgate": 36.650,
        "pixart_sigma": 60.467,
        "pixart_sigma_tgate": 36.449,
    },
    "vae_tiling_rtx4090": {"sd15_512": 0.031, "sd15_1024": 0.148, "sd15_1024_tiled": 0.301, "sdxl_1024_tiled": 0.257},
    "vae_tiling_rtx4080": {"sd15_512": 0.05, "sd15_1024": 0.224, "sd15_1024_tiled": 0.356, "sdxl_512": 0.092},
    "vae_tiling_rtx4070ti": {"sd15_512": 0.066, "sd15_1024": 0.284, "sd15_1024_tiled": 0.454, "sdxl_512_tiled": 0.120},
    "vae_tiling_rtx3090": {"sd15_512": 0.062, "sd15_1024": 0.253, "sd15_1024_tiled": 0.464, "sdxl_1024": 0.459},
    "vae_tiling_rtx3080": {"sd15_512": 0.07, "sd15_1024": 0.286, "sd15_1024_tiled": 0.466, "sdxl_1024": 0.524},
    "vae_tiling_rtx3070": {"sd15_512": 0.102, "sd15_1024": 0.421, "sd15_1024_tiled": 0.746, "sdxl_512": 0.183},
    "flux_compile_h100": {
        "eager": 6.7,
        "compile": 4.5,
        "regional": 4.5,
        "offload": 21.5,
        "offload_compile": 18.7,
        "nf4": 7.3,
        "nf4_offload_compile": 9.8,
    },
    "flux_memory_rtx4090": {"nf4": 32.602, "nf4_compile": 25.847, "nf4_compile_offload": 32.312},
    "flux_bnb_rtx4090": {"nf4": 32.570, "nf4_compile": 25.809},
    "flux_fast_l20": {"bf16": 24.94, "compile_fp8": 13.26, "compile_fp8_cache": 7.42},
    "lora_fast_h100": {
        "lora": 7.8910,
        "optimized": 3.5464,
        "no_fp8": 4.3520,
        "no_fa3": 4.3020,
        "compile": 5.0920,
        "no_fa3_fp8": 5.0850,
        "no_compile_fp8": 7.5190,
        "no_compile": 10.4340,
    },
    "lora_fast_rtx4090": {
        "offload": 35.403,
        "offload_compile": 31.205,
        "before_fp8": 32.27,
        "fp8_nf4_compile": 9.668,
        "lora": 23.6060,
        "lora_compile": 11.5715,
    },
}
OTHERS = [
    ("deepcache_a5000", "512_b1_i5_b0", "speedup", 3.24),
    ("deepcache_a5000", "1024_b4_i5_b1", "speedup", 1.91),
    ("tomesd_rtx4090", "r40", "speedup", 1.67),
    ("flux_compile_h100", "compile", "compile_s", 67.4),
    ("flux_compile_h100", "regional", "compile_s", 9.6),
    ("flux_compile_h100", "regional", "warm_compile_s", 2.4),
    ("flux_compile_h100", "offload_compile", "memory_gb", 22.7),
    ("flux_compile_h100", "nf4_offload_compile", "speedup", 1.24),
    ("flux_memory_rtx4090", "nf4", "memory_gb", 14.9453),
    ("flux_memory_rtx4090", "nf4_compile", "memory_gb", 14.9448),
    ("flux_memory_rtx4090", "nf4_compile_offload", "memory_gb", 12.2369),
    ("flux_fast_l20", "compile_fp8_cache", "speedup", 3.36),
    ("lora_fast_h100", "no_compile", "speedup", 0.76),
    ("lora_fast_rtx4090", "lora_compile", "speedup", 2.04),
]
STATED = [
    ("tome_a100", "768_b2_tome_xformers", "saved_percent", 37.88),
    ("tome_a100", "768_b1_tome_xformers", "saved_percent", 38.3),
    ("tome_v100", "768_b1_tome_xformers", "saved_percent", 48.07),
    ("lora_fast_h100", "no_fa3", "speedup", 1.84),
    ("lora_fast_rtx4090", "offload_compile", "speedup", 1.12),
    ("tgate_gtx1080ti", "sdxl_tgate", "text", "84.438T, 2.024B, 22.738"),
    ("tgate_readme_gtx1080ti", "sdxl_tgate", "text", "95.988T, 22.917"),
    ("tomesd_rtx4090", "r60", "text", "33.37, 0.60 (5.68x less)"),
    ("vae_tiling_rtx4090", "sd15_1024_tiled", "text", "(+103%), 5.60%"),
    ("flux_fast_l20", "compile_fp8_cache", "text", "PSNR: 23.23"),
]
FOUND = {
    ("saved-percent", "tome_a100", "768_b2_tome_xformers"),
    ("saved-percent", "lora_fast_rtx4090", "offload_compile"),
    ("speedup", "lora_fast_h100", "no_fa3"),
    ("two-figures", "flux_memory_rtx4090", "nf4"),
    ("two-figures", "flux_memory_rtx4090", "nf4_compile"),
    ("two-figures", "tgate_readme_gtx1080ti", "sdxl_tgate"),
    ("two-figures", "tgate_readme_gtx1080ti", "pixart_alpha_tgate"),
    ("claim", "tgate_gtx1080ti", ""),
    ("claim", "tgate_readme_gtx1080ti", ""),
}
"""Rule, table and setup of every contradiction of these tables."""


@functools.cache
def load(name):
    return load_table(str(TABLES / f"{name}.toml"))


def find(name, setup):
    return load(name).row(f"{name}_{setup}")


@pytest.mark.parametrize("name", LATENCIES)
def test_latencies_are_those_of_the_source(name):
    found = {setup: find(name, setup).latency_s for setup in LATENCIES[name]}
    assert found == LATENCIES[name]


@pytest.mark.parametrize(("name", "setup", "figure", "value"), OTHERS)
def test_other_figures_are_those_of_the_source(name, setup, figure, value):
    assert getattr(find(name, setup), figure) == value


@pytest.mark.parametrize(("name", "setup", "figure", "value"), STATED)
def test_columns_beside_them_stand_as_they_are_printed(name, setup, figure, value):
    (stated,) = find(name, setup).stated
    assert (stated.text if figure == "text" else stated.figures[figure]) == value


def test_contradictions_are_found_by_arithmetic_and_each_has_its_reason_beside_it():
    found = find_contradictions([load(name) for name in sorted(LATENCIES)])
    assert {(one.rule, one.table, one.setup.removeprefix(f"{one.table}_")) for one in found} == FOUND
    assert [one.message for one in found if not one.acknowledged] == []


def test_the_misprinted_row_is_held_to_what_its_percent_says():
    row = find("tome_a100", "768_b2_tome_xformers")
    assert row.speedup * (1 - row.tolerance) == pytest.approx(4.99 / 3.1 * 0.95, abs=0.01)


def test_a_group_whose_baseline_ran_out_of_memory_begins_with_its_first_figure():
    first = find("tome_a100", "768_b10_tome")
    assert first.is_baseline
    assert first.stated[0].text == "OOM"
    assert find("tome_a100", "768_b10_tome_xformers").baseline == first.setup


def test_rows_of_other_engines_are_listed_and_not_built():
    assert all(row.unsupported for row in load("tomesd_rtx4090").rows)
    gated = [row for name in ("tgate_gtx1080ti", "tgate_readme_gtx1080ti") for row in load(name).rows if row.setup.endswith("tgate")]
    assert len(gated) == 13
    assert all("package tgate" in row.unsupported for row in gated)


def test_tiles_are_held_only_if_the_picture_is_larger_than_one():
    names = [name for name in LATENCIES if name.startswith("vae_tiling")]
    tiled = [row for name in names for row in load(name).rows if row.setup.endswith("_tiled")]
    assert len(tiled) == 24
    held = [row for row in tiled if not row.unsupported]
    assert all(row.setup.endswith("_sd15_1024_tiled") and row.slower and row.memory for row in held)
    assert len(held) == len(names)


PLANTED = {
    "swapped digits of a latency beside its percent": ("tome_a100", "latency_s = 5.26", "latency_s = 2.56", "saved-percent"),
    "swapped digits of a percent": ("tome_v100", "saved_percent = 37.75", "saved_percent = 35.77", "saved-percent"),
    "the percent of time that is saved, as a speed-up": (
        "lora_fast_rtx4090",
        "speedup = 2.04",
        "stated = [{where = 'a column', speedup = 1.51}]",
        "saved-percent",
    ),
    "memory that another row has": ("flux_memory_rtx4090", "memory_gb = 14.9453", "memory_gb = 12.2369\nload_gb = 14.9453", ""),
    "swapped digits of a latency beside its speed-up": ("deepcache_a5000", "latency_s = 6.88", "latency_s = 8.68", ""),
}
"""What is planted: table, what is replaced, by what, and the rule that finds it, "" if the table does not load."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    name, old, new, rule = PLANTED[fault]
    text = (TABLES / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text
    planted = text.replace(old, new, 1)
    if not rule:
        with pytest.raises(TableError):
            parse_table(planted, "planted.toml")
        return
    found = find_contradictions([parse_table(planted, "planted.toml")])
    assert rule in {one.rule for one in found if not one.acknowledged}


def test_a_figure_that_was_corrected_leaves_no_reason_behind_that_hides_the_next_one():
    text = (TABLES / "tome_a100.toml").read_text(encoding="utf-8")
    corrected = parse_table(text.replace("latency_s = 2.1\n", "latency_s = 3.1\n"), "corrected.toml")
    assert {one.rule for one in find_contradictions([corrected])} == {"unused-acknowledgement"}
