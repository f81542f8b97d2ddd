"""Memory: figures of one table that cannot all be right.

Rows of one recipe are compared if one has what the other has and something beside that saves memory
(offload, tiling, slicing, fewer bits), or nothing that changes it. Recipes are compared if they
differ by the number of pictures, by their size or by their frames alone.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from pytest_sdspeed.lint.printed import differ_by, is_copied
from pytest_sdspeed.lint.similar import find_larger, list_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.lint.printed import Figure
    from pytest_sdspeed.model.contradictions import Contradiction

_OFFLOADS = frozenset({"group_offload", "model_offload", "sequential_offload"})
_FEWER_BITS = frozenset({"bf16", "fp16", "layerwise_casting", "quantize"})
_DECODING = frozenset({"vae_slicing", "vae_tiling"})
_SAVING = _OFFLOADS | _FEWER_BITS | _DECODING | {"distilled_unet", "tiny_vae"}
"""Optimizations that give less memory, or at least not more."""
_KEEPING_LOADED = (
    frozenset(
        {
            "channels_last",
            "compile",
            "compile_repeated_blocks",
            "cudnn_benchmark",
            "scheduler",
            "tf32",
        }
    )
    | _DECODING
)
"""Those that leave what is held after loading as it is."""
_SLACK = 0.01
"""Share by which two figures of memory may differ by the allocator alone."""
_LOADED_SLACK = 0.02


def find_memory_mistakes(material: Material) -> Iterator[Contradiction]:
    """Find figures of memory that do not add up."""
    for entry in material.entries:
        yield from _judge_loaded(entry)
    for group in list_groups(material):
        for more, less in permutations(group, 2):
            yield from _judge_added(more, less)
    for name in ("memory_gb", "load_gb"):
        for larger, smaller, by in find_larger(material):
            yield from _judge_larger(larger, smaller, by, name)


def _judge_loaded(entry: Entry) -> Iterator[Contradiction]:
    """Hold what is stated after loading against the peak."""
    peak = entry.figure("memory_gb")
    for index, stated, loaded in entry.stated("load_gb"):
        if peak and loaded.low > peak.high:
            yield entry.find(
                "memory",
                f"stated[{index}].load_gb",
                f"{loaded} GB after loading ({stated.where}) is more than the peak, {peak} GB",
            )


def _judge_added(more: Entry, less: Entry) -> Iterator[Contradiction]:
    """Hold a row against one of its group that lacks something that it has, and has all else."""
    added = _find_added(more, less)
    if not added:
        return
    words = " and ".join(sorted(added))
    ours, theirs = more.figure("memory_gb"), less.figure("memory_gb")
    if added <= _SAVING and ours and theirs:
        said = f"{ours} GB with {words}, which saves memory, and {less.row.setup!r} without it"
        if _exceeds(ours, theirs):
            message = f"{said} has {theirs} GB: {differ_by(ours, theirs)} less"
            yield more.find("memory", "memory_gb", message, (less.name,))
        elif is_copied(ours, theirs) and _must_save(added, more):
            message = f"{said} has the same to the last digit: one is likely the other's"
            yield more.find("memory", "memory_gb", message, (less.name,))
    ours, theirs = more.figure("load_gb"), less.figure("load_gb")
    if added <= _KEEPING_LOADED and ours and theirs and not _are_close(ours, theirs):
        yield more.find(
            "memory",
            "load_gb",
            f"{ours} GB after loading, and {less.row.setup!r} without {words} has {theirs} GB:"
            f" {differ_by(ours, theirs)} apart, though it changes nothing that is loaded",
            (less.name,),
        )


def _find_added(more: Entry, less: Entry) -> frozenset[str]:
    """Return the names of what a row has beside all that another has; empty if that is not so."""
    ours, theirs = set(more.row.optimizations), set(less.row.optimizations)
    if more.row.unsupported or less.row.unsupported or more.row.gpus != less.row.gpus:
        return frozenset()
    added, missing = ours - theirs, theirs - ours
    names = frozenset(one.name for one in more.stack if one.label in added)
    if not missing:
        return names
    # Layer by layer needs no more than model by model.
    lacks = {one.name for one in less.stack if one.label in missing}
    if lacks == {"model_offload"} and names == {"sequential_offload"}:
        return names
    return frozenset()


def _must_save(added: frozenset[str], more: Entry) -> bool:
    """Tell whether what is added cannot leave the peak as it was."""
    recipe = more.row.recipe
    saving = _OFFLOADS | {"quantize", "layerwise_casting"}
    saving |= {"bf16", "fp16"} if recipe.dtype == "float32" else set()
    return bool(added & saving) or ("vae_slicing" in added and recipe.images > 1)


def _exceeds(one: Figure, other: Figure) -> bool:
    return float(one.low) > float(other.high) * (1 + _SLACK)


def _are_close(one: Figure, other: Figure) -> bool:
    return not (
        float(one.low) > float(other.high) * (1 + _LOADED_SLACK)
        or float(other.low) > float(one.high) * (1 + _LOADED_SLACK)
    )


def _judge_larger(larger: Entry, smaller: Entry, by: str, name: str) -> Iterator[Contradiction]:
    """Hold a row against the same of fewer or smaller pictures."""
    ours, theirs = larger.figure(name), smaller.figure(name)
    if ours is None or theirs is None:
        return
    if name == "memory_gb" and _exceeds(theirs, ours):
        message = f"{ours} GB for {by} than {smaller.row.setup!r}, which has {theirs} GB"
    elif name == "load_gb" and not _are_close(ours, theirs):
        message = (
            f"{ours} GB after loading, and {smaller.row.setup!r}, which differs by {by} alone, has"
            f" {theirs} GB"
        )
    else:
        return
    yield larger.find("memory", name, message, (smaller.name,))
