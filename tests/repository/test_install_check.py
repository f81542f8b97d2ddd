"""Whether installing the wheel would replace what is measured, asked of pip without an index."""

import importlib.util
import zipfile
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / ".ci" / "check_install.py"
SPEC = importlib.util.spec_from_file_location("check_install", PATH)
check_install = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_install)

pytestmark = pytest.mark.slow


@pytest.fixture
def wheel(tmp_path):
    """Write an empty wheel that requires something."""

    def write(name, version, *requirements):
        path = tmp_path / f"{name}-{version}-py3-none-any.whl"
        facts = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requirements)]
        with zipfile.ZipFile(path, "w") as archive:
            folder = f"{name}-{version}.dist-info"
            archive.writestr(f"{folder}/METADATA", "\n".join(["Metadata-Version: 2.1", *facts, ""]))
            archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{folder}/RECORD", "")
        return path

    return write


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Have pip look into the folder of the wheels alone."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)


def test_what_is_new_enough_stays_and_what_is_too_old_is_named(wheel):
    wheel("numpy", "2.4.6")
    wheel("scipy", "1.17.0", "numpy>=1.26")
    asked = wheel("plugin", "1.0", "numpy>=1.26", "scipy>=1.13")
    installed = {"numpy": "1.26.4", "torch": "2.6.0"}
    assert check_install.find_replaced(asked, installed) == {}
    assert check_install.find_replaced(asked, {**installed, "numpy": "1.25.0"}) == {"numpy": "2.4.6"}


def test_what_a_requirement_requires_counts_too(wheel):
    wheel("numpy", "2.4.6")
    wheel("scipy", "1.17.0", "numpy>=2")
    asked = wheel("plugin", "1.0", "numpy>=1.26", "scipy>=1.13")
    assert check_install.find_replaced(asked, {"numpy": "1.26.4"}) == {"numpy": "2.4.6"}


@pytest.mark.parametrize("name", ["huggingface_hub", "Huggingface.Hub"])
def test_a_package_is_known_however_its_name_is_written(wheel, name):
    wheel(name, "2.4.0")
    asked = wheel("plugin", "1.0", "huggingface-hub>=2")
    assert check_install.find_replaced(asked, {"huggingface-hub": "0.36.2"}) == {"huggingface-hub": "2.4.0"}


def test_what_cannot_be_installed_is_an_error(wheel):
    with pytest.raises(RuntimeError, match="nowhere"):
        check_install.find_replaced(wheel("plugin", "1.0", "nowhere>=1"), {"numpy": "1.26.4"})


@pytest.mark.parametrize("status", [0, 1])
def test_the_command_ends_with_1_if_a_package_would_be_replaced(wheel, tmp_path, monkeypatch, capsys, status):
    (tmp_path / "dist").mkdir()
    wheel("numpy", "2.4.6")
    wheel("plugin", "1.0", ["numpy>=1.26", "numpy>=2"][status]).rename(tmp_path / "dist" / "plugin-1.0-py3-none-any.whl")
    monkeypatch.setattr(check_install, "ENVIRONMENTS", {"old": {"numpy": "1.26.4"}})
    assert check_install.main([str(tmp_path / "dist")]) == status
    said = capsys.readouterr().out
    assert ("old: numpy 1.26.4 would become 2.4.6" in said) == (status == 1)
    assert f"old: {1 - status} of 1 packages stay" in said


def test_every_package_that_is_measured_stands_in_every_environment():
    for environment in check_install.ENVIRONMENTS.values():
        assert {"torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy"} <= environment.keys()
