"""A campaign in which a row changes what all share: that row fails, the others are measured against a clean baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from children import PLUGINS
from failures import match_failures
from fakes import Bench
from merging import TO_Q, UNET, add, add_to_data, merging, optimization, to_q
from small import save_small_models

from pytest_sdspeed.errors import ChangedPartError
from pytest_sdspeed.run.outcomes import raise_what_broke
from pytest_sdspeed.run.targets import Target


def campaign(*setups, blocks=3):
    """Run setups on a fake clock, each generation a second of it, the first the baseline."""
    bench = Bench()

    def arm(setup, name, floor):
        made = Target.of(setup).arm(floor)

        def generate(case):
            bench.clock.spend(1.0)
            return setup.draw(case)

        return replace(made, name=name, generate=generate, profile=None)

    base, *rows = setups
    named = [arm(row, f"row{index}", 0.5) for index, row in enumerate(rows)]
    return bench.run(arm(base, "base", None), *named, max_blocks=blocks)


def writing_at_call(number, write):
    """Write at one call of the UNet, by a hook on the row's own copy."""
    calls = []

    def apply(pipeline, _recipe):
        def before(*_args):
            calls.append(1)
            if len(calls) == number:
                write(to_q(pipeline)[0])

        pipeline.unet.register_forward_pre_hook(before)

    return optimization(apply, changes=UNET)


@pytest.mark.slow
def test_the_rows_that_changed_weights_fail_and_the_campaigns_others_go_on(make, drawn):
    base = make()
    changing = {
        "building": merging(add, changes=UNET),
        "in the warm-up": writing_at_call(1, add),
        "in the warm-up, uncounted": writing_at_call(1, add_to_data),
        "in the block, as torch counts": writing_at_call(6, add),
    }
    rows = [make(extra=[one]) for one in changing.values()]
    found = campaign(base, *rows, make("sdpa"), make(extra=[merging(add, rewrites=UNET)]), make())
    for index, when in enumerate(changing):
        error = found.errors[f"row{index}"]
        assert type(error) is ChangedPartError, when
        assert "to_q.weight" in str(error), when
    assert set(found.errors) == {"row0", "row1", "row2", "row3"}
    assert {name: found.decisions[name].verdict for name in ("row4", "row5", "row6")} == {"row4": "pass", "row5": "pass", "row6": "pass"}
    assert np.array_equal(base.generate(0), drawn)


@pytest.mark.slow
def test_a_write_that_nobody_counts_takes_every_row_of_the_campaign(make, drawn):
    base = make()
    found = campaign(base, make(extra=[writing_at_call(6, add_to_data)]), make())
    assert found.decisions["row1"].verdict == "pass"
    for name in ("row0", "row1"):
        with pytest.raises(ChangedPartError, match=rf"something changed what setups share: {TO_Q}"):
            raise_what_broke(found, Target(name, None, print), Target("base", None, print))
    assert np.array_equal(base.generate(0), drawn)


CONFTEST = """
import torch
from pytest_sdspeed import Optimization, Recipe

RECIPE = Recipe(model=MODEL, prompt="a red ball", height=16, width=16, steps=2, scheduler="ddim")

def freeu(pipeline, recipe):
    pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)

def pytest_sdspeed_register(registry):
    registry.add_setup("plain", [], recipe=RECIPE)
    registry.add_setup("again", ["sdpa"], recipe=RECIPE)
    for name, fields in [("freeu", {}), ("declared", {"changes": frozenset({"unet"})})]:
        registry.add_optimization(Optimization(name=name, summary="FreeU", apply=freeu, **fields))
        registry.add_setup(f"{name}_row", [name], recipe=RECIPE)
"""

TESTS = """
import numpy as np
import pytest

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
def test_freeu(sd_latency, sd_freeu_row, sd_plain):
    sd_latency(sd_freeu_row, baseline=sd_plain)

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
def test_declared(sd_latency, sd_declared_row, sd_plain):
    clean = sd_plain.generate(0)
    try:
        result = sd_latency(sd_declared_row, baseline=sd_plain)
    finally:
        assert np.array_equal(sd_plain.generate(0), clean)
    assert result.image["psnr"] < 60

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
def test_changed_by_the_test_itself(sd_latency, sd_again, sd_plain):
    sd_plain.pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
    sd_latency(sd_again, baseline=sd_plain)

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
def test_after_it(sd_latency, sd_again, sd_plain):
    assert sd_latency(sd_again, baseline=sd_plain).image["psnr"] > 60
"""


LIMITS = ("-p", "no:randomly", "-W", "default", "--sd-max-blocks=2", "--sd-budget=20", "--sd-inconclusive=warn")


def with_small_model(conftest, folder):
    return conftest.replace("MODEL", repr(save_small_models(folder)["model"]))


@pytest.mark.slow
def test_users_see_the_part_and_what_to_do_and_the_next_test_is_not_affected(pytester, monkeypatch, tmp_path):
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
    pytester.makeconftest(with_small_model(CONFTEST, tmp_path))
    pytester.makepyfile(test_rows=TESTS)
    run = pytester.runpytest_inprocess(*LIMITS, "-rfp")
    outcomes = run.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (2, 2)
    run.stdout.re_match_lines(
        [
            r"building setup 'freeu_row' changed what setups share: unet\.up_blocks\.0 attribute s1 is 0\.9, was not there",
            r"since setup 'plain' was built, something changed what setups share: unet\.up_blocks\.0 attribute s1 is 0\.9",
        ]
    )


PEFT_TEST = """
import numpy as np
import pytest

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
def test_fused(sd_latency, sd_fused_row, sd_plain):
    sd_latency(sd_fused_row, baseline=sd_plain)

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
def test_declared(sd_latency, sd_declared_row, sd_plain):
    clean = sd_plain.generate(0)
    fused = sd_declared_row.generate(0)
    assert np.abs(fused - clean).mean() > 0.001
    sd_latency(sd_declared_row, baseline=sd_plain)
    assert np.array_equal(sd_plain.generate(0), clean)
"""

PEFT_CONFTEST = """
from pytest_sdspeed import Optimization, Recipe

RECIPE = Recipe(model=MODEL, prompt="a red ball", height=16, width=16, steps=2, scheduler="ddim")

def fuse(pipeline, recipe):
    from peft import LoraConfig
    unet = pipeline.unet
    unet.add_adapter(LoraConfig(r=4, lora_alpha=64, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v", "to_out.0"]), "style")
    unet.fuse_lora()
    unet.unload_lora()

def pytest_sdspeed_register(registry):
    registry.add_setup("plain", [], recipe=RECIPE)
    for name, field in [("fused", "changes"), ("declared", "rewrites")]:
        registry.add_optimization(
            Optimization(name=name, summary="a LoRA", apply=fuse, relation="other_weights", **{field: frozenset({"unet"})})
        )
        registry.add_setup(f"{name}_row", [name], recipe=RECIPE)
"""


@pytest.mark.slow
def test_a_lora_fused_by_peft_is_named_or_measured_if_it_is_declared(pytester, monkeypatch, tmp_path):
    pytest.importorskip("peft")
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
    pytester.makeconftest(with_small_model(PEFT_CONFTEST, tmp_path))
    pytester.makepyfile(test_rows=PEFT_TEST)
    run = pytester.runpytest_inprocess(*PLUGINS, *LIMITS)
    run.assert_outcomes(passed=1, failed=1)
    match_failures(run, {"test_fused": "*building setup 'fused_row' changed what setups share: unet.down_blocks*"})
