"""Silence for what a user of the gate can do nothing about."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("diffusers", "transformers", "torch", "huggingface_hub")


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings and log lines below ERROR of torch, diffusers and transformers, and no others' log lines.

    Warnings are filtered as a whole: importing and building must work under ``-W error`` too.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
