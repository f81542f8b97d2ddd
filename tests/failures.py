"""What a run inside says of each of its tests, so that one run may have many of them."""

from __future__ import annotations

import pytest


def failures(result):
    """Return the failed tests of an in-process run: name -> all that pytest shows of the failure."""
    return {report.nodeid.rpartition("::")[2]: report.longreprtext for report in result.reprec.getfailures()}


def match_failures(result, patterns):
    """Assert that exactly these tests failed, each with a line of its own pattern.

    Args:
        result: of an in-process run.
        patterns: name of the test -> pattern of ``fnmatch``.
    """
    found = failures(result)
    assert found.keys() == patterns.keys()
    for name, pattern in patterns.items():
        pytest.LineMatcher(found[name].splitlines()).fnmatch_lines([pattern])
