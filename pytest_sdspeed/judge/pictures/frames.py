"""Pictures as a caller sees them: float32 arrays, or what becomes one when it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_sdspeed.judge.pictures.conversion import as_pictures
from pytest_sdspeed.judge.pictures.exhibits import as_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.judge.pictures.output import Output

LARGEST_BYTES = 64 << 20
"""Pictures that take more as floats stay in the smaller form in which they are kept: 49 frames of
832x480 take 59 MB in 8 bits, and 235 MB as floats."""


def show_images(drawn: object) -> np.ndarray | Frames | None:
    """Return pictures as float32 (N, H, W, 3) in [0, 1]; None if there are none.

    Args:
        drawn: whatever ``keep`` takes.
    """
    output = as_output(drawn)
    if output is None or output.kind == "array":
        return None
    frames = Frames(output)
    return frames if frames.nbytes > LARGEST_BYTES else np.asarray(frames)


class Frames(np.lib.mixins.NDArrayOperatorsMixin):
    """Many pictures, which behave as a float32 array (N, H, W, 3) and are converted when asked for.

    One index converts one picture, everything else all of them, and neither is kept.
    """

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, output: Output) -> None:
        self._output = output
        self.shape = (output.count, *output.size[-2:], 3)

    @property
    def nbytes(self) -> int:
        """Return the bytes that the floats would take."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, (int, np.integer)):
            return np.asarray(self)[key]
        index = range(len(self))[key]
        return self._output.view(index)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if copy is False:
            raise ValueError("these pictures are converted, which makes a copy")
        return as_pictures(self._output).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        converted = (np.asarray(one) if isinstance(one, Frames) else one for one in inputs)
        return getattr(ufunc, method)(*converted, **options)

    def __getattr__(self, name: str) -> Any:
        """Give what an array has: ``mean``, ``reshape``, ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)
