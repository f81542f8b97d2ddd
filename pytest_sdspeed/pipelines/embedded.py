"""The models that come with the package: folders of safetensors, as of any model.

``benchmarks/miniature/train.py`` makes them.
"""

from __future__ import annotations

from pathlib import Path

from pytest_sdspeed.errors import ModelUnavailableError
from pytest_sdspeed.model import MINIATURE

EMBEDDED = (MINIATURE, "miniature-student", "miniature-tiny-vae")
WEIGHTS = Path(__file__).with_name("weights")


def locate(model: str) -> str:
    """Return where a model is loaded from: its folder if it is embedded, else its own name.

    Raises:
        ModelUnavailableError: an embedded model is not in the package.
    """
    if model not in EMBEDDED:
        return model
    if not (WEIGHTS / model).is_dir():
        raise ModelUnavailableError(
            f"{WEIGHTS / model} is missing: the installation of pytest-sdspeed is incomplete,"
            " install it again"
        )
    return str(WEIGHTS / model)
