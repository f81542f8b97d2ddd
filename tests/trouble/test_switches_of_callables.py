"""What a callable leaves set is named, and neither its baseline nor the next test runs with it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from failures import failures

from pytest_sdspeed.device.quiet import quiet

with quiet():
    # A run inside forgets what it imported, and these cannot be imported twice.
    for module in ("torch._dynamo", "torch._inductor.config", "diffusers.models.attention_dispatch"):
        import_module(module)

TESTS = """
import torch

def tuned():
    builtins_spend()
    {code}
    return picture()

def builtins_spend():
    import builtins
    builtins.sd_fake_time.spend(1.0)

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.5)
def test_tuned(sd_latency):
    sd_latency(tuned, baseline=engine(1.0, picture()))

@pytest.mark.sd_latency(speedup=1.0, tolerance=0.5)
def test_after(sd_latency):
    assert {clean}
    sd_latency(engine(1.0, picture()), baseline=engine(1.0, picture()))
"""

HAS_TWINS = hasattr(import_module("torch").backends.cudnn, "conv")
LEFT = {
    "threads": ("torch.set_num_threads(2)", "torch.get_num_threads() == 1", "torch number of threads is 2, was 1"),
    "tf32": (
        "torch.backends.cuda.matmul.allow_tf32 = True",
        "not torch.backends.cuda.matmul.allow_tf32",
        "torch.backends.cuda.matmul.allow_tf32 is True, was False",
    ),
    "matmul precision": (
        "torch.set_float32_matmul_precision('medium')",
        f"torch.get_float32_matmul_precision() == 'highest' and ({not HAS_TWINS} or torch.backends.mkldnn.matmul.fp32_precision in ('none', 'ieee'))",
        "torch float32 matmul precision is medium, was highest",
    ),
    "default device": ("torch.set_default_device('meta')", "torch.zeros(1).device.type == 'cpu'", "torch default device is meta, was None"),
    "device entered": (
        "torch.device('meta').__enter__()",
        "torch.zeros(1).device.type == 'cpu'",
        "torch function modes is DeviceContext, was none",
    ),
    "default dtype": (
        "torch.set_default_dtype(torch.float64)",
        "torch.zeros(1).dtype == torch.float32",
        "torch default dtype is torch.float64",
    ),
    "gradients": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()", "torch gradients is False, was True"),
    "inference mode": (
        "torch.kept = torch.inference_mode(); torch.kept.__enter__()",
        "not torch.is_inference_mode_enabled()",
        "torch inference mode is True, was False",
    ),
    "autocast": (
        "torch.autocast('cpu', dtype=torch.float16).__enter__()",
        "not torch.is_autocast_enabled('cpu') and torch.get_autocast_dtype('cpu') == torch.bfloat16",
        "torch.autocast('cpu') is True, was False",
    ),
    "denormal": ("torch.set_flush_denormal(True)", "5e-324 + 0.0 > 0", "torch flush denormal is True, was False"),
    "attention replaced": (
        "torch.nn.functional.scaled_dot_product_attention = lambda q, k, v, **_: q",
        "torch.nn.functional.scaled_dot_product_attention.__name__ != '<lambda>'",
        "torch.nn.functional.scaled_dot_product_attention is <function",
    ),
    "flash attention": (
        "torch.backends.cuda.enable_flash_sdp(False)",
        "torch.backends.cuda.flash_sdp_enabled()",
        "flash_sdp is False, was True",
    ),
    "dispatch mode": (
        "from torch.utils.flop_counter import FlopCounterMode; FlopCounterMode(display=False).__enter__()",
        "not torch.utils._python_dispatch._get_current_dispatch_mode_stack()",
        "torch dispatch modes is",
    ),
    "hooks of the mode": (
        "from torch.utils.flop_counter import FlopCounterMode; FlopCounterMode(display=False).__enter__()",
        "not torch.nn.modules.module._global_forward_pre_hooks and not torch.nn.modules.module._global_forward_hooks",
        "torch hooks of every module is ModuleTracker._fw_pre_hook, ModuleTracker._fw_post_hook, was none",
    ),
    "hook of every module": (
        "torch.nn.modules.module.register_module_forward_hook(lambda module, args, kwargs, result: result * 0, with_kwargs=True)",
        "torch.nn.Linear(1, 1)(torch.ones(1)) != 0",
        "torch hooks of every module is tuned.<locals>.<lambda>, was none",
    ),
    "profiler": (
        "torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]).__enter__()",
        "not torch._C._autograd._profiler_enabled()",
        "torch profiler is True, was False",
    ),
    "inductor": (
        "import torch._inductor.config as config; config.conv_1x1_as_mm = True",
        "not __import__('torch._inductor.config', fromlist=['config']).conv_1x1_as_mm",
        "torch._inductor.config.conv_1x1_as_mm is True, was its default",
    ),
    "dynamo": (
        "import torch._dynamo; torch._dynamo.config.suppress_errors = True",
        "not __import__('torch._dynamo').__dict__['_dynamo'].config.suppress_errors",
        "torch._dynamo.config.suppress_errors is True, was its default",
    ),
    "attention backend": (
        "from diffusers.models import attention_dispatch as a; a._AttentionBackendRegistry._active_backend = a.AttentionBackendName('_native_math')",
        "__import__('diffusers.models.attention_dispatch', fromlist=['a'])._AttentionBackendRegistry._active_backend.value == 'native'",
        "diffusers attention backend is",
    ),
}


if HAS_TWINS:
    LEFT["newer twin"] = (
        "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
        "torch.backends.cudnn.conv.fp32_precision == 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision is ieee, was tf32",
    )


@pytest.mark.slow
def test_what_a_callable_leaves_set_is_named_and_put_back(gated, pytester):
    names = {name: name.replace(" ", "_") for name in LEFT}
    head = "import pytest\nfrom conftest import engine, picture\n"
    files = {}
    for name, (code, clean, _) in LEFT.items():
        source = TESTS.format(code=code, clean=clean).replace("def test_", f"def test_{names[name]}_")
        files[f"test_leaving_{names[name]}"] = head + source
    pytester.makepyfile(**files)
    run = gated("")
    run.assert_outcomes(passed=len(LEFT), failed=len(LEFT))
    shown = failures(run)
    assert shown.keys() == {f"test_{name}_tuned" for name in names.values()}
    for name, (_, _, message) in LEFT.items():
        text = shown[f"test_{names[name]}_tuned"]
        assert "callable 'tuned' left process-global flags behind: " in text
        assert message in text, name
        assert "set them at the start of each call and put them back at its end" in text


def test_a_baseline_is_guarded_as_well(gated):
    run = gated(
        """
        import torch

        def base():
            import builtins
            builtins.sd_fake_time.spend(1.0)
            torch.backends.cudnn.benchmark = True

        @pytest.mark.sd_latency(speedup=1.0, tolerance=0.5)
        def test_it(sd_latency):
            sd_latency(engine(1.0), baseline=base)
        """.replace("\n        ", "\n")
    )
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*callable 'base' left process-global flags behind: torch.backends.cudnn.benchmark is True, was False*"])


def test_what_is_put_back_before_it_returns_is_no_fault(gated):
    run = gated(
        """
        import torch

        def tuned():
            import builtins
            before = torch.get_num_threads()
            torch.set_num_threads(2)
            with torch.backends.cudnn.flags(benchmark=True), torch.autocast("cpu"), torch.inference_mode(), torch.device("meta"):
                builtins.sd_fake_time.spend(1.0)
            torch.set_num_threads(before)
            return picture()

        @pytest.mark.sd_latency(speedup=1.0, tolerance=0.5)
        def test_it(sd_latency):
            sd_latency(tuned, baseline=engine(1.0, picture()))
        """.replace("\n        ", "\n")
    )
    run.assert_outcomes(passed=1)


LAZY = """
import sys
from pytest_sdspeed.device.flags import guard

def tuned():
    import torch
    torch.backends.cudnn.benchmark = True

def plain():
    return 1

with guard("callable 'plain'"):
    plain()
assert "torch" not in sys.modules
before = list(sys.meta_path)
try:
    with guard("callable 'tuned'"):
        tuned()
except Exception as error:
    print(error)
assert sys.meta_path == before
import torch
print(torch.backends.cudnn.benchmark)
with guard("callable 'later'"):
    pass
"""


@pytest.mark.slow
def test_torch_imported_by_the_callable_itself_is_guarded_and_is_not_imported_for_the_guard():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", LAZY], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert lines[0].startswith("callable 'tuned' left process-global flags behind: torch.backends.cudnn.benchmark is True, was False.")
    assert lines[1] == "False"
