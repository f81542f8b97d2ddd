"""What the device computes is right, and is written down: operations, casts, FLOPs, bytes, and the memory that is held."""

import gc

import pytest
import torch

from pytest_sdspeed.dry.ledger import Operation
from pytest_sdspeed.dry.run import count
from pytest_sdspeed.errors import DryRunError


@pytest.fixture
def x(counted):
    return torch.arange(12.0, device="cuda").reshape(3, 4)


VIEWS = {
    "view": lambda x: x.view(4, 3),
    "reshape": lambda x: x.reshape(-1),
    "transpose": lambda x: x.transpose(0, 1),
    "t": lambda x: x.t(),
    "permute": lambda x: x.permute(1, 0),
    "expand": lambda x: x[None].expand(5, 3, 4),
    "slice": lambda x: x[1:, ::2],
    "select": lambda x: x[0],
    "unsqueeze": lambda x: x.unsqueeze(0).squeeze(0),
    "chunk": lambda x: x.chunk(2),
    "split": lambda x: x.split(1),
    "unbind": lambda x: x.unbind(),
    "detach": lambda x: x.detach(),
    "flatten": lambda x: x.flatten(),
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "as_strided": lambda x: x.as_strided((2, 2), (1, 1)),
    "diagonal": lambda x: x.diagonal(),
    "movedim": lambda x: x.movedim(0, 1),
    "narrow": lambda x: x.narrow(0, 0, 1),
    "view as another type": lambda x: x.view(torch.int32),
    "real": lambda x: x.real,
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_starts_no_kernel_and_holds_no_memory(asked, counted, x, name):
    held, kept = counted.held, []
    assert asked(lambda: kept.append(VIEWS[name](x))) == {}
    assert counted.held == held


@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.empty(3, device="cuda"),
        torch.empty_like,
        lambda x: x.new_empty(3),
        lambda x: torch.empty_strided((2, 2), (2, 1), device="cuda"),
    ],
)
def test_an_allocation_starts_no_kernel_and_holds_memory(asked, counted, x, make):
    held, kept = counted.held, []
    assert asked(lambda: kept.append(make(x))) == {}
    assert counted.held == held + kept[0].numel() * 4


def test_memory_is_held_as_long_as_a_tensor_or_a_view_of_it_lives(counted):
    assert counted.held == 0
    whole = torch.zeros(256, device="cuda")
    part = whole[3:5]
    assert counted.held == 1024
    del whole
    assert counted.held == 1024
    del part
    assert counted.held == 0
    assert counted.most_held == 1024
    assert torch.cuda.memory_allocated() == 0
    assert torch.cuda.max_memory_allocated() == 1024


def test_memory_in_a_circle_is_held_until_it_is_collected(counted):
    circle = [torch.zeros(256, device="cuda")]
    circle.append(circle)
    del circle
    assert counted.held == 1024
    gc.collect()
    assert counted.held == 0


def test_the_peak_has_what_an_operation_holds_beside_its_results(counted):
    a = torch.zeros(256, device="cuda")
    b = a + 1
    del a
    c = b * 2
    del b, c
    assert counted.most_held == 2048
    assert counted.held == 0


def test_a_new_peak_begins_with_what_is_held(counted):
    kept = torch.zeros(256, device="cuda")
    torch.zeros(1024, device="cuda")
    counted.restart()
    assert counted.held == counted.most_held == 1024
    assert kept.is_cuda


def test_writing_into_a_view_changes_the_whole(x):
    x[0].zero_()
    x[:, 1] += 10
    x[1:, 2:].mul_(2)
    expected = torch.arange(12.0).reshape(3, 4)
    expected[0].zero_()
    expected[:, 1] += 10
    expected[1:, 2:].mul_(2)
    assert x.tolist() == expected.tolist()


def test_what_is_written_into_is_returned_itself(x):
    assert x.add_(1) is x
    assert torch.add(x, x, out=x) is x
    assert x.unsqueeze_(0) is x
    assert x.shape == (1, 3, 4)
    assert x.squeeze_(0).t_().shape == (4, 3)


def test_resizing_and_setting_shapes_in_place_is_seen(x):
    y = torch.empty(0, device="cuda")
    torch.add(x, x, out=y)
    assert y.shape == (3, 4)


CASTS = {
    "half": lambda x: x.half(),
    "to a type": lambda x: x.to(torch.bfloat16),
    "long": lambda x: x.long(),
    "bool": lambda x: x.bool(),
    "type_as": lambda x: x.type_as(torch.empty(1, device="cuda", dtype=torch.float64)),
    "copy_ to another type": lambda x: torch.empty(3, 4, device="cuda", dtype=torch.float16).copy_(x),
    "to like another": lambda x: x.to(torch.empty(1, device="cuda", dtype=torch.float16)),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_cast_is_one_operation_that_is_a_cast(counted, x, name):
    start = len(counted.events)
    CASTS[name](x)
    seen, operation = counted.events[start:]
    assert (seen.kind, operation.cast) == ("cast", True)
    assert seen.caller.file.endswith("test_counting_device.py")


@pytest.mark.parametrize(
    "work",
    [lambda x: x.clone(), lambda x: x.float(), lambda x: x.t().contiguous(), lambda x: x + 1, lambda x: torch.empty_like(x).copy_(x),
     lambda x: x[None, None].to(memory_format=torch.channels_last)],
)  # fmt: skip
def test_a_copy_without_another_type_is_no_cast(counted, x, work):
    start = len(counted.events)
    work(x)
    assert not any(event.cast for event in counted.events[start:] if isinstance(event, Operation))
    assert all(isinstance(event, Operation) for event in counted.events[start:])


def test_autocast_casts_what_it_would_on_a_gpu(counted, x):
    start = len(counted.events)
    with torch.autocast("cuda", dtype=torch.float16):
        assert (x @ x.t()).dtype is torch.float16
        assert torch.softmax(x.half(), -1).dtype is torch.float32
    assert sum(event.cast for event in counted.events[start:] if isinstance(event, Operation)) >= 2


def test_inference_mode_is_counted_alike(counted):
    layer = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU(), torch.nn.LayerNorm(4)).to("cuda")

    def ask():
        start = len(counted.events)
        layer(torch.ones(2, 4, device="cuda"))[:, 0].contiguous()
        return counted.events[start:]

    outside = ask()
    with torch.inference_mode():
        inside = ask()
    assert inside == outside


SIZES = {
    "mm": (lambda: torch.ones(3, 4, device="cuda") @ torch.ones(4, 5, device="cuda"), 2 * 3 * 4 * 5),
    "bmm": (lambda: torch.ones(2, 3, 4, device="cuda") @ torch.ones(2, 4, 5, device="cuda"), 2 * 2 * 3 * 4 * 5),
    "conv2d": (
        lambda: torch.nn.functional.conv2d(torch.ones(1, 2, 8, 8, device="cuda"), torch.ones(3, 2, 3, 3, device="cuda")),
        2 * 36 * 3 * 2 * 9,
    ),
    "conv3d": (
        lambda: torch.nn.functional.conv3d(torch.ones(1, 2, 4, 4, 4, device="cuda"), torch.ones(3, 2, 1, 3, 3, device="cuda")),
        2 * 16 * 3 * 2 * 9,
    ),
    "attention": (
        lambda: torch.nn.functional.scaled_dot_product_attention(*(torch.ones(1, 2, 5, 4, device="cuda"),) * 3),
        4 * 2 * 5 * 5 * 4,
    ),
    "attention of others": (
        lambda: torch.nn.functional.scaled_dot_product_attention(
            torch.ones(1, 2, 5, 4, device="cuda"), torch.ones(1, 2, 7, 4, device="cuda"), torch.ones(1, 2, 7, 4, device="cuda")
        ),
        4 * 2 * 5 * 7 * 4,
    ),
    "sum": (lambda: torch.ones(3, 4, device="cuda").sum(), 0),
}


@pytest.mark.parametrize("name", SIZES)
def test_floating_point_operations(counted, name):
    work, flops = SIZES[name]
    work()
    assert sum(event.flops for event in counted.events) == flops


def test_bytes_are_those_that_are_read_and_written(counted, x):
    start = len(counted.events)
    x + x.half()
    x.fill_(0)
    x[0].clone()
    x[None].expand(8, 3, 4).sum()
    _, cast, added, filled, cloned, summed = counted.events[start:]
    assert cast == Operation("_to_copy", "float16", 0, 48 + 24, cast=True)
    assert added.bytes_moved == 48 + 24 + 48
    assert filled.bytes_moved == 48
    assert cloned.bytes_moved == 32
    assert summed.bytes_moved == 48 + 4


def test_attention_is_one_operation_that_reads_and_writes_once(counted):
    query = torch.randn(1, 2, 5, 4, device="cuda")
    start = len(counted.events)
    found = torch.nn.functional.scaled_dot_product_attention(query, query, query)
    (attention,) = counted.events[start:]
    assert attention.name == "scaled_dot_product_attention"
    assert attention.bytes_moved == 4 * query.numel() * 4
    inside = query.cpu()
    expected = torch.nn.functional.scaled_dot_product_attention(inside, inside, inside)
    assert torch.allclose(found.cpu(), expected, atol=1e-6)


def test_attention_with_grouped_heads_and_masks(counted):
    query, key = torch.randn(1, 4, 5, 8, device="cuda"), torch.randn(1, 2, 5, 8, device="cuda")
    attend = torch.nn.functional.scaled_dot_product_attention
    assert attend(query, key, key, enable_gqa=True).shape == query.shape
    assert attend(query, query, query, is_causal=True).shape == query.shape
    assert attend(query, query, query, attn_mask=torch.ones(5, 5, device="cuda").bool()).shape == query.shape
    assert attend(query[0, 0], query[0, 0], query[0, 0]).shape == (5, 8)


# Without values.


@pytest.fixture
def large():
    """A block in which tensors of more than ten elements have no values."""
    with torch.no_grad(), count(values_up_to=10) as ledger:
        yield ledger


def test_small_tensors_have_values_and_large_ones_do_not(large):
    assert torch.ones(10, device="cuda").sum().item() == 10
    line = "test_counting_device.py"
    with pytest.raises(DryRunError, match=line):
        torch.ones(11, device="cuda").sum().item()


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.max() > 0),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.tolist(),
        torch.unique,
        lambda x: [1, 2][x[0].long()],
        lambda x: torch.arange(x[0]),
    ],
)
def test_a_decision_on_a_value_that_is_not_known_names_its_line(large, ask):
    x = torch.ones(20, device="cuda")
    with pytest.raises(DryRunError) as raised:
        ask(x)
    assert "test_counting_device.py:" in str(raised.value)
    assert "x" in str(raised.value)


def test_what_is_computed_from_the_unknown_is_unknown_and_the_rest_is_not(large):
    known, unknown = torch.ones(4, device="cuda"), torch.ones(12, device="cuda")
    mixed = known + unknown.reshape(3, 4)
    assert mixed.shape == (3, 4)
    with pytest.raises(DryRunError):
        mixed[0, 0].item()
    assert known.sum().item() == 4


def test_writing_the_unknown_into_the_known_makes_all_its_views_unknown(large):
    known = torch.ones(4, device="cuda")
    view = known[1:]
    known.copy_(torch.ones(12, device="cuda")[:4])
    for one in (known, view):
        with pytest.raises(DryRunError):
            one.sum().item()
    assert known.shape == (4,)
    assert view.shape == (3,)


def test_the_unknown_is_copied_to_the_host_and_is_unknown_there(large):
    found = torch.ones(20, device="cuda").cpu()
    assert found.device.type == "cpu"
    assert (found + 1).shape == (20,)
    with pytest.raises(DryRunError, match="test_counting_device"):
        found.sum().item()
    with pytest.raises(DryRunError, match=r"test_counting_device.*needs the values"):
        found.numpy()
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        torch.ones(2, device="cuda").numpy()
    assert torch.ones(2, device="cuda").cpu().numpy().tolist() == [1, 1]
    with pytest.raises(DryRunError):
        torch.ones(20).copy_(torch.ones(20, device="cuda"))


def test_the_same_work_is_written_down_alike_with_values_and_without():
    def work():
        layer = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.GroupNorm(2, 4), torch.nn.SiLU(), torch.nn.Conv2d(4, 2, 1)).to(
            "cuda"
        )
        x = torch.ones(1, 2, 8, 8, device="cuda")
        for _ in range(3):
            y = layer(x)
            y = (y.float() * 0.5 + y.mean()).half().float()
            z = torch.cat([y, y]).chunk(2)[0].softmax(-1)
        return z

    found = []
    for values_up_to in (None, 0):
        with torch.no_grad(), count(values_up_to=values_up_to) as ledger:
            work()
        found.append((ledger.events, ledger.most_held, ledger.held))
    assert found[0] == found[1]


def test_a_number_that_differs_in_type_alone_is_not_taken_for_the_other(large):
    x = torch.ones(12, device="cuda", dtype=torch.long)
    assert (x + 1).dtype is torch.int64
    assert (x + 1.0).dtype is torch.float32
    assert (x * True).dtype is torch.int64
