"""Optimizations of attention: who computes it, and its projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_cuda, require_package

if TYPE_CHECKING:
    from pytest_sdspeed.model import Machine, Recipe

_BOTH = frozenset({"unet", "vae"})


def _check_xformers(machine: Machine) -> str | None:
    return require_cuda("xformers", machine) or require_package("xformers", "xformers.ops")


def _set_processors(pipeline: Any, processor: str) -> None:
    from diffusers.models import attention_processor

    for part in (pipeline.unet, pipeline.vae):
        if hasattr(part, "set_attn_processor"):
            part.set_attn_processor(getattr(attention_processor, processor)())


def _apply_sdpa(pipeline: Any, _recipe: Recipe) -> None:
    _set_processors(pipeline, "AttnProcessor2_0")


def _apply_vanilla_attention(pipeline: Any, _recipe: Recipe) -> None:
    _set_processors(pipeline, "AttnProcessor")


def _apply_xformers(pipeline: Any, _recipe: Recipe) -> None:
    pipeline.enable_xformers_memory_efficient_attention()


def _fuse_qkv(pipeline: Any, _recipe: Recipe) -> None:
    for part in (pipeline.unet, pipeline.vae):
        if hasattr(part, "fuse_qkv_projections"):
            part.fuse_qkv_projections()


OPTIMIZATIONS = (
    Optimization(
        name="sdpa",
        summary="scaled dot product attention of torch",
        changes=_BOTH,
        apply=_apply_sdpa,
    ),
    Optimization(
        name="vanilla_attention",
        summary="attention as separate matrix products, as before torch 2",
        changes=_BOTH,
        apply=_apply_vanilla_attention,
    ),
    Optimization(
        name="xformers",
        summary="memory-efficient attention of xFormers",
        supported=_check_xformers,
        changes=_BOTH,
        apply=_apply_xformers,
    ),
    Optimization(
        name="fused_qkv",
        summary="query, key and value projections as one",
        changes=_BOTH,
        apply=_fuse_qkv,
    ),
)
