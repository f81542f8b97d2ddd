"""What torch is set to when it is imported, before anybody sets anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

_READ = """
import json, sys
import torch

found = {}
for name in sys.argv[1:]:
    value = torch
    try:
        for part in name.split("."):
            value = getattr(value, part)
    except AttributeError:
        continue
    found[name] = value if isinstance(value, (bool, int, str)) else str(value)
print(json.dumps(found))
"""
_OVERRIDES = ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",)
"""Variables by which a user sets what torch would else have by default."""
_LIMIT_S = 300.0


def read_defaults(names: Iterable[str]) -> dict[str, Any]:
    """Read settings of torch in a new process, which changes none of them.

    In this one a test, a fixture or a library may have set them long ago.

    Args:
        names: dotted names in torch, such as ``backends.cudnn.allow_tf32``.

    Returns:
        Name -> value; a name that torch does not have is missing.

    Raises:
        UnsupportedError: the process did not answer.
    """
    told = {name: value for name, value in os.environ.items() if name not in _OVERRIDES}
    try:
        ended = subprocess.run(  # noqa: S603 - this interpreter, and a text of this module
            [sys.executable, "-c", _READ, *names],
            env=told,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=True,
        )
        found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise UnsupportedError(
            "the settings of torch when it is imported are unknown: a new process could not tell"
            f" ({said[-1] if said else type(error).__name__})"
        ) from None
    return found
