"""What the code tells about options, fixtures, marker, hooks and commands, as users reach them.

This is the one file of the documentation that knows where things are in the package.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[1]


class UndocumentedError(Exception):
    """Something that users meet has no text in the code."""


# Where things are


def package() -> Any:
    """Return the package, with its public names."""
    return import_module("pytest_sdspeed")


def errors() -> Any:
    """Return the module of exceptions."""
    return import_module("pytest_sdspeed.errors")


def model() -> Any:
    """Return the module of facts."""
    return import_module("pytest_sdspeed.model")


def plugin() -> Any:
    """Return the module that pytest loads, by the entry point of this checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return import_module(project["entry-points"]["pytest11"]["sdspeed"])


def optimization_kinds() -> list[tuple[str, list[Any]]]:
    """Return the kinds of built-in optimizations: what the module of each says, and what it has."""
    room = import_module("pytest_sdspeed.pipelines.optimizations")
    found: dict[str, list[Any]] = {}
    for module in room.KINDS:
        found[(inspect.getdoc(module) or module.__name__).splitlines()[0].rstrip(".")] = list(
            module.OPTIMIZATIONS
        )
    return list(found.items())


def sample_machines() -> dict[str, Any]:
    """Return machines of which the documentation says what they run."""
    kind = model().Machine
    return {
        "On a CPU": kind(kind="cpu", device="this CPU", versions={}),
        "On an NVIDIA H200": kind(
            kind="cuda", device="NVIDIA H200", versions={}, capability=(9, 0)
        ),
    }


@cache
def atlas() -> str:
    """Return the page with every table and row, as the command ``atlas`` writes it."""
    found = import_module("pytest_sdspeed.commands.atlas").find_entries()
    return str(import_module("pytest_sdspeed.report.atlas.render").render_atlas(found))


def model_card() -> Path:
    """Return the model card of the embedded miniature."""
    cards = sorted((ROOT / "pytest_sdspeed").rglob("weights/miniature/README.md"))
    if len(cards) != 1:
        raise UndocumentedError(f"one model card is expected, found {len(cards)}")
    return cards[0]


# Options


@dataclass(frozen=True, slots=True)
class Option:
    """A command-line option of the plugin.

    Attributes:
        name: as the command line has it, ``--sd-budget``.
        values: what it takes, or "" for a flag.
        text: its help.
        ini: its twin in the configuration file; ini_type: as pytest names it.
    """

    name: str
    values: str
    text: str
    ini: str
    ini_type: str


class _Recorder:
    """Stands in for pytest's parser and plugin manager, and keeps what a plugin adds to them."""

    def __init__(self) -> None:
        self.options: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.ini: dict[str, tuple[str, str]] = {}
        self.specs: list[Any] = []

    def getgroup(self, _name: str, _description: str = "", **_more: Any) -> _Recorder:
        return self

    def addoption(self, *names: str, **attributes: Any) -> None:
        self.options.append((names, attributes))

    def addini(self, name: str, text: str, type: str | None = None, default: Any = None) -> None:  # noqa: A002 - pytest's own name
        del default
        self.ini[name] = text, type or "string"

    def add_hookspecs(self, module: Any) -> None:
        self.specs.append(module)


def options() -> tuple[Option, ...]:
    """Return the options that the plugin adds, in its order.

    Raises:
        UndocumentedError: an option has no help or no ini twin, or the twin has no help.
    """
    recorder = _Recorder()
    plugin().pytest_addoption(recorder)
    found = tuple(
        _option(names[-1], attributes, recorder.ini) for names, attributes in recorder.options
    )
    spare = recorder.ini.keys() - {option.ini for option in found}
    if spare or not found:
        raise UndocumentedError(f"ini options without an option: {', '.join(spare) or 'no option'}")
    return found


def _option(name: str, attributes: Mapping[str, Any], ini: Mapping[str, tuple[str, str]]) -> Option:
    twin = name.removeprefix("--").replace("sd-", "sdspeed_", 1).replace("-", "_")
    text, kind = ini.get(twin, ("", ""))
    if not attributes.get("help") or not text:
        raise UndocumentedError(f"{name}: the option and its twin {twin} need help texts")
    flag = attributes.get("action") == "store_true"
    return Option(
        name, "" if flag else attributes.get("metavar") or "VALUE", attributes["help"], twin, kind
    )


# Fixtures, marker and hooks


@cache
def _pytest(*arguments: str) -> str:
    """Run pytest in an empty folder with this checkout; what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100"}
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "FORCE_COLOR", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if "sd_" not in done.stdout:
        raise UndocumentedError(f"pytest {arguments} knows no sd_*: {done.stdout}{done.stderr}")
    return done.stdout


def fixtures() -> dict[str, str]:
    """Return the fixtures that this plugin gives to every test: name -> docstring.

    Raises:
        UndocumentedError: one has no docstring.
    """
    found: dict[str, str] = {}
    for name, text in re.findall(
        r"^(sd_\w+)[^\n]* -- [^\n]*\n((?:    [^\n]*\n|\n)+)",
        _pytest("--fixtures", "-v"),
        re.MULTILINE,
    ):
        found[name] = inspect.cleandoc(text)
        if not found[name] or "no docstring available" in found[name]:
            raise UndocumentedError(f"fixture {name} has no docstring")
    return found


def marker(name: str = "sd_latency") -> tuple[str, str]:
    """Return the signature of a marker, and what it says of itself.

    Raises:
        UndocumentedError: pytest does not know it.
    """
    found = re.search(
        rf"^@pytest\.mark\.({name}\(.*?\)): (.+)$", _pytest("--markers"), re.MULTILINE
    )
    if not found:
        raise UndocumentedError(f"pytest --markers does not know {name}")
    return found[1], found[2]


def hooks() -> dict[str, Callable[..., Any]]:
    """Return the hooks that the plugin offers: name -> specification."""
    recorder = _Recorder()
    plugin().pytest_addhooks(recorder)
    specs = {name: value for module in recorder.specs for name, value in vars(module).items()}
    return {
        name: value
        for name, value in specs.items()
        if name.startswith("pytest_") and inspect.isfunction(value)
    }


# Commands


def commands() -> dict[str, str]:
    """Return the commands of ``python -m pytest_sdspeed``: name -> its help."""
    listed = re.findall(r"^    (\w+)\s{2,}\S", _help(), re.MULTILINE)
    if not listed:
        raise UndocumentedError("python -m pytest_sdspeed --help lists no command")
    return {name: _help(name) for name in listed}


@cache
def _help(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "90"}
    arguments = [sys.executable, "-m", "pytest_sdspeed", *command, "--help"]
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
