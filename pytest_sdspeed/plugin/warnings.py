"""Warnings of tests that pass; apart, since pytest imports what its warning filters name."""

from __future__ import annotations

import pytest


class InconclusiveWarning(pytest.PytestWarning):
    """A verdict stayed inconclusive, and ``--sd-inconclusive=warn`` lets the test pass."""


class SlowerWarning(pytest.PytestWarning):
    """A row has become slower than in the stored runs, and ``--sd-history=warn`` lets it pass."""
