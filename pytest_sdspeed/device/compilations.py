"""How often torch compiled something in this process."""

from __future__ import annotations

import sys
from typing import Any


def count_compiled() -> int | None:
    """Return how many graphs torch has compiled in this process so far, recompilations included.

    Each frame that is compiled has one.

    Nothing is imported for it: 0 if nothing could be compiled yet, None if torch does not tell.
    """
    if "torch._dynamo" not in sys.modules:
        return 0
    counters: Any = getattr(sys.modules.get("torch._dynamo.utils"), "counters", None)
    return None if counters is None else int(counters["stats"]["unique_graphs"])
