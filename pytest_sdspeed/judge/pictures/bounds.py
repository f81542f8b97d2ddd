"""Bounds on metrics: which suit pictures, which suit arrays, which are broken, and what is said."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.pictures.metrics import LIKENESSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import ImageGate, PictureMetric

OF_PICTURES = ("psnr", "ssim", "mae", "flip", "temporal")
OF_ARRAYS = ("max_abs", "mean_abs", "cosine")

_WORDS = {
    "psnr": ("PSNR {} dB", 1),
    "ssim": ("SSIM {}", 3),
    "mae": ("mean difference {}", 4),
    "flip": ("FLIP {}", 3),
    "temporal": ("error of motion {}", 3),
    "max_abs": ("greatest difference {}", 4),
    "mean_abs": ("mean difference {}", 4),
    "cosine": ("cosine {}", 4),
    "clip_drop": ("CLIP score drop {}", 3),
}
"""Metric -> what it is called, and how many digits it is given."""


class Scale(NamedTuple):
    """The metrics that there are: those of this package and registered ones.

    Attributes:
        further: the registered metrics by name.
    """

    further: Mapping[str, PictureMetric] = MappingProxyType({})

    def is_likeness(self, name: str) -> bool:
        """Tell whether more of a metric is better."""
        if name in self.further:
            return self.further[name].more_is_better
        return name in LIKENESSES

    def format(self, name: str, value: float, bound: float | None = None) -> str:
        """Format a metric with its name and unit, so that it does not read like the bound."""
        if name in self.further:
            return _format_further(self.further[name].format, value, bound)
        words, digits = _WORDS[name]
        return words.format(format_apart(value, bound, digits))


def find_broken_bounds(
    measured: Mapping[str, float], gate: ImageGate, scale: Scale | None = None
) -> tuple[str, ...]:
    """Find the bounds of the gate that the metrics break: ``PSNR 23.1 dB is under 45``.

    A metric that is NaN breaks its bound.

    Args:
        measured: metric -> value; the bound of one that was not measured is not judged.
        gate: the bounds; None is no bound.
        scale: the metrics that there are.
    """
    scale = scale or Scale()
    return tuple(
        f"{scale.format(name, measured[name], bound)} is"
        f" {'under' if scale.is_likeness(name) else 'over'} {bound:g}"
        for name, bound in select_broken_bounds(measured, gate, scale).items()
    )


def select_broken_bounds(
    measured: Mapping[str, float], gate: ImageGate, scale: Scale
) -> dict[str, float]:
    """Return the bounds that the metrics break, by name; see ``find_broken_bounds``."""
    return {
        name: bound
        for name, bound in gate.bounds.items()
        if name in measured
        and not (measured[name] >= bound if scale.is_likeness(name) else measured[name] <= bound)
    }


def find_unsuitable_bounds(gate: ImageGate, output: Output) -> str:
    """Say which bounds say nothing of what was returned: PSNR of latents, cosine of pictures.

    Args:
        gate: the bounds.
        output: what the baseline returned.

    Returns:
        The bounds and what to do, in words; "" if all suit.
    """
    is_array = output.kind == "array"
    wrong = ", ".join(name for name in gate.bounds if (name in OF_ARRAYS) != is_array)
    if wrong and is_array:
        said = (
            f"bounds on {wrong} are for pictures, and the baseline returned {output.describe()}:"
            f" bound it by {', '.join(OF_ARRAYS)}"
        )
    elif wrong:
        said = (
            f"bounds on {wrong} are for arrays, and the baseline returned {output.describe()}:"
            f" bound it by {', '.join(OF_PICTURES)}, or return it flat (reshape(-1)) to compare it"
            " as an array"
        )
    elif "temporal" in gate.bounds and output.together == 1:
        said = (
            "a bound on temporal is for several frames, and the baseline returned"
            f" {output.describe()}"
        )
    else:
        said = ""
    return said


def find_unjudged_bounds(measured: Mapping[str, float], gate: ImageGate) -> tuple[str, ...]:
    """Say which bounds were not judged, though something was compared.

    Notes say it of CLIP scores, whose model may be unavailable.
    """
    left = [name for name in gate.bounds if name not in measured and name != "clip_drop"]
    return (f"bounds on {', '.join(left)} were not judged: nothing measured them",) if left else ()


def format_apart(value: float, bound: float | None, digits: int) -> str:
    """Format a value with as many digits as it takes not to read like the bound."""
    texts = (f"{value:.{more}f}" for more in range(digits, digits + 6))
    return next((text for text in texts if float(text) != bound), repr(value))


def _format_further(template: str, value: float, bound: float | None) -> str:
    said = template.format(value)
    # What a metric of one's own shows of a value is its own; close to the bound it needs all of it.
    return f"{said} ({value!r})" if bound is not None and said == template.format(bound) else said
