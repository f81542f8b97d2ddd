"""Other plugins of pytest, the real packages: each in a folder of its own, in reach only of the runs inside that ask for it."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FOLDER = "SDSPEED_COMPANIONS"
INSTALL = Path(__file__).with_name("install.py")


def load_install():
    spec = spec_from_file_location("install_companions", INSTALL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def folder_of():
    """Finds the folder that a package is installed in; a test that needs one is skipped where there are none."""
    command = f"python tests/companions/install.py FOLDER; {FOLDER}=FOLDER pytest tests/companions"
    folder, install = os.environ.get(FOLDER), load_install()

    def find(package):
        if not folder:
            pytest.skip(f"{package} is not installed beside the tests: {command}")
        version = install.pinned()[package]
        assert install.installed(Path(folder), package, version), f"{folder} has no {package} {version}: {command}"
        return str(Path(folder, package))

    return find


@pytest.fixture
def beside(gated, folder_of, monkeypatch):
    """Runs a test file on the fake clock beside packages, in this process: ``beside(source, packages=["pytest-timeout"])``."""

    def run(source, *arguments, packages, conftest=""):
        for package in packages:
            monkeypatch.syspath_prepend(folder_of(package))
        return gated(source, *arguments, conftest=conftest, autoload=True)

    return run


@pytest.fixture
def process(pytester, folder_of, monkeypatch):
    """Runs a test file beside packages in a process of its own, in real time: what is asserted there may not depend on how long anything takes."""

    def run(source, *arguments, packages, **files):
        pytester.makepyfile(test_it=source, **files)
        paths = [*map(folder_of, packages), str(pytester.path), os.environ.get("PYTHONPATH", "")]
        for variable in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        unused = [
            argument for plugin in ("anyio", "cacheprovider", "html", "hypothesispytest", "randomly") for argument in ("-p", f"no:{plugin}")
        ]
        return pytester.run(sys.executable, "-m", "pytest", "--sd-max-blocks=3", "--sd-inconclusive=warn", *unused, *arguments)

    return run
