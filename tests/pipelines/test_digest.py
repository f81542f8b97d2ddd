"""A digest sees every change of a tensor's bytes, whatever its type and layout."""

from __future__ import annotations

import pytest
import torch

from pytest_sdspeed.pipelines.digest import digest_all

TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]


def made(dtype, shape):
    return (10 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (600, 700), (2, 8, 200, 150)])
def test_equal_bytes_have_equal_digests(dtype, shape):
    first, second = made(dtype, shape), made(dtype, shape)
    assert digest_all([first]) == digest_all([second])
    assert digest_all([first])[0] is not None


@pytest.mark.parametrize("shape", [(7,), (600, 700)])
@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_value_is_seen(shape, place):
    before = made(torch.float16, shape)
    after = before.clone()
    after.view(-1)[place] += 1
    assert digest_all([before]) != digest_all([after])


@pytest.mark.parametrize("axis", [0, 1])
def test_exchanged_values_are_seen(axis):
    before = made(torch.float32, (1024, 512))
    assert digest_all([before]) != digest_all([before.flip(axis)])


def test_views_of_other_strides_and_offsets_are_read_as_they_are():
    base = made(torch.float16, (4, 8, 200, 150))
    last = base.to(memory_format=torch.channels_last)
    assert digest_all([last]) == digest_all([last.clone()])
    odd = made(torch.float16, (700_001,))[1:]
    assert digest_all([odd]) == digest_all([odd.clone()])
    assert digest_all([base[:, ::2]]) == digest_all([base[:, ::2].clone()])


def test_tensors_without_bytes_have_none():
    assert digest_all([torch.empty(3, device="meta"), torch.zeros(3).to_sparse(), torch.zeros(2)])[:2] == [None, None]
