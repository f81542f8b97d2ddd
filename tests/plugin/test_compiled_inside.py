"""A run inside may be the first that compiles: this process compiles after it, too."""

import torch

COMPILES = """
import torch

def test_it():
    assert torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)) == 1
"""


def test_what_a_run_inside_imported_of_torch_stays(pytester):
    pytester.makepyfile(COMPILES)
    for _ in range(2):
        pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default").assert_outcomes(passed=1)
        assert torch.compile(lambda x: x + 2, backend="eager")(torch.zeros(1)) == 2
