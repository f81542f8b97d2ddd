"""Limits: the least time in which a real device could do an account.

Two are told apart, since they answer two questions.

The *limit* adds up, operation by operation, the larger of its arithmetic and its traffic at the
published peaks: what eager PyTorch could reach with perfect kernels. It can be beaten: fused
operations move less, and what stays in the GPU's cache is not moved at all; float32 may run as
TF32; convolutions have faster algorithms than the direct one.

The *certain limit* leaves out all that may be saved. It has no traffic (operations may be fused and
weights may stay in a cache), takes the fastest type that a GPU computes in place of the one that is
asked for, a clock as high as boards run, a quarter of each convolution (what Winograd's method
leaves of one with 3 x 3 weights in tiles of 4 x 4: Lavin and Gray 2015, arXiv 1509.09308), and half
of each attention, written out or not (what a causal one leaves). A figure below it contradicts the
arithmetic itself. Accounts do not tell the size of a convolution's weights: of larger ones, which
are rare in diffusion, a Fourier transform may leave less than a quarter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model.devices import find_specs
from pytest_sdspeed.model.limits import Limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model.accounts import Account, Work
    from pytest_sdspeed.model.devices import DeviceSpec

HOST_S_PER_OPERATION = 10e-6
"""Seconds that a host takes to start one operation from Python, about.

PyTorch alone takes 5 to 25 microseconds (jiahuanglin.xyz, "From PyTorch op to kernel launch",
2026). With diffusers' own Python it is more: Stable Diffusion's 22 steps per second on an A100 and
40 on an RTX 4090 (diffusers, "Torch 2.0", one picture in float16) are of 741 operations each: 61
and 34 microseconds for one, if the host is what they wait for.
"""
_CONVOLUTIONS = ("convolution", "_convolution", "cudnn_convolution", "convolution_overrideable")
_BATCHED_PRODUCTS = ("bmm", "baddbmm")
"""They may be an attention written out."""
_OF_CONVOLUTION = 1 / 4
_OF_ATTENTION = 1 / 2
_IN_FLOAT8 = ("_scaled_mm", "_scaled_grouped_mm")
"""Their results have another type than what they multiply."""


def compute_limit(account: Account, device: str, precision: str) -> Limit:
    """Compute the least time of an account on a device.

    A name that may mean several devices gets the limit of the fastest.

    Args:
        account: what is asked for.
        device: name of the device, as torch or a publication gives it.
        precision: type in which float32 matrix products run: ``tf32`` if that is allowed; anything
            else leaves them as they are. Convolutions of float32 run in TF32 where a device has it,
            as they do by PyTorch's default.
    """
    host_s = account.operations * HOST_S_PER_OPERATION
    specs = find_specs(device)
    if not specs:
        return Limit(
            device=device, host_s=host_s, reason=f"no published peaks of {device!r} are known here"
        )
    if not account.work and account.operations:
        return Limit(device=device, host_s=host_s, reason="its operations are not known by size")
    unknown = sorted(_find_unknown(account.work, specs[0], precision))
    if unknown:
        reason = f"no published rate of {specs[0].name} for {', '.join(unknown)}"
        return Limit(device=device, host_s=host_s, reason=reason)
    found = [_compute(account, spec, precision, host_s) for spec in specs]
    return min(found, key=lambda limit: limit.limit_s or 0.0)


def _compute(account: Account, spec: DeviceSpec, precision: str, host_s: float) -> Limit:
    certain = arithmetic = traffic = larger = 0.0
    for work in account.work:
        computing = moving = 0.0
        if work.flops:
            kind = _find_type(work, spec, precision)
            computing = work.flops / (spec.tflops[kind] * 1e12)
            certain += work.count * _shrink(work) / _find_highest_rate(kind, spec)
        moving = work.bytes_moved / (spec.bandwidth_gbs * 1e9)
        arithmetic += work.count * computing
        traffic += work.count * moving
        larger += work.count * max(computing, moving)
    return Limit(
        device=spec.name,
        certain_s=certain,
        arithmetic_s=arithmetic,
        traffic_s=traffic,
        limit_s=larger,
        host_s=host_s,
    )


def _find_unknown(work: Iterable[Work], spec: DeviceSpec, precision: str) -> set[str]:
    """Return the types of operations that a device has no published rate for."""
    kinds = {_find_type(one, spec, precision) for one in work if one.flops}
    return kinds - spec.tflops.keys()


def _find_type(work: Work, spec: DeviceSpec, precision: str) -> str:
    """Return the type in which an operation computes."""
    if work.operation in _IN_FLOAT8:
        return "float8"
    reduced = precision == "tf32" or work.operation in _CONVOLUTIONS
    if work.dtype == "float32" and reduced and "tf32" in spec.tflops:
        return "tf32"
    return work.dtype


def _find_highest_rate(kind: str, spec: DeviceSpec) -> float:
    """Return the most operations per second of a type, or of one that may stand in for it."""
    kinds = ("float32", "tf32") if kind in {"float32", "tf32"} else (kind,)
    published = (
        rates[one] for rates in (spec.tflops, spec.tflops_at_most) for one in kinds if one in rates
    )
    return max(published) * 1e12 * spec.headroom


def _shrink(work: Work) -> float:
    """Return the floating-point operations that the fastest known algorithm needs."""
    if work.operation in _CONVOLUTIONS:
        return work.flops * _OF_CONVOLUTION
    if "attention" in work.operation or work.operation in _BATCHED_PRODUCTS:
        return work.flops * _OF_ATTENTION
    return float(work.flops)
