"""What tests of the dry run share: a block in which a GPU is there that only counts, and what it wrote down."""

import sys
from collections import Counter

import pytest
import torch

from pytest_sdspeed.dry.ledger import Operation, Visible
from pytest_sdspeed.dry.run import count


@pytest.fixture
def counted():
    """The ledger of a block around the whole test."""
    with torch.no_grad(), count() as ledger:
        yield ledger


@pytest.fixture
def asked(counted):
    """Return ``asked(work)``: what some work asks of the device, as names of operations and kinds of what the host sees, with how often."""

    def ask(work):
        start = len(counted.events)
        work()
        return Counter(event.name if isinstance(event, Operation) else event.kind for event in counted.events[start:])

    return ask


@pytest.fixture
def places(counted):
    """Return ``places()``: kind and line of everything that the host saw so far."""
    return lambda: [(event.kind, event.caller.line) for event in counted.events if isinstance(event, Visible)]


@pytest.fixture
def here():
    """Return the line that calls it."""
    return lambda: sys._getframe(1).f_lineno
