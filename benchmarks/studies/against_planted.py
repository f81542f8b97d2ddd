"""Run ``--sd-against`` on the embedded miniature, with planted faults and with another release.

    against_planted.py                                  # all of it, a few minutes each
    against_planted.py same slower -- --sd-budget=200   # some, with more options of pytest

The miniature draws in two steps (``against.toml``).

- ``same``: diffusers against a copy of itself. It passes; pictures are identical.
- ``slower``: 6% of busy waiting is planted into the UNet's forward of the new version. It fails,
  and names denoising.
- ``decoder``: 6% of busy waiting is planted into decoding, and slots are stages. It fails, and
  names decoding, though the call as a whole passes.
- ``pictures``: another epsilon is planted into the GroupNorms of the UNet's residual blocks. It
  passes on speed; pictures differ.
- ``release``: against another release from the package index (``--release 0.41.0``). It runs to the
  end and reports.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

SLOWER = """

import time as _time

_forward = UNet2DConditionModel.forward

def _slower(self, *args, **kwargs):
    start = _time.perf_counter()
    found = _forward(self, *args, **kwargs)
    end = start + 1.06 * (_time.perf_counter() - start)
    while _time.perf_counter() < end:
        pass
    return found

UNet2DConditionModel.forward = _slower
"""
DECODER = """

import time as _time

from ..autoencoders.autoencoder_kl import AutoencoderKL as _Autoencoder

_decode = _Autoencoder.decode

def _slower(self, *args, **kwargs):
    start = _time.perf_counter()
    found = _decode(self, *args, **kwargs)
    end = start + 1.06 * (_time.perf_counter() - start)
    while _time.perf_counter() < end:
        pass
    return found

_Autoencoder.decode = _slower
"""
EPSILON = """

from ..resnet import ResnetBlock2D as _Block

_init = _Block.__init__

def _other(self, *args, **kwargs):
    _init(self, *args, **kwargs)
    self.norm1.eps = self.norm2.eps = 1e-3

_Block.__init__ = _other
"""
PLANTED = {"same": "", "slower": SLOWER, "decoder": DECODER, "pictures": EPSILON}
_FAIL = ("slower", "decoder")
"""What is planted that fails."""


def copy(folder: Path, planted: str) -> Path:
    """Copy diffusers into a folder, and append code to the module of its UNet."""
    spec = find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(
        Path(spec.origin).parent, folder / "diffusers", ignore=shutil.ignore_patterns("__pycache__")
    )
    module = folder / "diffusers" / "models" / "unets" / "unet_2d_condition.py"
    module.write_text(module.read_text(encoding="utf-8") + planted, encoding="utf-8")
    return folder


def main() -> int:
    """Run what is asked for, and return the number of runs with a wrong exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=[], metavar="|".join([*PLANTED, "release"]))
    parser.add_argument("--release", default="0.41.0", help="of diffusers (0.41.0)")
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given, options = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    here = Path(__file__).resolve().parent
    test, tables = here / "against_miniature.py", f"--sd-tables={here.parent / 'against.toml'}"
    tests = [f"{test}::test_short[short]", tables]
    # Its other setup has the tiny autoencoder.
    decoded = [f"{test}::test_short[short_baseline]", tables, "--sd-unit=stage"]
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        old = copy(Path(temporary, "old"), "")
        for kind in given.kinds or [*PLANTED, "release"]:
            spec = f"diffusers=={given.release}" if kind == "release" else str(old)
            # A second thread does not make so small a model faster, and doubles the noise.
            environment = {"OMP_NUM_THREADS": "1", **os.environ}
            if PLANTED.get(kind):
                environment["PYTHONPATH"] = os.pathsep.join(
                    [
                        str(copy(Path(temporary, kind), PLANTED[kind])),
                        *filter(None, [environment.get("PYTHONPATH")]),
                    ]
                )
            started = time.monotonic()
            print(f"== {kind}: --sd-against={spec}", flush=True)
            status = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    *(decoded if kind == "decoder" else tests),
                    f"--sd-against={spec}",
                    "-q",
                    *options,
                ],
                env=environment,
                check=False,
            ).returncode
            print(
                f"== {kind}: exit status {status}, {time.monotonic() - started:.0f} s", flush=True
            )
            wrong += kind != "release" and status != (1 if kind in _FAIL else 0)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
