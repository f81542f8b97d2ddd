"""Check that installing a built wheel changes nothing that it measures.

``python .ci/check_install.py dist`` asks pip what it would install into environments of several
ages. They hold the metadata of their packages alone, which is all that pip looks at. Each package
that would be replaced is a line, and exit code 1. It asks the package index.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "the oldest": {
        "torch": "2.6.0",
        "diffusers": "0.35.2",
        "transformers": "4.57.6",
        "accelerate": "1.2.0",
        "safetensors": "0.4.3",
        "numpy": "1.26.4",
        "huggingface-hub": "0.36.2",
        "pytest": "8.2.0",
    },
    "torch 2.11": {
        "torch": "2.11.0",
        "diffusers": "0.40.0",
        "transformers": "5.17.0",
        "accelerate": "1.10.0",
        "safetensors": "0.6.2",
        "numpy": "2.2.6",
        "huggingface-hub": "1.8.0",
        "pytest": "9.0.0",
    },
    "torch 2.13": {
        "torch": "2.13.0",
        "diffusers": "0.42.1",
        "transformers": "5.23.0",
        "accelerate": "1.12.0",
        "safetensors": "0.8.0",
        "numpy": "2.4.6",
        "huggingface-hub": "2.4.0",
        "pytest": "9.2.0",
    },
    "torch 2.14": {
        "torch": "2.14.1",
        "diffusers": "0.42.1",
        "transformers": "5.24.0",
        "accelerate": "1.15.0",
        "safetensors": "0.8.0",
        "numpy": "2.4.6",
        "huggingface-hub": "2.4.0",
        "pytest": "9.2.0",
    },
}
"""Environment -> package -> its version there."""


def find_replaced(wheel: Path, installed: Mapping[str, str]) -> dict[str, str]:
    """Ask pip which installed packages a wheel would replace, and by which version.

    Args:
        wheel: is asked for.
        installed: package -> version.

    Raises:
        RuntimeError: pip finds no way to install it.
    """
    with TemporaryDirectory() as folder:
        environment, report = Path(folder, "environment"), Path(folder, "report.json")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)  # noqa: S603
        (site,) = environment.rglob("site-packages")
        for name, version in installed.items():
            facts = site / f"{name.replace('-', '_')}-{version}.dist-info"
            facts.mkdir()
            (facts / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
            )
        command = [sys.executable, "-m", "pip", "--python", str(environment), "install", "--quiet"]
        command += ["--dry-run", "--report", str(report), str(wheel)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        wanted = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {_normalize(one["metadata"]["name"]): one["metadata"]["version"] for one in wanted}
    return {name: found[_normalize(name)] for name in installed if _normalize(name) in found}


def _normalize(name: str) -> str:
    """Return the one form of a package's name, which may be written with ``-``, ``_`` or ``.``."""
    return re.sub("[-_.]+", "-", name).lower()


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the wheel of a folder; return 1 if it would replace anything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="that a build wrote into")
    options = parser.parse_args(arguments)
    (wheel,) = options.folder.glob("*.whl")
    faults = 0
    for age, installed in ENVIRONMENTS.items():
        replaced = find_replaced(wheel, installed)
        faults += len(replaced)
        for name, version in replaced.items():
            print(f"{age}: {name} {installed[name]} would become {version}")
        print(f"{age}: {len(installed) - len(replaced)} of {len(installed)} packages stay")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
