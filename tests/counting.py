"""What tests of accounts share: a tiny denoising loop with faults that can be planted, and the runs that count it."""

ENGINE = """
import torch
from diffusers import FlowMatchEulerDiscreteScheduler


def make(plant=None, steps=4, blocks=2):
    def engine(device):
        scheduler = FlowMatchEulerDiscreteScheduler()
        weights = torch.ones(8, 8).to(device, torch.float16)

        def generate():
            scheduler.set_timesteps(steps, device=device)
            x = torch.ones(1, 8, device=device, dtype=torch.float16)
            for index, t in enumerate(scheduler.timesteps):
                y = x
                for _ in range(blocks):
                    y = y @ weights
                    if plant == "cast":
                        y = y.float().half()
                if plant == "item":
                    y = y * t.item()
                if plant == "once" and index == 2:
                    y = y * t.item()
                if plant == "copy":
                    y = y + torch.ones(1, dtype=torch.float16).to(device)
                if plant == "back":
                    y.cpu()
                x = scheduler.step(y, t, x, return_dict=False)[0]
            if plant == "end":
                x.sum().item()
            return x

        return generate

    return engine
"""
"""``make(plant)`` returns a callable that takes a device: it prepares, and returns what is counted."""

BOUNDS = "host_syncs_per_step=0, host_to_device_per_step=0, device_to_host_per_step=0, casts_per_step=2"
"""What the loop keeps unless something is planted: the scheduler casts to float32 and back."""


def run_counted(pytester, source, *arguments):
    """Run a test file that may import ``make``."""
    pytester.makepyfile(engine=ENGINE)
    pytester.makepyfile(f"import pytest\nfrom engine import make\n\n{source}")
    return pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default", "-rs", *arguments)
