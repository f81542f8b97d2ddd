"""Which bounds on pictures hold in a rehearsal."""

from types import SimpleNamespace

import pytest

from pytest_sdspeed.model import ImageGate
from pytest_sdspeed.run.pictures import _find_gate

BOUNDS = ImageGate(psnr=25)


def case(relation, *, shrunk):
    setup = None if relation is None else SimpleNamespace(relation=relation)
    return SimpleNamespace(candidate=SimpleNamespace(setup=setup), criteria=SimpleNamespace(image=BOUNDS), is_shrunk=shrunk)


def test_an_approximation_is_not_held_at_toy_size_to_what_is_documented_for_more_steps():
    assert _find_gate(case("approximation", shrunk=True)) is None


@pytest.mark.parametrize(
    ("relation", "shrunk"),
    [("same_weights", True), ("other_autoencoder", True), (None, False), ("approximation", False), ("same_weights", False)],
)
def test_every_other_row_is_held_to_its_bounds(relation, shrunk):
    assert _find_gate(case(relation, shrunk=shrunk)) is BOUNDS
