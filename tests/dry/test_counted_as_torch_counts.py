"""FLOPs are those of torch's counter, operations those of its profiler on the CPU, memory that of its allocator."""

from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from since import needs
from torch.utils.flop_counter import FlopCounterMode
from toy_accounts import count_toy
from toy_pipelines import PIPELINES

from pytest_sdspeed.dry import operations
from pytest_sdspeed.dry.ledger import Operation
from pytest_sdspeed.dry.run import count

# Schedulers hand tensors to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::UserWarning:torch.profiler")
ARCHITECTURES = ("stable_diffusion", "sdxl", "stable_diffusion_3", "flux", "cogvideox", "wan", "ltx")
STEPS = 2


def run_on_cpu(name, around):
    """Call a toy pipeline on the CPU inside of a context, which is returned."""
    torch.manual_seed(0)
    pipeline, call = PIPELINES[name]()
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    with torch.no_grad(), around:
        pipeline(generator=torch.Generator("cpu").manual_seed(0), num_inference_steps=STEPS, **call)
    return around


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_flops_of_a_pipeline_equal_those_of_torchs_counter(name):
    # Torch's counter knows no fused attention of the CPU.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        counter = run_on_cpu(name, FlopCounterMode(display=False))
    assert count_toy(name, STEPS).flops == counter.get_total_flops() > 0


def test_flops_of_a_decoder_equal_those_of_torchs_counter():
    pipeline, _call = PIPELINES["flux"]()
    math = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with torch.no_grad(), math, FlopCounterMode(display=False) as counter:
        pipeline.vae.eval().decode(torch.zeros(1, 4, 8, 8))
    assert count_toy("flux", STEPS).stages["decoding"].flops == counter.get_total_flops() > 0


# Composite for torch, one kernel on a GPU: operation -> as what it is written down.
ONE_KERNEL = {"scaled_dot_product_attention": "scaled_dot_product_attention", "rms_norm": "_fused_rms_norm"}

# Of some names one overload is a kernel, and another is made of others.
MADE_OF = {"linear": ("addmm", "mm"), "repeat_interleave": ("clone",), "max": ("maximum",), "min": ("minimum",)}


def count_kernels(events):
    """Count the operations among what the profiler saw that a device would compute: of each branch the outermost."""
    found = Counter()
    for event in events:
        name = event.name.removeprefix("aten::")
        inside = count_kernels(event.cpu_children)
        kind = classify(name) if event.name.startswith("aten::") else {"composite"}
        if name in ONE_KERNEL:
            found[ONE_KERNEL[name]] += 1
        elif kind == {"kernel"} or ("kernel" in kind and not inside.keys() & {name, *MADE_OF.get(name, ())}):
            found[name] += 1
        elif "composite" in kind:
            found += inside
    return found


def classify(name):
    """Return what the overloads of an operation are: composite, a kernel, or neither, as views are."""
    packet = getattr(torch.ops.aten, name)
    overloads = [one or "default" for one in torch._C._jit_get_operation(f"aten::{name}")[1]]
    # Those that the dispatcher does not know are TorchScript's, for Python's numbers and lists.
    known = [one for one in overloads if torch._C._dispatch_has_kernel(f"aten::{name}" + ("" if one == "default" else f".{one}"))]
    facts = [operations.describe(getattr(packet, one)) for one in known]
    return {"composite" if one.is_composite else "kernel" if one.starts_kernel else "neither" for one in facts}


def watch_denoiser(name, device, around):
    """Call a toy pipeline on a device, with a context around each call of its denoiser."""
    torch.manual_seed(0)
    pipeline, call = PIPELINES[name]()
    pipeline.set_progress_bar_config(disable=True)
    denoiser = getattr(pipeline, "transformer", None) or pipeline.unet
    pipeline.to(device)
    call = {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in call.items()}
    forward = denoiser.eval().forward

    def watched(*args, **kwargs):
        with around():
            return forward(*args, **kwargs)

    denoiser.forward = watched
    with torch.no_grad():
        pipeline(generator=torch.Generator("cpu").manual_seed(0), num_inference_steps=STEPS, **call)


def profile_denoiser(name):
    """Return the operations of a denoiser on the CPU, as torch's profiler sees them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        watch_denoiser(name, "cpu", lambda: torch.profiler.record_function("denoiser"))
    return count_kernels([child for event in profile.events() if event.name == "denoiser" for child in event.cpu_children])


def count_denoiser(name):
    """Return the operations of a denoiser on the counting device."""
    found = Counter()

    @contextmanager
    def write_down():
        start = len(ledger.events)
        yield
        found.update(event.name for event in ledger.events[start:] if isinstance(event, Operation))

    with count() as ledger:
        watch_denoiser(name, "cuda", write_down)
    return found


@needs("torch", "2.11", "the CPU's profile that the differences are explained for")
@pytest.mark.parametrize("name", ["flux", "stable_diffusion_3", "wan", "ltx", "stable_diffusion"])
def test_operations_of_a_denoiser_equal_those_of_torchs_profiler(name):
    counted, profiled = count_denoiser(name), profile_denoiser(name)
    differences = {key: (counted[key], profiled[key]) for key in counted | profiled if counted[key] != profiled[key]}
    assert differences == EXPLAINED.get(name, {})


EXPLAINED = {
    # A linear layer of what is not contiguous is a product and a sum; the CPU adds in place, and copies its input first.
    "stable_diffusion_3": {"clone": (8, 10), "add": (26, 24), "add_": (0, 2)},
}
"""Pipeline -> operation -> (how often it is counted, how often it is profiled on the CPU)."""
