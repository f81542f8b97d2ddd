"""Units: iterations per second for seconds, a step for a run, milliseconds for seconds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.lint.printed import Figure, differ_by, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.model.contradictions import Contradiction

IMPLAUSIBLE = 100
"""Ratio of two figures of one group from which they are of two units: the greatest published ones
that are not are x20 (int8 without compilation against bfloat16) and x43 (memory of an offload)."""
_MINUTE = (55, 65)
"""Ratio of two times of one group from and to which one is likely in minutes."""
_SLACK = Decimal("0.03")
"""Share of a call by which two ways to compute the time outside of its loop may differ."""
_SHORT = 0.97
"""Share of the steps that a progress bar may leave out: PNDM takes 51 for 50."""
_LEAST_STRENGTH = 0.3
"""Share of the steps that a pipeline that begins from a picture takes at least, by its default."""
_OTHER_THAN_LOOP = frozenset(
    {
        "autocast",
        "bf16",
        "channels_last",
        "compile",
        "cudnn_benchmark",
        "distilled_unet",
        "fp16",
        "fused_qkv",
        "fuse_qkv",
        "group_offload",
        "layerwise_casting",
        "lora",
        "model_offload",
        "quantize",
        "scheduler",
        "sdpa",
        "sequential_offload",
        "tf32",
        "tiny_vae",
        "vae_slicing",
        "vae_tiling",
        "vanilla_attention",
        "xformers",
    }
)
"""Optimizations that change, or may change, what is outside of the denoising loop."""
_LOOP = frozenset({"denoisers", "transformer", "unet"})
"""Parts of a pipeline that compute in the denoising loop alone."""
_QUANTITY = re.compile(
    r"[~≈<>≤≥+\s]*(?P<number>\d+(?:[.,]\d+)?)\s*(?P<unit>ms|s|sec|seconds?|min|minutes?|h|s/it)\b\.?"
)
_FACTORS = {"milliseconds for seconds": 1000.0, "minutes for seconds": 60.0}


class _Rate(NamedTuple):
    """Iterations per second: their place in the row, where they stand, and what they are."""

    key: str
    where: str
    said: Figure


def find_unit_mistakes(material: Material) -> Iterator[Contradiction]:
    """Find figures of another unit than they are called."""
    for entry in material.entries:
        yield from _judge_rates(entry)
        yield from _judge_outside(entry)
        yield from _judge_reciprocal(entry)
        yield from _judge_stated_times(entry)
        yield from _judge_texts(entry)
        yield from _judge_ratios(entry)


def is_mistaken_unit(entry: Entry, name: str, said: Figure, own: Figure) -> bool:
    """Tell whether a stated figure differs from the row's own by a unit, and not by its digits."""
    if name == "iterations_per_s":
        return (said * own).is_near(1) and not said.agrees(own)
    return name == "latency_s" and _name_factor(entry, said, own) is not None


def _judge_rates(entry: Entry) -> Iterator[Contradiction]:
    """Hold iterations per second against the latency: their product is the number of steps."""
    seconds, unit = entry.call_s, entry.row.recipe.as_calls.unit
    if seconds is None or unit == "decode":
        return
    steps = 1 if unit == "denoiser" else entry.steps
    for rate in _list_rates(entry):
        product = rate.said * seconds
        least = steps * _find_share_of_steps(entry)
        # A call takes time outside of its loop as well.
        most = steps * (IMPLAUSIBLE if unit == "call" else 2 - _SHORT)
        agree = float(product.high) >= least * _SHORT and float(product.low) <= most
        if agree or (steps == 1 and product.is_near(1)):
            continue
        stands = f" ({rate.where})" if rate.where else ""
        text = f"{rate.said} it/s{stands} for {seconds} s are {show(product.value)} iterations"
        if product.is_near(1):
            text += f", and a run has {steps} steps: the seconds are of one step, or the iterations"
            text += " are whole runs"
        elif unit == "call":
            text += f": its {steps} steps alone would take {show(steps / rate.said.value)} s"
        else:
            text += f", and it has {steps} steps: {differ_by(Figure.of(steps), product)} apart"
        yield entry.find("units", rate.key, text)


def _list_rates(entry: Entry) -> Iterator[_Rate]:
    own = entry.figure("iterations_per_s")
    if own:
        yield _Rate("iterations_per_s", "", own)
    for index, stated, said in entry.stated("iterations_per_s"):
        if "latency_s" not in stated.figures and not (own and said.agrees(own)):
            yield _Rate(f"stated[{index}].iterations_per_s", stated.where, said)


def _find_share_of_steps(entry: Entry) -> float:
    """Return the share of its steps that a call takes: pictures as input leave some out."""
    recipe = entry.row.recipe
    strength = recipe.call.get("strength")
    if isinstance(strength, (int, float)) and 0 < strength <= 1:
        return float(strength)
    begins = any(word in (recipe.pipeline or "") for word in ("Img2Img", "Inpaint", "Upscale"))
    return _LEAST_STRENGTH if begins else 1.0


def _judge_outside(entry: Entry) -> Iterator[Contradiction]:
    """Hold rates of two rows against their calls: what is outside of the loop stays as it was."""
    base = entry.baseline
    ours, theirs = entry.call_s, base.call_s
    rate, other = next(_list_rates(entry), None), next(_list_rates(base), None)
    if entry.row.is_baseline or not entry.row.recipe.of_call or entry.row.gpus > 1:
        return
    if not (ours and theirs and rate and other) or _changes_more_than_loop(entry):
        return
    before = theirs.low - base.steps / other.said.low
    after = ours.high - entry.steps / rate.said.high
    # A rate that is counted over the whole call leaves nothing outside.
    if before < theirs.value * _SLACK or after >= before * (1 - _SLACK):
        return
    loops = base.steps / other.said.value - entry.steps / rate.said.value
    yield entry.find(
        "units",
        rate.key,
        f"{rate.said} it/s after {other.said} it/s saves {show(loops)} s in {entry.steps} steps,"
        f" and the call saves {show(theirs.value - ours.value)} s ({theirs} s to {ours} s), though"
        " nothing in the row changes what is outside of the loop: the iterations are of something"
        " else, or one of the figures is",
        (base.name,),
    )


def _changes_more_than_loop(entry: Entry) -> bool:
    """Tell whether a row changes, or may change, what is outside of the denoising loop."""
    return any(
        one.name in _OTHER_THAN_LOOP and not _LOOP.issuperset(one.options.get("parts") or {""})
        for one in entry.stack
    )


def _judge_reciprocal(entry: Entry) -> Iterator[Contradiction]:
    own = entry.figure("iterations_per_s")
    for index, stated, said in entry.stated("iterations_per_s"):
        if own and is_mistaken_unit(entry, "iterations_per_s", said, own):
            yield entry.find(
                "units",
                f"stated[{index}].iterations_per_s",
                f"{said} ({stated.where}) is seconds per iteration: 1 / {said} is"
                f" {show(1 / said.value, own)}, and the row has {own} it/s",
            )


def _judge_stated_times(entry: Entry) -> Iterator[Contradiction]:
    own = entry.figure("latency_s")
    for index, stated, said in entry.stated("latency_s"):
        name = _name_factor(entry, said, own) if own else None
        if name:
            yield entry.find(
                "units",
                f"stated[{index}].latency_s",
                f"{said} s is stated ({stated.where}) and the row has {own} s: {name}",
            )


def _name_factor(entry: Entry, said: Figure, own: Figure) -> str | None:
    """Return what two times differ by, if that is a unit: a factor of 1000, or of the steps."""
    if said.agrees(own):
        return None
    factors = dict(_FACTORS)
    recipe = entry.row.recipe
    if entry.steps > 1:
        factors[f"one is of a step, the other of all {entry.steps}"] = float(entry.steps)
    if recipe.images > 1:
        factors[f"one is of a picture, the other of all {recipe.images}"] = float(recipe.images)
    if recipe.repeats > 1:
        factors[f"one is of a call, the other of all {recipe.repeats}"] = float(recipe.repeats)
    for name, factor in factors.items():
        if (said / own).is_near(factor) or (own / said).is_near(factor):
            return name
    return None


def _judge_texts(entry: Entry) -> Iterator[Contradiction]:
    """Find a time that is printed in a column of iterations per second."""
    rates = any(
        row.iterations_per_s is not None
        for row in entry.table.rows
        if row.recipe.as_calls.unit == entry.row.recipe.as_calls.unit
    )
    for index, stated in enumerate(entry.row.stated):
        found = _QUANTITY.fullmatch(stated.text.strip())
        if found and rates:
            yield entry.find(
                "units",
                f"stated[{index}].text",
                f"{stated.text!r} ({stated.where}) is a time, and other rows have iterations per"
                " second: the column changes its unit",
            )


def _judge_ratios(entry: Entry) -> Iterator[Contradiction]:
    """Find figures of one group that no optimization explains."""
    if entry.row.is_baseline:
        return
    for name, key in (("latency_s", "s"), ("iterations_per_s", "it/s"), ("memory_gb", "GB")):
        ours, theirs = entry.figure(name), entry.baseline.figure(name)
        if ours is None or theirs is None:
            continue
        large = max(ours.value / theirs.value, theirs.value / ours.value)
        minutes = name == "latency_s" and _MINUTE[0] <= large <= _MINUTE[1]
        if large >= IMPLAUSIBLE or minutes:
            unit = "in minutes" if minutes else "of another unit"
            yield entry.find(
                "units",
                name,
                f"{ours} {key} is x{show(large)} apart from the baseline's {theirs} {key}: no"
                f" optimization does that, and one of the two is likely {unit}",
                (entry.baseline.name,),
            )
    documented = entry.documented_speedup
    if documented and not 1 / IMPLAUSIBLE < float(documented.value) < IMPLAUSIBLE:
        yield entry.find(
            "units",
            "speedup",
            f"x{documented}: no optimization does that, and one of the two times it comes from is"
            " likely of another unit",
        )
