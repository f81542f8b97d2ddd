"""What a pipeline of any class returned: its pictures or videos, and what else there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PICTURES = ("images", "prediction", "rgb", "sample")
_VIDEOS = ("frames", "videos")
NAMES = (*_VIDEOS, *_PICTURES)
"""Names under which pipelines of diffusers return what they drew."""
_AXES = {**dict.fromkeys(_PICTURES, 4), **dict.fromkeys(_VIDEOS, 5)}
_WHOLE = 255.0


def take_pictures(returned: Any) -> Any:
    """Take the pictures or the videos out of what a pipeline returned.

    Args:
        returned: an output of diffusers, a dict, a tuple whose first element is the pictures, or
            pictures.

    Returns:
        An array or a tensor of pictures (4 axes) or videos (5 axes) as it is; anything else under
        its name, in a dict, or as it is if it has none.
    """
    if isinstance(returned, tuple) and returned and not hasattr(returned, "_fields"):
        returned = returned[0]
    for name in NAMES:
        found = returned.get(name) if isinstance(returned, Mapping) else _read(returned, name)
        if found is not None:
            return found if _count_axes(found) == _AXES[name] else {name: found}
    return returned


def list_extras(returned: Any) -> tuple[str, ...]:
    """List what a pipeline returned beside its pictures, by name: ``audio``.

    Of a tuple the elements have no names.
    """
    if isinstance(returned, tuple) and not hasattr(returned, "_fields"):
        more = sum(one is not None for one in returned[1:])
        return (f"{more} further element{'s' if more > 1 else ''} of a tuple",) if more else ()
    if not isinstance(returned, Mapping):
        return ()
    own = next((name for name in NAMES if returned.get(name) is not None), None)
    return tuple(name for name, one in returned.items() if one is not None and name != own)


def as_floats(drawn: Any) -> NDArray[np.float32]:
    """Return pictures as float32 (N, H, W, 3) in [0, 1], or videos (N, F, H, W, 3).

    Args:
        drawn: what ``take_pictures`` returned.
    """
    if isinstance(drawn, Mapping):
        ((name, value),) = drawn.items()
        values = as_floats(value)
        return values.reshape((1,) * (_AXES[name] - values.ndim) + values.shape)
    if isinstance(drawn, list | tuple):
        single = all(hasattr(one, "convert") for one in drawn)
        return (np.concatenate if single else np.stack)([as_floats(one) for one in drawn])
    if hasattr(drawn, "cpu"):
        drawn = np.moveaxis(drawn.detach().float().cpu().numpy(), -3, -1)
    if hasattr(drawn, "convert"):
        return np.asarray(drawn.convert("RGB"), np.float32)[np.newaxis] / np.float32(_WHOLE)
    values = np.asarray(drawn)
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(_WHOLE)
    return values.astype(np.float32, copy=False)


def _read(returned: Any, name: str) -> Any:
    found = getattr(returned, name, None)
    return None if callable(found) else found


def _count_axes(value: Any) -> int:
    return len(getattr(value, "shape", ()))
