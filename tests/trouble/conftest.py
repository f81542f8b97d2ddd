"""What setups share and change is tried with the smallest models: of their pictures it counts only whether they are the same."""

import pytest


@pytest.fixture(scope="session")
def make(make_small):
    return make_small


@pytest.fixture(scope="session")
def drawn(make):
    """Draw the baseline's pictures at seed 0."""
    return make().generate(0)
