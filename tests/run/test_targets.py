"""A callable is done when what it returns is there."""

import types

from pytest_sdspeed.run.targets import targets_of


def test_an_array_that_is_still_computed_is_waited_for_inside_of_the_slot():
    order = []
    late = types.SimpleNamespace(block_until_ready=lambda: order.append("waited") or "array")

    def dispatch():
        order.append("dispatched")
        return late

    candidate, _ = targets_of(dispatch, None)
    assert candidate.arm(None).generate(None) == "array"
    assert order == ["dispatched", "waited"]
