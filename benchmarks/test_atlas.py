"""The built-in tables without a file of their own: every row of each against its baseline.

``test_NAME[SETUP]`` is the test of a row of the table NAME, ``test_claims_of_NAME[CLAIM]`` that of
what its source claims. The tables are known by the names of their files, so that one which is added
needs nothing here.
"""

from pathlib import Path

import pytest

from pytest_sdspeed.tables import list_builtin_files, list_builtin_names

GOALS = "fastest"
"""The table that nobody published: its figures are goals."""
OWN = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}


def make_test(table):
    """Make the test of a table."""

    @pytest.mark.sd_latency(table=table)
    def test(request, sd_latency, sd_setup) -> None:
        config = request.config
        if table == GOALS and (config.getoption("sd_gpu") or config.getini("sdspeed_gpu")):
            pytest.skip(
                "a goal, which no page documents: run pytest benchmarks/gpu/fastest.py --sd-gpu"
            )
        sd_latency(sd_setup)

    test.__name__ = test.__qualname__ = f"test_{table}"
    return test


globals().update(
    {f"test_{name}": make_test(name) for name in list_builtin_names() if name not in OWN}
)


def make_claims_test(table):
    """Make the test of what the source of a table claims."""

    @pytest.mark.sd_latency(table=table)
    def test(sd_claim) -> None:
        sd_claim()

    test.__name__ = test.__qualname__ = f"test_claims_of_{table}"
    return test


globals().update(
    {
        f"test_claims_of_{file.stem}": make_claims_test(file.stem)
        for file in list_builtin_files()
        # No file is parsed for it.
        if file.stem not in OWN and "\n[[claims]]" in file.read_text(encoding="utf-8")
    }
)
