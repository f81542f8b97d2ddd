"""Check that all tests that failed were measured: ``python benchmarks/gpu/verdicts.py JUNIT.xml``.

A verdict is a result: exit code 0 if every test that failed has one. A test that failed without one
is named; exit code 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def broken(page: str) -> list[str]:
    """List the names of the tests that failed, or could not be set up, without a verdict.

    Args:
        page: text of a JUnit file.
    """
    cases = ET.fromstring(page).iter("testcase")  # noqa: S314 - this project's own run wrote it
    failed = [
        case for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    return [
        case.get("name", "")
        for case in failed
        if case.find("properties/property[@name='sdspeed_verdict']") is None
    ]


if __name__ == "__main__":
    names = broken(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name in names:
        print(f"failed without a verdict: {name}")
    sys.exit(1 if names else 0)
