"""Install every companion into a folder of its own: ``python tests/companions/install.py FOLDER``.

They are not installed beside the tests: each would take part in every test there is.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def pinned():
    """Return package -> version, of every line of the requirements."""
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==") for line in lines if line)


def installed(folder, package, version):
    """Tell whether a package's folder holds that version."""
    return any((folder / package).glob(f"{package.replace('-', '[-_]')}-{version}.dist-info"))


def install(folder):
    """Install what is missing, a few at a time, without dependencies: those that a companion needs have lines of their own."""

    def install_one(package, version):
        target = ("--upgrade", "--target", str(folder / package))
        quietly = ("--quiet", "--disable-pip-version-check", "--no-deps")
        subprocess.run([sys.executable, "-m", "pip", "install", *quietly, *target, f"{package}=={version}"], check=True)

    missing = {package: version for package, version in pinned().items() if not installed(folder, package, version)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(install_one, missing, missing.values()))


if __name__ == "__main__":
    install(Path(sys.argv[1]))
