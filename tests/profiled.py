"""What a toy pipeline does on a real device, as torch tells of it: kernels, waits with their lines, memory. On the CPU it rehearses that."""

import warnings
from collections import Counter
from dataclasses import dataclass

import torch
from toy_pipelines import PIPELINES


@dataclass(frozen=True)
class Profiled:
    """What happened.

    Attributes:
        kernels: kernels of a GPU that were started; on the CPU the operations of torch, composite ones among them.
        waits: (file, line) -> how often torch warned that the host waits for the device; a copy that is not told otherwise is one.
        peak_bytes: most memory of a GPU that was allocated, beyond what it held before the pipeline was made; 0 on the CPU.
    """

    kernels: int
    waits: Counter
    peak_bytes: int


def profile_toy(name, steps, device):
    """Call a toy pipeline on a device, twice: the first time warms it up."""
    on_gpu = device == "cuda"
    activity = torch.profiler.ProfilerActivity
    torch.manual_seed(0)
    before = torch.cuda.memory_allocated() if on_gpu else 0
    pipeline, call = PIPELINES[name]()
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.to(device)
    call = {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in call.items()}

    def draw():
        with torch.no_grad():
            pipeline(generator=torch.Generator("cpu").manual_seed(0), num_inference_steps=steps, **call)

    draw()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            draw()
    finally:
        if on_gpu:
            torch.cuda.set_sync_debug_mode("default")
    peak = torch.cuda.max_memory_allocated() - before if on_gpu else 0
    with torch.profiler.profile(activities=[activity.CPU, *([activity.CUDA] if on_gpu else [])]) as profile:
        draw()
    events = profile.events()
    if on_gpu:
        started = [
            one for one in events if one.device_type == torch.autograd.DeviceType.CUDA and not one.name.startswith(("Memcpy", "Memset"))
        ]
    else:
        started = [one for one in events if one.name.startswith("aten::")]
    waits = Counter((one.filename, one.lineno) for one in caught if "synchronizing CUDA operation" in str(one.message))
    return Profiled(len(started), waits, peak)
