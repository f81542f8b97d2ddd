"""Stages of any pipeline in every report: by their names, in the order in which they run."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from fakes import baseline_result, result

from pytest_sdspeed.model import Account, Against
from pytest_sdspeed.model.stages import STAGES
from pytest_sdspeed.report import account_text, text
from pytest_sdspeed.report.against import format_stages
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.report.plots.bars import choose_ink, list_stages

MIXED = ("decoding", "safety", "prior", "image_encoding", "text_encoder", "denoising", "refining", "upsampling")
SAID = ["text encoder", "image encoding", "prior", "denoising", "upsampling", "refining", "decoding", "safety"]


def against(*names):
    return Against(spec="main", label="main", versions={}, stages=dict.fromkeys(names, 1.05), identical=True)


def test_two_versions_are_compared_stage_by_stage_in_order():
    assert re.findall(r"([a-z ]+) \+5\.0%", format_stages(against(*MIXED))) == [SAID[0], *(f" {one}" for one in SAID[1:])]
    cells = text.format_row(result(against=against("decoding", "image_encoding")))
    assert "image encoding +5.0%, decoding +5.0%" in cells


def test_the_page_has_every_stage_in_its_own_color_in_order():
    stages_s = dict.fromkeys(MIXED, 0.5)
    page = render_page([baseline_result(), result("a", stages_s=stages_s)])
    legend = re.findall(r'<i class="stage (stage-\d)"></i>([a-z ]+)</li>', page)
    assert [name for _, name in legend] == SAID
    assert len({color for color, _ in legend}) == len(SAID)
    assert all(f"--{color}:" in page and f".{color} {{" in page for color, _ in legend)


def test_a_stage_keeps_its_color_whatever_others_there_are():
    inks = {stage: choose_ink(stage) for stage in STAGES}
    assert {name: inks[name] for name in ("text_encoder", "denoising", "decoding")} == {"text_encoder": 0, "denoising": 1, "decoding": 2}
    assert len(set(inks.values())) == len(STAGES)
    assert choose_ink("safety") not in inks.values()


@pytest.mark.parametrize("known", [{}, {"denoising": 1.0}])
def test_a_setup_without_some_stages_is_listed_with_those_of_others(known):
    assert list_stages([result("a", stages_s=known), result("b", stages_s={"decoding": 1.0, "text_encoder": 2.0})]) == [
        stage for stage in STAGES if stage in {*known, "decoding", "text_encoder"}
    ]


def test_an_account_has_a_column_for_every_stage():
    part = Account(operations=2)
    lines = account_text.format_account(replace(part, stages=dict.fromkeys(STAGES, part)))
    assert re.split(r"  +", lines[0].strip())[1:] == SAID[:-1]
