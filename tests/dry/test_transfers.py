"""Every way to make the host wait, and every copy between host and device, is counted with its line."""

import copy
import threading

import numpy as np
import pytest
import torch

from pytest_sdspeed.dry.ledger import Visible
from pytest_sdspeed.dry.tensors import DEVICE, HOST, CountedTensor

SYNC, UP, DOWN = "host_sync", "host_to_device", "device_to_host"


@pytest.fixture
def x(counted):
    return torch.arange(6.0, device="cuda").reshape(2, 3)


WAITS = {
    "item": lambda x: x[0, 0].item(),
    "bool": lambda x: bool(x[0, 0] > 0),
    "if": lambda x: 1 if x[0, 0] > 0 else 2,
    "int": lambda x: int(x[0, 0]),
    "float": lambda x: float(x[0, 0]),
    "complex": lambda x: complex(x[0, 0]),
    "a number in a format": lambda x: f"{x[0, 0]:.2f}",
    "tolist": lambda x: x.tolist(),
    "tolist of a number": lambda x: x[0, 0].tolist(),
    "printing": str,
    "repr": repr,
    "nonzero": lambda x: x.nonzero(),
    "nonzero as a tuple": lambda x: torch.nonzero(x, as_tuple=True),
    "argwhere": torch.argwhere,
    "where of one argument": lambda x: torch.where(x > 2),
    "masked_select": lambda x: torch.masked_select(x, x > 2),
    "unique": torch.unique,
    "unique with counts": lambda x: torch.unique(x, return_counts=True),
    "unique_consecutive": torch.unique_consecutive,
    "a mask as an index": lambda x: x[x > 2],
    "writing where a mask is": lambda x: x.__setitem__(x > 2, torch.ones(3, device="cuda")),
    "repeat_interleave without a size": lambda x: torch.repeat_interleave(x, torch.ones(2, device="cuda", dtype=torch.long), 0),
    "a number of the device where a mask is": lambda x: x.__setitem__(x > 2, torch.zeros((), device="cuda")),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "a list's index": lambda x: [7, 8][x[0, 1].long()],
    "range": lambda x: range(x[0, 2].long()),
    "any": lambda x: any(x[0] > 1),
    "in": lambda x: x[0, 0] in (3.0, 4.0),
    "max of Python": lambda x: max(x[0, 0], x[0, 1]),
    "synchronize": lambda _x: torch.cuda.synchronize(),
    "a stream's synchronize": lambda _x: torch.cuda.current_stream().synchronize(),
    "an event's synchronize": lambda _x: torch.cuda.Event().synchronize(),
    "a tensor of tensors": lambda x: torch.tensor([x[0, 0]]),
    "math.cos": lambda x: __import__("math").cos(x[0, 0]),
    "clamp by Python's number of a tensor": lambda x: x.clamp(min=x[0, 1].item()),
    "a slice by a tensor": lambda x: [1, 2, 3][: x[0, 1].long()],
    "arange to a tensor": lambda x: torch.arange(x[0, 2]),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_host_waits(asked, x, name):
    assert asked(lambda: WAITS[name](x))[SYNC] >= 1


@pytest.mark.parametrize("name", ["item", "bool", "tolist", "nonzero", "masked_select", "a mask as an index", "printing", "equal", "int"])
def test_it_waits_once(asked, x, name):
    seen = asked(lambda: WAITS[name](x))
    assert seen[SYNC] == 1
    assert not seen[UP]
    assert not seen[DOWN]


def test_what_is_asked_for_is_told_by_its_line(x, places, here):
    line = here() + 1
    x[0, 0].item()
    bool(x[0, 0] > 1)
    x.cpu()
    torch.ones(2).to("cuda")
    assert places()[-5:] == [(SYNC, line), (SYNC, line + 1), (DOWN, line + 2), (SYNC, line + 2), (UP, line + 3)]


def test_a_statement_of_several_lines_is_told_by_the_line_that_runs(x, places, here):
    line = here()
    _both = (
        x.sum(),
        x.sum().item(),
    )
    assert places()[-1] == (SYNC, line + 3)


def test_a_line_inside_a_library_is_that_librarys(counted, x, tmp_path, monkeypatch):
    (tmp_path / "src" / "somebody").mkdir(parents=True)
    (tmp_path / "src" / "somebody" / "work.py").write_text("def decide(x):\n    # wait\n    return x.max().item()\n")
    monkeypatch.syspath_prepend(tmp_path / "src")
    import somebody.work

    somebody.work.decide(x)
    caller = counted.events[-1].caller
    assert (caller.file, caller.line, caller.code) == ("somebody/work.py", 3, "return x.max().item()")


NO_WAIT = {
    "arithmetic": lambda x: (x + 1) * x / 2 - x**2,
    "matmul": lambda x: x @ x.t(),
    "where": lambda x: torch.where(x > 2, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x > 2, 0.0),
    "a number where a mask is": lambda x: x.__setitem__(x > 2, 0.0),
    "an index by a device tensor": lambda x: x[torch.zeros(2, device="cuda", dtype=torch.long)],
    "an index by a number": lambda x: x[1],
    "a slice": lambda x: x[:, 1:],
    "max": lambda x: x.max(),
    "argmax": lambda x: x.argmax(),
    "sort": lambda x: x.sort(),
    "topk": lambda x: x.topk(2),
    "shape": lambda x: (x.shape, x.dtype, x.device, len(x), x.is_contiguous(), x.numel(), x.dim(), x.stride(), x.is_floating_point()),
    "repeat_interleave by a number": lambda x: x.repeat_interleave(2, 0),
    "repeat_interleave with a size": lambda x: torch.repeat_interleave(x, torch.ones(2, device="cuda", dtype=torch.long), 0, output_size=2),
    "randn": lambda _x: torch.randn(2, device="cuda"),
    "a test for None": lambda x: x is None,
    "unbind": lambda x: [one + 1 for one in x],
    "one_hot with its number of classes": lambda x: torch.zeros(2, 3, device="cuda").scatter_(1, x[:, :1].long() * 0, 1.0),
    "empty_cache": lambda _x: torch.cuda.empty_cache(),
}


@pytest.mark.parametrize("name", NO_WAIT)
def test_the_host_does_not_wait(asked, x, name):
    seen = asked(lambda: NO_WAIT[name](x))
    assert not {SYNC, UP, DOWN} & {kind for kind, count in seen.items() if count}


COPIES_UP = {
    "to": lambda: torch.ones(2).to("cuda"),
    "to a numbered one": lambda: torch.ones(2).to("cuda:0"),
    "to an index": lambda: torch.ones(2).to(0),
    "to a torch.device": lambda: torch.ones(2).to(torch.device("cuda")),
    "to by name": lambda: torch.ones(2).to(device="cuda", dtype=torch.float16),
    "to, without waiting": lambda: torch.ones(2).to("cuda", non_blocking=True),
    "to like another": lambda: torch.ones(2).to(torch.empty(1, device="cuda")),
    "type_as": lambda: torch.ones(2).type_as(torch.empty(1, device="cuda")),
    "cuda": lambda: torch.ones(2).cuda(),
    "tensor": lambda: torch.tensor([1.0, 2.0], device="cuda"),
    "tensor of numpy": lambda: torch.tensor(np.ones(2), device="cuda"),
    "as_tensor": lambda: torch.as_tensor([1.0, 2.0], device="cuda"),
    "from_numpy": lambda: torch.from_numpy(np.ones(2)).to("cuda"),
    "new_tensor": lambda: torch.empty(1, device="cuda").new_tensor([1.0]),
    "copy_": lambda: torch.empty(2, device="cuda").copy_(torch.ones(2)),
    "an index of the host": lambda: torch.empty(2, device="cuda")[torch.tensor([0])],
    "a list as an index": lambda: torch.empty(2, device="cuda")[[0, 1]],
    "a list of truths as an index": lambda: torch.empty(2, device="cuda")[[True, False]],
    "an array as an index": lambda: torch.empty(2, device="cuda")[np.array([0, 1])],
    "a number of the host at indices": lambda: torch.empty(2, device="cuda").__setitem__(
        torch.zeros(1, dtype=torch.long, device="cuda"), 0.0
    ),
    "a pinned tensor": lambda: torch.ones(2).pin_memory().to("cuda", non_blocking=True),
    "a module's parameter": lambda: torch.nn.Linear(2, 2, bias=False).to("cuda"),
}


@pytest.mark.parametrize("name", COPIES_UP)
def test_a_copy_from_the_host_is_one_copy(asked, counted, name):
    seen = asked(COPIES_UP[name])
    assert seen[UP] == 1
    assert not seen[SYNC]
    assert not seen[DOWN]


COPIES_DOWN = {
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "numpy": lambda x: x.cpu().numpy(),
    "copy_": lambda x: torch.empty(2, 3).copy_(x),
    "a host tensor by a device index": lambda x: torch.ones(4)[x[0].long()],
}


@pytest.mark.parametrize("name", COPIES_DOWN)
def test_a_copy_to_the_host_is_waited_for(asked, x, name):
    seen = asked(lambda: COPIES_DOWN[name](x))
    assert (seen[DOWN], seen[SYNC], seen[UP]) == (1, 1, 0)


def test_a_copy_to_the_host_that_is_told_not_to_wait_does_not(asked, x):
    assert asked(lambda: x.to("cpu", non_blocking=True)) == {DOWN: 1}
    assert asked(lambda: torch.empty(2, 3).copy_(x, non_blocking=True)) == {DOWN: 1}


def test_values_come_back_as_they_were(x):
    assert x.cpu().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x[1, 2].item() == 5
    assert x.cpu().numpy().sum() == 15
    assert torch.tensor([x[0, 1], x[0, 2]]).tolist() == [1, 2]
    assert torch.ones(4)[x[0].long()].tolist() == [1, 1, 1]
    assert str(x[0, 1]) == str(x[0, 1])
    assert "5.0" in repr(x)


def test_what_is_on_its_side_already_is_not_copied(asked, x):
    assert asked(lambda: (x.to("cuda"), x.cuda(), x.to(x.device), torch.as_tensor(x), x.contiguous(), x.float())) == {}
    assert asked(lambda: (torch.ones(2).to("cpu"), torch.ones(2).cpu())) == {}


def test_a_cast_on_the_way_to_the_host_is_the_devices(asked, x):
    assert asked(lambda: x.to("cpu", torch.float16)) == {"_to_copy": 1, "cast": 1, DOWN: 1, SYNC: 1}


REFUSED = {
    "a sum": lambda x, host: x + host,
    "the other way around": lambda x, host: host + x,
    "a product of matrices": lambda x, host: x @ host.t(),
    "cat": lambda x, host: torch.cat([x, host]),
    "stack": lambda x, host: torch.stack([host, x]),
    "where": lambda x, host: torch.where(x > 1, x, host),
    "in place": lambda x, host: x.add_(host),
    "into the host": lambda x, host: host.add_(x),
    "linear": torch.nn.functional.linear,
    "attention": lambda x, host: torch.nn.functional.scaled_dot_product_attention(x[None], host[None], host[None]),
    "a norm": lambda x, host: torch.nn.functional.layer_norm(x, (3,), host[0]),
    "an index of a mask of the host of another shape": lambda x, host: x[torch.ones(5).bool()],
    "numpy without cpu": lambda x, _host: x.numpy(),
    "np.asarray": lambda x, _host: np.asarray(x),
    "a module on the host": lambda x, _host: torch.nn.Linear(3, 3)(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_gpu_refuses_is_refused(x, name):
    with pytest.raises((RuntimeError, TypeError, IndexError)):
        REFUSED[name](x, torch.ones(2, 3))


def test_a_single_number_of_the_host_may_take_part(asked, x):
    assert asked(lambda: x * torch.tensor(2.0)) == {"mul": 1}
    assert (x * torch.tensor(2.0)).cpu()[1, 2] == 10


def test_a_device_that_is_not_there_is_refused(counted):
    for work in (lambda: torch.empty(2, device="cuda:1"), lambda: torch.ones(2).to("cuda:3"), lambda: torch.ones(2).cuda(1)):
        with pytest.raises(RuntimeError, match="ordinal"):
            work()


def test_generators_belong_to_a_device(counted):
    ours = torch.Generator("cuda").manual_seed(3)
    assert ours.device.type == "cuda"
    assert isinstance(ours, torch.Generator)
    assert torch.Generator().device.type == "cpu"
    first = torch.randn(3, generator=ours, device="cuda")
    again = torch.randn(3, generator=torch.Generator("cuda").manual_seed(3), device="cuda")
    assert first.tolist() == again.tolist()
    for generator, device in (("cpu", "cuda"), ("cuda", "cpu")):
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, generator=torch.Generator(generator), device=device)
    with pytest.raises(RuntimeError, match="generator"):
        torch.empty(3, device="cuda").normal_(generator=torch.Generator("cpu"))


def test_a_default_device_makes_tensors_there(asked, counted):
    with torch.device("cuda"):
        assert asked(lambda: torch.zeros(2)) == {"zeros": 1}
        assert torch.zeros(2).is_cuda
        assert torch.nn.Linear(2, 2).weight.is_cuda
        assert torch.tensor([1.0]).is_cuda
    assert not torch.zeros(2).is_cuda


def test_a_thread_is_counted_too(counted, x, here):
    lines = []

    def work():
        lines.append(here() + 1)
        (x + x).sum().item()

    start = len(counted.events)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    seen = [event for event in counted.events[start:] if isinstance(event, Visible)]
    assert [(one.kind, one.caller.line) for one in seen] == [(SYNC, lines[0])]


def test_a_copy_of_a_module_stays_on_the_device(asked, counted):
    module = torch.nn.Linear(2, 2).to("cuda")
    copied = copy.deepcopy(module)
    assert copied.weight.is_cuda
    assert copied.weight is not module.weight
    assert isinstance(copied.weight, torch.nn.Parameter)


def test_a_module_goes_there_and_back(counted):
    module = torch.nn.Linear(2, 3)
    before = module.weight.tolist()
    module.to("cuda")
    assert module.weight.is_cuda
    assert isinstance(module.weight, torch.nn.Parameter)
    module.half()
    assert module.weight.dtype is torch.float16
    module.float().to("cpu")
    assert type(module.weight.data) is torch.Tensor
    assert torch.allclose(module.weight, torch.tensor(before), atol=1e-3)


def test_new_memory_for_a_parameter_moves_it(counted):
    module = torch.nn.Linear(2, 2).to("cuda")
    weight = module.weight
    weight.data = torch.zeros(2, 2)
    assert not module.weight.is_cuda
    assert module.weight is weight
    weight.data = torch.ones(2, 2, device="cuda")
    assert module.weight.is_cuda
    assert module.weight.sum().item() == 4


def test_a_weight_of_the_host_without_values_stays_a_parameter_on_the_meta_device(counted):
    """As accelerate does, which replaces each weight by one of its class; SDXL casts its decoder as a whole later."""
    layer = torch.nn.Linear(3, 4, bias=False)
    layer.weight = torch.nn.Parameter(CountedTensor(torch.empty(4, 3, device="meta"), HOST), requires_grad=False)
    for weight in (layer.weight.to("meta"), layer.weight.to(device="meta", dtype=torch.float32)):
        assert weight is layer.weight
    layer._parameters["weight"] = type(layer.weight)(layer.weight.data, requires_grad=False).to("meta")
    layer.to(torch.float64)
    assert layer.weight.dtype == torch.float64
    assert isinstance(layer.weight, torch.nn.Parameter)
    assert layer.weight.to("meta", torch.float32).dtype == torch.float32
    assert layer.weight.to("meta", copy=True) is not layer.weight
    assert layer.weight.to("cuda").device == DEVICE
