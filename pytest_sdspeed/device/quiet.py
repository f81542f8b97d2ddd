"""Silence about what a user of the gate cannot change."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGGERS = (
    "diffusers",
    "transformers",
    "torch",
    "huggingface_hub",
    "accelerate",
    "peft",
    "torchao",
)
_VERBOSITY = {"diffusers": "DIFFUSERS_VERBOSITY", "transformers": "TRANSFORMERS_VERBOSITY"}
"""Library -> the variable that sets its logger's level when it is first imported."""


@contextmanager
def quiet(level: int = logging.ERROR) -> Iterator[None]:
    """Hide all warnings, and the log lines of torch, diffusers and what they import.

    Importing and building must work under ``-W error`` too.

    Args:
        level: level below which log lines are hidden.
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
def overhear() -> Iterator[list[str]]:
    """Hide all warnings and log lines of diffusers and transformers, and hear the latter.

    They are heard even if the process logs errors only, or nothing.

    Yields:
        What the libraries said, from warnings up; it fills while the block runs.
    """
    said: list[str] = []
    loggers = [logging.getLogger(name) for name in _VERBOSITY]
    before = [(logger.level, logger.handlers, logger.propagate) for logger in loggers]
    disabled = logging.root.manager.disable
    with quiet(logging.CRITICAL):
        for logger in loggers:
            logger.setLevel(logging.WARNING)
            logger.handlers, logger.propagate = [_Listener(said)], False
        logging.disable(logging.NOTSET)
        try:
            yield said
        finally:
            logging.disable(disabled)
            for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
                logger.setLevel(level)
                logger.handlers, logger.propagate = handlers, propagate


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is said."""
        self._said.append(record.getMessage())


@contextmanager
def hide_progress_bars(*libraries: Any) -> Iterator[None]:
    """Hide the progress bars of libraries, and show again those that were shown before.

    Args:
        libraries: the modules ``utils.logging`` of diffusers or transformers.
    """
    shown = [library for library in libraries if library.is_progress_bar_enabled()]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


@contextmanager
def _quiet_imports() -> Iterator[None]:
    before = {
        variable: os.environ.get(variable)
        for library, variable in _VERBOSITY.items()
        if library not in sys.modules
    }
    os.environ.update(dict.fromkeys(before, "error"))
    try:
        yield
    finally:
        for variable, old in before.items():
            if old is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = old
