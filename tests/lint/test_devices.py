"""Devices: latencies that none reaches, and memory that none has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from published import found, row, rules, table

from pytest_sdspeed.lint import Counts, fingerprint, lint_tables
from pytest_sdspeed.model.accounts import Work

PETAFLOPS = (Work("mm", "bfloat16", 10**13, 10**6, 100),)
"""Of 10^15 operations: 3.2 s at the published rate of an A100, 2.9 s at its highest clock."""


def counted(one, work=PETAFLOPS, **further):
    return {fingerprint(row): Counts(fingerprint=fingerprint(row), work=work, **further) for row in one.rows}


def timed(latency, **further):
    return table(row("base", f"latency_s = {latency}"), row("slower", "speedup = 0.96"), **further)


@pytest.mark.parametrize(("latency", "expected"), [("4.70", []), ("3.0", []), ("2.8", ["limit"]), ("0.47", ["limit"]), ("2.9", [])])
def test_a_latency_under_the_limit(latency, expected):
    one = timed(latency)
    assert rules(one, counts=counted(one)) == expected


def test_a_latency_of_several_calls_is_held_by_the_call():
    text = "latency_s = 9.0; recipe = {repeats = 3}"
    one = table(row("base", text), row("fast", "speedup = 1.1"))
    assert rules(one, counts=counted(one)) == []
    one = table(row("base", text.replace("9.0", "6.0")), row("fast", "speedup = 1.1"))
    assert rules(one, counts=counted(one)) == ["limit"]


def test_counts_of_the_same_stack_are_not_those_of_a_row_that_cannot_be_built():
    one = table(row("base", "latency_s = 5"), row("fp8", "latency_s = 2.0", "quantize", unsupported='"its method is not stated"'))
    assert rules(one, counts=counted(one)) == []
    assert rules(replace(one, rows=tuple(replace(row, unsupported="") for row in one.rows)), counts=counted(one)) == ["limit"]


def test_counts_of_a_row_that_was_changed_are_not_used():
    one = timed("0.47")
    counts = counted(one)
    changed = replace(one, rows=tuple(replace(row, recipe=replace(row.recipe, steps=4)) for row in one.rows))
    assert (rules(one, counts=counts), rules(changed, counts=counts)) == (["limit"], [])


@pytest.mark.parametrize(
    ("changed", "counts", "reason"),
    [
        ({}, {}, "no counts of it are stored"),
        ({"device": "NVIDIA B900"}, None, "no published peaks of 'NVIDIA B900' are known here"),
        ({"unit": "denoising"}, None, "it is the denoising loop"),
        ({}, "no configuration of org/model", "no configuration of org/model"),
    ],
)
def test_what_was_not_held_against_a_limit_is_said(changed, counts, reason):
    one = timed("0.47", **changed)
    if isinstance(counts, str):
        counts = counted(one, work=(), reason=counts)
    found = lint_tables([one], counted(one) if counts is None else counts)
    told = {(each.setup, each.reason) for each in found.unchecked if each.rule == "limit"}
    assert [(setup, why.startswith(reason)) for setup, why in told] == [("base", True)]
    assert found.contradictions == ()


def test_a_peak_that_the_device_does_not_have():
    def needs(memory, device):
        return found(table(row("base", f"latency_s = 5; memory_gb = {memory}"), row("fast", "latency_s = 4"), device=device))

    assert needs("61.548", "NVIDIA H100") == []
    assert needs("61.548", "NVIDIA A100") == [], "one of 80 GB may be meant"
    assert needs("61.548", "NVIDIA A100 40GB") == [("does-not-fit", "page/base", "rows[0].memory_gb")]
    assert needs("81.548", "NVIDIA A100") == [("does-not-fit", "page/base", "rows[0].memory_gb")]
    assert needs("22.1", "NVIDIA V100") == [], "there are some of 32 GB"
    assert needs("33.1", "NVIDIA V100") == [("does-not-fit", "page/base", "rows[0].memory_gb")]


def test_weights_that_the_device_cannot_hold():
    one = timed("50", device="NVIDIA GeForce RTX 4090")
    assert rules(one, counts=counted(one, weight_bytes=24 * 2**30)) == []
    assert rules(one, counts=counted(one, weight_bytes=25 * 2**30)) == ["does-not-fit"]
