"""What is computed from small tensors and is large has no values: its memory would be this machine's."""

import pytest
import torch

from pytest_sdspeed.dry.run import count
from pytest_sdspeed.errors import DryRunError

SIZE = 64
WORK = {
    "a comparison of all with all": lambda x: x[:, None] <= x[None, :],
    "a comparison of views that repeat, in torch's other order": lambda x: torch.le(*torch.meshgrid(x, x, indexing="xy")),
    "an outer product": lambda x: torch.outer(x.float(), x.float()),
    "a choice between numbers": lambda x: torch.where(x[None, :] > x[:, None], 0, -float("inf")),
    "repeats": lambda x: x.repeat(SIZE, 1),
    "a tree of tensors": lambda x: torch.cat([x] * SIZE),
    "larger pictures": lambda x: torch.nn.functional.interpolate(x.float().reshape(1, 1, 8, 8), scale_factor=8.0),
    "a row of ones": lambda x: torch.nn.functional.one_hot(x, SIZE),
}


def run(work, values_up_to):
    with torch.no_grad(), count(values_up_to=values_up_to) as ledger:
        found = work(torch.arange(SIZE, device="cuda"))
        return ledger.events, ledger.most_held, found.stride(), found.inner


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_large_result_has_no_values_and_is_written_down_as_if_it_had(work):
    *known, with_values = run(work, None)
    *unknown, without = run(work, SIZE * SIZE - 1)
    assert unknown == known
    assert without.is_meta
    assert not with_values.is_meta
    assert (without.shape, without.dtype) == (with_values.shape, with_values.dtype)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_result_that_is_just_not_too_large_keeps_its_values(work):
    *_, with_values = run(work, None)
    *_, bounded = run(work, SIZE * SIZE)
    assert torch.equal(bounded, with_values)


def test_a_mask_over_all_tokens_of_a_video_takes_no_memory_of_this_machine():
    tokens = 33 * 90 * 160
    with torch.no_grad(), count(values_up_to=2**20) as ledger:
        x = torch.arange(tokens, dtype=torch.int32, device="cuda")
        mask = torch.where(x[None, :] <= x[:, None], 0, -float("inf")).to(torch.bfloat16)
        assert mask.shape == (tokens, tokens)
        assert ledger.held > 2 * tokens**2


def test_code_that_reads_a_large_result_is_named():
    with torch.no_grad(), count(values_up_to=SIZE):
        x = torch.arange(SIZE, device="cuda")
        with pytest.raises(DryRunError, match=r"test_large_values\.py:\d+ needs the value .* no values in this dry run: .*all\(\)"):
            bool((x[:, None] <= x[None, :]).all())


def test_what_is_found_in_small_tensors_is_as_large_as_its_values_say():
    with torch.no_grad(), count(values_up_to=SIZE):
        x = torch.arange(SIZE, device="cuda").reshape(8, 8)
        assert x.nonzero().shape == (SIZE - 1, 2)
        assert x.repeat_interleave(torch.tensor([1, 2] * 4, device="cuda"), dim=0).shape == (12, 8)
