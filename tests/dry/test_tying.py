"""Weights that modules share are one on the counting device, too."""

import pytest
import torch

from pytest_sdspeed.dry.run import count


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = torch.nn.Embedding(10, 4)
        self.inner = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 10, bias=False))
        self.inner[0].weight = self.shared.weight
        self.inner[1].weight = self.shared.weight
        self.own = torch.nn.Linear(4, 4, bias=False)


@pytest.mark.parametrize(
    "convert", [lambda module: module.to("cuda"), lambda module: module.cuda(), lambda module: module.to("cuda").half()]
)
def test_tied_weights_stay_one(convert):
    with count() as ledger:
        module = convert(Tied())
        assert module.inner[0].weight is module.shared.weight is module.inner[1].weight
        assert module.own.weight is not module.shared.weight
        assert len([*module.parameters()]) == 2
        size = module.own.weight.element_size()
        assert ledger.held == (10 * 4 + 4 * 4) * size


def test_a_part_alone_moves_as_ever():
    with count():
        module = Tied()
        moved = module.own.to("cuda")
        assert moved.weight.device.type == "cuda"
        assert module.shared.weight.device.type == "cpu"


def test_modules_convert_as_before_after_a_dry_run():
    before = torch.nn.Module._apply
    with count():
        assert torch.nn.Module._apply is not before
    assert torch.nn.Module._apply is before
    module = Tied().half()
    assert module.inner[0].weight is module.shared.weight
