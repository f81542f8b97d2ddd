"""Count one toy pipeline with the version of diffusers that is imported here: ``toy_accounts.py NAME [STEPS]`` prints its account as JSON."""

import json
import sys
import time
import warnings

import torch

from pytest_sdspeed.dry.accounts import make_account
from pytest_sdspeed.dry.run import count
from pytest_sdspeed.dry.watch import watch_parts, watch_schedulers


def count_toy(name, steps, change=lambda pipeline: None):
    """Return the account of a toy pipeline, with the prompt given and the generator on the CPU."""
    from toy_pipelines import PIPELINES

    torch.manual_seed(0)
    with torch.no_grad(), count() as ledger:
        pipeline, call = PIPELINES[name]()
        pipeline.set_progress_bar_config(disable=True)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        (change(pipeline) or pipeline).to("cuda")
        call = {key: move(value) for key, value in call.items()}
        ledger.restart()
        weight_bytes = ledger.held
        with watch_schedulers(ledger), watch_parts(ledger, pipeline.components):
            pipeline(generator=torch.Generator("cpu").manual_seed(0), num_inference_steps=steps, **call)
        return make_account(ledger, weight_bytes=weight_bytes)


def move(value):
    if isinstance(value, list):
        return [move(one) for one in value]
    return value.to("cuda") if isinstance(value, torch.Tensor) else value


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    start = time.process_time()
    account = count_toy(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4)
    step = account.per_step
    sys.stdout.write(
        json.dumps(
            {
                "seconds": time.process_time() - start,
                "steps": account.steps,
                "operations": account.operations,
                "host_syncs": account.host_syncs,
                "host_to_device": account.host_to_device,
                "host_syncs_per_step": step.host_syncs,
                "host_to_device_per_step": step.host_to_device,
                "places": [[one.kind, one.file, one.line, one.code, one.count] for one in account.places],
                "places_per_step": [[one.kind, one.file, one.line, one.code, one.count] for one in step.places],
            }
        )
    )
