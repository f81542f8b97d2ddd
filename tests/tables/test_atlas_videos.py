"""Figures of the tables of videos, caches and several GPUs, copied by hand from what is published."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from pytest_sdspeed.lint import find_contradictions
from pytest_sdspeed.tables import load_tables

PUBLISHED = {
    "hunyuan_memory_a100": {
        "base": {"latency_s": 863, "memory_gb": 60.10, "stated_memory_gb": 60.09},
        "tiling": {"latency_s": 870, "memory_gb": 43.58},
        "8bit_offload_tiling": {"latency_s": 1260, "memory_gb": 26.18},
        "4bit_offload_tiling": {"latency_s": 995, "memory_gb": 14.15},
        "fp8": {"latency_s": 856, "memory_gb": 51.70},
    },
    "torchao_cogvideox_a100": {
        "5b": {"latency_s": 243.312, "memory_gb": 31.746, "load_gb": 19.764, "stated_latency_s": 180},
        "5b_bf16_compile": {"latency_s": 212.022},
        "5b_int8dq": {"latency_s": 550.239, "memory_gb": 22.287, "load_gb": 10.3},
        "5b_autoquant_compile": {"latency_s": 176.794, "stated_saved_percent": 27.33},
        "5b_fp5_e2m2_compile": {"latency_s": 217.707},
        "2b": {"latency_s": 93.896, "memory_gb": 24.528, "load_gb": 12.55, "stated_latency_s": 90},
        "2b_fp6_compile": {"latency_s": 72.261},
        "2b_int4wo": {"latency_s": 363.792},
    },
    "torchao_cogvideox_h100": {
        "bf16": {"latency_s": 112.398, "memory_gb": 33.988, "load_gb": 21.979, "stated_latency_s": 90},
        "int8dq_compile": {"latency_s": 78.945, "memory_gb": 59.355},
        "fp8_compile": {"latency_s": 75.255, "stated_saved_percent": 33.04},
        "fp8dqrow_unfused": {"latency_s": 122.99},
        "fp8dqrow_unfused_compile": {"latency_s": 76.777},
    },
    "paraattention_l20": {
        "flux": {"latency_s": 26.36},
        "flux_fbcache_010": {"latency_s": 16.00},
        "flux_fp8": {"latency_s": 13.40, "stated_speedup": 1.96},
        "flux_fbcache_fp8_2_gpus": {"latency_s": 4.92, "speedup": 5.35, "stated_latency_s": 8.20, "stated_speedup": 3.21, "gpus": 2},
        "hunyuan": {"latency_s": 3675.71},
        "hunyuan_fbcache_8_gpus": {"latency_s": 649.23, "speedup": 5.66, "gpus": 8},
    },
    "paraattention_a100": {
        "flux": {"latency_s": 13.843},
        "flux_4_ulysses_ring_compile": {"latency_s": 3.557, "speedup": 3.89, "gpus": 4},
        "mochi": {"latency_s": 196.534},
        "mochi_2_ring_compile": {"latency_s": 82.176, "gpus": 2},
    },
    "ltx_kernels_h100": {
        "base": {"latency_s": 2.87},
        "compile": {"latency_s": 2.14, "iterations_per_s": 19.05, "speedup": 1.34},
        "kernels_compile": {"latency_s": 2.01, "iterations_per_s": 18.45, "speedup": 1.43},
    },
    "wan_vae_gb200": {
        "off": {"latency_s": 6.00},
        "lossless": {"latency_s": 3.26, "speedup": 1.84},
        "channels_last": {"latency_s": 2.51, "speedup": 2.39},
    },
    "first_block_cache": {
        "cogview4": {"latency_s": 40.51},
        "cogview4_020": {"latency_s": 12.99},
        "hunyuan_005": {"latency_s": 62.47},
        "ltx_003": {"latency_s": 27.14},
        "wan_010": {"latency_s": 89.99},
        "flux": {"latency_s": 16.47},
        "flux_020": {"latency_s": 5.91},
    },
    "attention_caches": {
        "latte": {"latency_s": 31.742, "memory_gb": 14.344, "load_gb": 12.88},
        "latte_pyramid_attention_broadcast": {"latency_s": 27.531, "memory_gb": 20.23},
        "cogvideox": {"latency_s": 245.939, "memory_gb": 24.426},
        "cogvideox_faster_cache": {"latency_s": 159.031, "memory_gb": 40.721},
    },
    "group_offload_forward": {
        "block": {"latency_s": 9.75, "memory_gb": 10.59},
        "block_low_cpu": {"latency_s": 38.07, "memory_gb": 10.59},
        "leaf_low_cpu": {"latency_s": 13.72, "memory_gb": 0.53},
    },
    "group_offload_stream": {
        "off": {"latency_s": 32.521, "memory_gb": 1.6688},
        "record": {"latency_s": 31.825, "memory_gb": 1.6688},
    },
    "fbcache_b200": {
        "compile": {"latency_s": 2.83},
        "compile_fbcache": {"latency_s": 2.03, "stated_speedup": 1.40},
    },
    "cache_dit_l20": {
        "base": {"latency_s": 42.74, "tflops": 3726.87},
        "f1_w4_mc0_r008": {"latency_s": 23.21, "stated_speedup": 1.84},
        "headline_f4_w4_mc4_r012": {"tflops": 1400.08, "speedup": 2.66},
        "f1_w8i4_mc10_r08": {"latency_s": 9.71, "stated_speedup": 4.59},
    },
    "cache_dit_hybrid_l20": {
        "base": {"latency_s": 24.85},
        "slow": {"latency_s": 15.4},
        "ultra_taylorseer_compile_fp8": {"latency_s": 4.5},
    },
    "cache_dit_h100": {
        "flux": {"latency_s": 9.30},
        "flux_ulysses_fa3_cache_compile": {"latency_s": 1.92, "gpus": 2},
        "qwen": {"latency_s": 18.49},
        "qwen_ulysses_fa3": {"latency_s": 12.75},
    },
    "cache_dit_offload_l20": {
        "none": {"latency_s": 23.4, "memory_gb": 38},
        "sequential": {"latency_s": 335},
        "model": {"latency_s": 56, "memory_gb": 25},
        "transfer_4_persistent_32": {"latency_s": 24.6, "memory_gb": 16},
    },
    "cache_dit_graphs_l20": {
        "bf16": {"latency_s": 20.73},
        "bf16_graphs": {"latency_s": 20.70},
        "fp8_graphs": {"latency_s": 13.37},
    },
    "cache_dit_svdquant": {
        "base": {"latency_s": 2.1302, "memory_gb": 17.3245},
        "w4a4": {"latency_s": 1.2520, "memory_gb": 12.3916},
    },
    "teacache_a800": {
        "flux": {"latency_s": 18},
        "flux_06": {"latency_s": 9},
        "wan_1_3b_008": {"latency_s": 88},
        "wan_14b": {"latency_s": 55 * 60},
        "wan_14b_02": {"latency_s": 27 * 60},
        "wan_i2v_480p": {"latency_s": 735},
        "hunyuan_720p_015": {"latency_s": 23 * 60},
        "mochi_009": {"latency_s": 14 * 60},
    },
    "teacache_h100": {
        "t2v": {"latency_s": 465},
        "t2v_03": {"latency_s": 204},
    },
    "magcache_a800": {
        "flux": {"latency_s": 14.26},
        "flux_teacache_06": {"latency_s": 5.65, "stated_speedup": 2.5},
        "flux_magcache": {"latency_s": 5.05, "speedup": 2.8},
        "wan_14b": {"latency_s": 60 * 60 + 4},
        "wan_14b_magcache": {"latency_s": 21 * 60 + 40},
        "hunyuan_720p": {"latency_s": 54 * 60 + 5},
        "hunyuan_720p_teacache_015": {"latency_s": 23 * 60 + 49},
    },
    "magcache_l20": {
        "kontext": {"latency_s": 30},
        "wan_2_2": {"latency_s": 10 * 60 + 39},
        "wan_2_2_magcache": {"latency_s": 5 * 60 + 24},
    },
    "distributed_inference_h100": {
        "ulysses": {"latency_s": 6.670789, "iterations_per_s": 7.50, "memory_gb": 33.85, "gpus": 4},
        "ring": {"latency_s": 13.076492, "iterations_per_s": 3.82, "memory_gb": 56.02},
    },
    "distributed_inference_l20": {
        "ulysses": {"latency_s": 0.28107, "iterations_per_s": 3.56, "memory_gb": 37.11, "gpus": 4},
        "unified": {"latency_s": 0.32437},
        "ulysses_anything_1008": {"latency_s": 0.27840},
    },
    "distributed_inference_rtx4090": {
        "ulysses": {"latency_s": 0.25907},
        "ring_anything": {"latency_s": 0.34014},
    },
    "xdit_flux_h100": {
        "base": {"latency_s": 6.71},
        "compile": {"latency_s": 4.30},
        "ulysses_2_ring_2_compile": {"latency_s": 1.80, "gpus": 4},
        "ring_2": {"latency_s": 5.31, "gpus": 2},
    },
    "xdit_stepvideo_h20": {
        "base": {"latency_s": 213.60},
        "tp_2": {"latency_s": 108.97, "stated_speedup": 0.98, "gpus": 2},
        "sp_8": {"latency_s": 30.10, "stated_speedup": 0.89, "gpus": 8},
    },
    "xdit_hunyuan_h100": {
        "720p": {"latency_s": 1904.08},
        "720p_8_gpus": {"latency_s": 337.58, "gpus": 8},
    },
    "xdit_hunyuan_h20": {
        "720p": {"latency_s": 6639.17},
        "960_6_gpus": {"latency_s": 1214.67, "gpus": 6},
    },
    "xdit_hunyuan_l20": {
        "720p_4_gpus": {"latency_s": 2080.05},
        "960": {"latency_s": 6039.08},
    },
}
"""Table -> setup without the table's name -> figures; those that are stated beside the row's own
have ``stated_`` before their name, and are the first of that name."""


@pytest.fixture(scope="module")
def tables():
    return {table.name: table for table in load_tables()}


def read(row, name):
    """Return a figure of a row, or the first that is stated under its name."""
    if not name.startswith("stated_"):
        return getattr(row, name)
    return next((one.figures[name[7:]] for one in row.stated if name[7:] in one.figures), None)


def differ(table, published):
    """Name the figures of a table that are not the published ones."""
    return [
        f"{setup}.{name}"
        for setup, figures in published.items()
        for name, figure in figures.items()
        if read(table.row(f"{table.name}_{setup}"), name) != figure
    ]


@pytest.mark.parametrize("name", PUBLISHED)
def test_figures_are_the_published_ones(tables, name):
    assert not differ(tables[name], PUBLISHED[name])
    assert sum(map(len, PUBLISHED[name].values())) >= 2


def swap_digits(number):
    """Return a number with its first two digits that differ in the place of each other."""
    text = repr(number)
    digits = [place for place, sign in enumerate(text) if sign.isdigit()]
    for one, two in pairwise(digits):
        if text[one] != text[two]:
            signs = list(text)
            signs[one], signs[two] = signs[two], signs[one]
            return float("".join(signs))
    return number * 11


@pytest.mark.parametrize("name", PUBLISHED)
def test_two_digits_in_the_place_of_each_other_are_found_in_every_figure(tables, name):
    table, published = tables[name], PUBLISHED[name]
    for setup, figures in published.items():
        row = table.row(f"{name}_{setup}")
        for figure, number in figures.items():
            if figure.startswith("stated_") or figure == "gpus":
                continue
            wrong = replace(row, **{figure: swap_digits(number)})
            rows = tuple(wrong if one is row else one for one in table.rows)
            assert differ(replace(table, rows=rows), published) == [f"{setup}.{figure}"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_sources_are_permanent_links_and_setups_have_the_tables_name(tables, name):
    table = tables[name]
    assert table.source.startswith("https://github.com/")
    assert "/blob/main/" not in table.source
    assert "/tree/main/" not in table.source
    assert all(row.setup.startswith(f"{name}_") for row in table.rows)
    assert table.notes


def test_rows_of_several_gpus_are_not_built(tables):
    several = [row for name in PUBLISHED for row in tables[name].rows if row.gpus > 1]
    assert len(several) > 50
    assert all(row.unsupported for row in several)


def test_minutes_are_exact_seconds(tables):
    minutes = ("wan_14b", "wan_i2v_720p", "hunyuan_540p", "hunyuan_720p", "mochi")
    rows = [row for row in tables["teacache_a800"].rows if row.setup.removeprefix("teacache_a800_").startswith(minutes)]
    assert len(rows) == 17
    assert all(row.latency_s % 60 == 0 for row in rows)


def test_a_cached_row_is_only_built_by_the_same_cache(tables):
    """TeaCache and DBCache are others than the caches of diffusers: their rows are not built."""
    for name in PUBLISHED:
        for row in tables[name].rows:
            if any(label.startswith(("teacache", "dbcache", "context_parallel")) for label in row.optimizations):
                assert row.unsupported, row.setup


def test_rows_in_fewer_bits_that_overflow_say_so(tables):
    rows = [row for row in tables["torchao_cogvideox_a100"].rows if "_2b_fp6" in row.setup]
    assert len(rows) == 2
    assert all("Overflow" in row.notes for row in rows)


def test_claims_that_the_pages_own_tables_deny_are_acknowledged(tables):
    claims = tables["paraattention_l20"].claims
    assert [claim.by for claim in claims] == [2, 2]
    for claim in claims:
        own = tables["paraattention_l20"].row(claim.rows[0]).speedup
        assert own < 1.7
        assert f"{own:.2f}x" in claim.notes
        assert claim.notes.startswith("claim: ")


FOUND = [
    ("paraattention_l20", "flux_fbcache_fp8_2_gpus", "two-figures"),
    ("paraattention_l20", "", "claim"),
    ("distributed_inference_l20", "ulysses", "units"),
    ("cache_dit_l20", "headline_f8_w4_mc0_r008", "flops-ratio"),
    ("cache_dit_l20", "f1_w8i4_mc10_r08", "flops-ratio"),
    ("cache_dit_l20", "fast_base", "two-figures"),
    ("xdit_stepvideo_h20", "tp_2", "efficiency"),
    ("ltx_kernels_h100", "kernels_compile", "units"),
    ("hunyuan_memory_a100", "base", "two-figures"),
    ("torchao_cogvideox_a100", "5b", "two-figures"),
    ("torchao_cogvideox_h100", "int8dq_compile", "memory"),
    ("magcache_a800", "flux_teacache_06", "speedup"),
]
"""Contradictions of the sources: table, setup without the table's name, and the rule that finds it."""


@pytest.fixture(scope="module")
def contradictions(tables):
    return find_contradictions(tables.values(), about=PUBLISHED)


@pytest.mark.parametrize(("name", "setup", "rule"), FOUND)
def test_contradictions_of_the_sources_are_found_and_say_what_is_right(contradictions, name, setup, rule):
    found = [one for one in contradictions if (one.table, one.setup, one.rule) == (name, f"{name}_{setup}" if setup else "", rule)]
    assert found
    assert all(len(one.acknowledged.split()) >= 4 for one in found)


def test_no_contradiction_is_left_without_a_reason(contradictions):
    assert [(one.setup, one.message) for one in contradictions if not one.acknowledged] == []


def test_a_contradiction_loses_its_reason_with_the_notes(tables):
    bare = replace(tables["xdit_stepvideo_h20"], notes=())
    found = find_contradictions([bare])
    assert len(found) == 6
    assert not any(one.acknowledged for one in found)
