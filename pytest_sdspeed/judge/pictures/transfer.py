"""What was returned in one process, as it is sent to another: builtins only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping


def pack(drawn: object) -> dict[str, Any]:
    """Return what was returned as builtins; ``pictures`` has the values in bytes, or None for None.

    Raises:
        PictureError: ``keep`` does not take it.
    """
    output = keep(drawn)
    if output is None:
        return {"pictures": None}
    return {
        "pictures": output.values.tobytes(),
        "kind": output.kind,
        "shape": output.values.shape,
        "dtype": output.values.dtype.str,
        "own_range": output.own_range,
        "why": output.why,
        "axes": output.axes,
    }


def unpack(sent: Mapping[str, Any]) -> Output | None:
    """Return the output that ``pack`` made these builtins of."""
    if sent["pictures"] is None:
        return None
    values = np.frombuffer(sent["pictures"], dtype=sent["dtype"]).reshape(sent["shape"])
    return Output(
        sent["kind"],
        values,
        own_range=sent["own_range"],
        why=sent["why"],
        axes=None if sent["axes"] is None else tuple(sent["axes"]),
    )
