"""Silence inside the block, and everything restored after it."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import nullcontext

import pytest

from pytest_sdspeed.device.quiet import overhear, quiet

LIBRARIES = ("diffusers", "transformers", "torch", "huggingface_hub")


@pytest.fixture
def levels(monkeypatch):
    for name, level in zip(LIBRARIES, (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL), strict=True):
        monkeypatch.setattr(logging.getLogger(name), "level", level)
    return lambda: [logging.getLogger(name).level for name in LIBRARIES]


def test_levels_inside_and_after(levels):
    before = levels()
    with quiet():
        assert levels() == [logging.ERROR] * 3 + [logging.CRITICAL]
    assert levels() == before


def test_levels_and_filters_after_an_exception(levels):
    before, filters = levels(), list(warnings.filters)
    with pytest.raises(ValueError, match="planted"), quiet():
        raise ValueError("planted")
    assert levels() == before
    assert warnings.filters == filters


def test_warnings_are_held_back_inside_only():
    with quiet():
        warnings.warn("inside", UserWarning, stacklevel=1)
    with pytest.raises(UserWarning, match="outside"):
        warnings.warn("outside", UserWarning, stacklevel=1)


def test_quiet_inside_quiet(levels):
    with quiet(logging.CRITICAL):
        with quiet():
            assert levels() == [logging.CRITICAL] * 4
        assert levels() == [logging.CRITICAL] * 4
    assert levels() == [logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL]


def test_other_log_lines_pass(caplog):
    with quiet(), caplog.at_level(logging.INFO, "users"):
        logging.getLogger("users").info("heard")
        logging.getLogger("transformers.models").warning("not heard")
    assert "not heard" not in caplog.text
    assert "heard" in caplog.text


@pytest.mark.parametrize("value", [None, "info"])
def test_verbosity_variables_are_put_back(value, monkeypatch):
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    if value:
        monkeypatch.setenv("TRANSFORMERS_VERBOSITY", value)
    with quiet():
        assert os.environ["TRANSFORMERS_VERBOSITY"] == "error"
    assert os.environ.get("TRANSFORMERS_VERBOSITY") == value
    with pytest.raises(ValueError, match="planted"), quiet():
        raise ValueError("planted")
    assert os.environ.get("TRANSFORMERS_VERBOSITY") == value


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_overheard_is_printed_nowhere_and_loggers_are_as_they_were(fails, levels, capfd):
    library, disabled, before = logging.getLogger("transformers"), logging.root.manager.disable, levels()
    handlers, propagate = list(library.handlers), library.propagate
    logging.disable(logging.ERROR)
    try:
        with pytest.raises(ValueError, match="planted") if fails else nullcontext(), overhear() as said:
            logging.getLogger("transformers.models").warning("drawn %s", "anew")
            logging.getLogger("diffusers.models").error("and lost")
            logging.getLogger("transformers.models").info("not heard")
            if fails:
                raise ValueError("planted")
        assert said == ["drawn anew", "and lost"]
        assert logging.root.manager.disable == logging.ERROR
        assert (levels(), library.handlers, library.propagate) == (before, handlers, propagate)
    finally:
        logging.disable(disabled)
    assert capfd.readouterr() == ("", "")
