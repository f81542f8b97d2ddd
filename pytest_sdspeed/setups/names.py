"""The built-in setups by name, known without a table: each has the fixture ``sd_<name>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROUPS = {
    "fp16_b1": "float16, 1 picture",
    "fp16_b4": "float16, 4 pictures",
    "fp16_b16": "float16, 16 pictures",
} | {
    "fp32_b1": "float32, 1 picture",
    "fp32_b4": "float32, 4 pictures",
}
_ATTENTION = {
    "vanilla": "attention as separate matrix products (baseline)",
    "xformers": "memory-efficient attention of xFormers",
    "sdpa": "scaled dot product attention",
    "sdpa_compile": "scaled dot product attention, compiled",
}
_HALF = "float16, channels-last, fused projections"
_CACHED = {
    "cache_2": "deep features at every second step",
    "cache_3": "deep features at every third step",
    "cache_3_tiny_vae": "deep features at every third step, tiny autoencoder",
    "cache_3_tiny_vae_distilled": (
        "deep features at every third step, tiny autoencoder, distilled UNet"
    ),
}
_FASTEST = {
    "baseline": "PyTorch as it comes, in float32 (baseline)",
    "fp16": "float16",
    "channels_last": "float16, channels-last",
    "fused_qkv": _HALF,
    "graphs": f"{_HALF}, CUDA graphs",
    **{f"graphs_{name}": f"{_HALF}, CUDA graphs, {what}" for name, what in _CACHED.items()},
    "compile": f"{_HALF}, compiled",
    **{f"compile_{name}": f"{_HALF}, compiled, {what}" for name, what in _CACHED.items()},
}
_PICTURES = {"b1": "1 picture", "b4": "4 pictures"}

BUILTIN_SETUPS: Mapping[str, str] = {
    "baseline": "The table's own baseline, against which its rows are measured.",
    "tf32": "TensorFloat-32 matrix multiplications.",
    "fp16": "Weights and arithmetic in float16.",
    "combined": "float16 weights and TensorFloat-32 matrix multiplications.",
    "distilled": "The UNet of a distilled student.",
    "distilled_tiny_vae": "The UNet of a distilled student, and a tiny autoencoder.",
    "distilled_feature_cache_2": (
        "The UNet of a distilled student, its deep features at every second step."
    ),
    "feature_cache_2": "Deep features of the UNet at every second step.",
    "feature_cache_3": "Deep features of the UNet at every third step.",
    "bf16": "Weights and arithmetic in bfloat16.",
    "bf16_sdpa": "bfloat16 and scaled dot product attention.",
    "bf16_sdpa_compile": "bfloat16, scaled dot product attention, compiled UNet and autoencoder.",
    "bf16_sdpa_compile_fused_qkv": (
        "bfloat16, scaled dot product attention, compiled, with fused projections."
    ),
    "cudnn_benchmark": "cuDNN picks its fastest convolution by trying.",
    "autocast": "Automatic mixed precision in float16.",
    "channels_last": (
        "Channels-last memory format, with the optimizations of the rows above it in its table."
    ),
    "traced_unet": (
        "UNet traced to TorchScript, with the optimizations of the rows above it in its table."
    ),
    "memory_efficient_attention": (
        "Memory-efficient attention of xFormers, with the optimizations of the rows above it in its"
        " table."
    ),
    **{
        f"{kind}_{group}": f"{how}, {what}."
        for group, what in _GROUPS.items()
        for kind, how in _ATTENTION.items()
    },
    **{
        f"fastest_{kind}_{group}": f"{how}, {what}."
        for group, what in _PICTURES.items()
        for kind, how in _FASTEST.items()
    },
}
RESERVED = frozenset({"latency", "account", "setup", "claim"})
"""Names that setups cannot have, because the fixtures ``sd_<name>`` mean something else."""
