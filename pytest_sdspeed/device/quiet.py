"""Silence for what a user of the gate can do nothing about."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGGERS = ("diffusers", "transformers", "torch", "huggingface_hub")
# These set their logger's level when they are first imported, by this variable where it is set.
_VERBOSITY = {"diffusers": "DIFFUSERS_VERBOSITY", "transformers": "TRANSFORMERS_VERBOSITY"}


@contextmanager
def quiet(level: int = logging.ERROR) -> Iterator[None]:
    """Hold back warnings and log lines of torch, diffusers and transformers, and no others' log lines.

    Warnings are filtered as a whole: importing and building must work under ``-W error`` too.

    Args:
        level: log lines below it are held back.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings(), _quiet_imports():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(max(level, logger.level))
        try:
            yield
        finally:
            for logger, old in zip(loggers, before, strict=True):
                logger.setLevel(old)


@contextmanager
def _quiet_imports() -> Iterator[None]:
    before = {variable: os.environ.get(variable) for library, variable in _VERBOSITY.items() if library not in sys.modules}
    os.environ.update(dict.fromkeys(before, "error"))
    try:
        yield
    finally:
        for variable, old in before.items():
            if old is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = old
