"""The rooms and their walls: who may import whom, how long a file may be, what an unused plugin costs, what is documented."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_sdspeed

PACKAGE = "pytest_sdspeed"
ROOT = Path(pytest_sdspeed.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = {file: ".".join((PACKAGE, *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__") for file in FILES}
REPOSITORY = Path(__file__).parents[1]
OTHERS = sorted(file for folder in ("tests", "benchmarks") for file in (REPOSITORY / folder).rglob("*.py"))

GLUE = "plugin"
"""The room of pytest: the modules that stand in no other one."""

GLUE_MODULES = {
    "options",
    "state",
    "expected",
    "processes",
    "plugin",
    "hooks",
    "fixtures",
    "settings",
    "gate",
    "confirm",
    "collecting",
    "watching",
    "summary",
    "session",
    "contestants",
    "past",
    "against",
    "fleet",
    "commits",
    "results",
    "usage",
    "recording",
    "pictures",
    "extras",
    "__main__",
}
MAY_IMPORT = {
    "model": set(),
    "errors": set(),
    "tables": {"model"},
    "judge": {"model"},
    "setups": {"model", "tables"},
    "measure": {"model", "judge"},
    "history": {"model", "judge"},
    "sides": set(),
    "report": {"model"},
}
KNOW_PYTEST = (
    {
        f"{PACKAGE}.{name}"
        for name in ("options", "state", "plugin", "hooks", "fixtures", "settings", "gate", "confirm", "collecting", "watching", "extras")
    }
    | {f"{PACKAGE}.against.{name}" for name in ("bootstrap", "serving", "opening")}
    | {f"{PACKAGE}.fleet.{name}" for name in ("worker", "controller")}
)
HEAVY = {"flip_evaluator", "numpy", "torch", "scipy", "matplotlib", "jinja2", "skimage", "diffusers", "transformers"}
UNKNOWN_TO_RULES = {"torch", "diffusers", "transformers", "pytest", "_pytest"}
LONGEST = 400


def room(module):
    """The room of one of the package's modules, or None where the design knows none."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in GLUE_MODULES:
        return GLUE
    return parts[1] if parts[1] in MAY_IMPORT else None


def imports(tree, module, *, is_package=False):
    """Every module that is imported anywhere in a file, inside functions and for types too, or named by a string to import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = [*module.split("."), *(["__init__"] if is_package else [])][: -node.level] if node.level else []
            base = ".".join((*parent, *([node.module] if node.module else [])))
            # Only of the package itself do names matter: they may be modules.
            yield from (f"{base}.{alias.name}" if base == PACKAGE and room(f"{base}.{alias.name}") else base for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(rf"{PACKAGE}(\.\w+)+", node.value):
            yield node.value


def broken_walls(source, module, *, is_package=False):
    """What a file imports against the rules, in words."""
    tree, own = ast.parse(source), room(module)
    if own is None:
        return [f"{module} stands in no room of the design"]
    found = []
    for name in set(imports(tree, module, is_package=is_package)):
        top = name.split(".")[0]
        if top == PACKAGE:
            other = room(name)
            if own != GLUE and other not in {own, "errors"} | MAY_IMPORT[own]:
                found.append(f"{module} imports {name}")
        elif (
            (top in {"pytest", "_pytest", "pluggy"} and module not in KNOW_PYTEST)
            or (top == "pytest_benchmark" and own != "history")
            or (own in {"judge", "measure"} and top in UNKNOWN_TO_RULES)
        ):
            found.append(f"{module} imports {top}")
    if own != "history" and re.search(r"\bpytest_benchmark\b", source) and f"{module} imports pytest_benchmark" not in found:
        found.append(f"{module} mentions pytest_benchmark")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: MODULES[file])
def test_modules_import_only_what_their_room_may(file):
    assert broken_walls(file.read_text(encoding="utf-8"), MODULES[file], is_package=file.name == "__init__.py") == []


PLANTED = [
    ("pytest_sdspeed.model", "import pytest_sdspeed.tables"),
    ("pytest_sdspeed.errors", "from pytest_sdspeed.model import Row"),
    ("pytest_sdspeed.tables.loader", "from pytest_sdspeed import judge"),
    ("pytest_sdspeed.tables.loader", "from .. import judge"),
    ("pytest_sdspeed.tables.loader", "from ..setups import pool"),
    ("pytest_sdspeed.tables.loader", "from pytest_sdspeed import Setup"),
    ("pytest_sdspeed.judge.speed", "def f():\n    from pytest_sdspeed.measure import clock"),
    ("pytest_sdspeed.judge.speed", "def f():\n    import torch.nn"),
    ("pytest_sdspeed.judge.speed", "from diffusers import UNet2DConditionModel"),
    ("pytest_sdspeed.measure.campaign", "if TYPE_CHECKING:\n    from pytest_sdspeed.setups.setup import Setup"),
    ("pytest_sdspeed.measure.campaign", "import_module('pytest_sdspeed.setups')"),
    ("pytest_sdspeed.measure.campaign", "import pytest"),
    ("pytest_sdspeed.report.text", "from pytest_sdspeed.judge import interval"),
    ("pytest_sdspeed.report.text", "from pytest_sdspeed import session"),
    ("pytest_sdspeed.sides.opening", "from pytest_sdspeed.model import Row"),
    ("pytest_sdspeed.sides.opening", "from pytest_sdspeed import Setup"),
    ("pytest_sdspeed.setups.pool", "from pytest_sdspeed.plugin import x"),
    ("pytest_sdspeed.history", "from pytest_sdspeed import measure"),
    ("pytest_sdspeed.session", "from _pytest.config import Config"),
    ("pytest_sdspeed.results", "class A:\n    def f(self):\n        import pytest"),
    ("pytest_sdspeed.plugin", "from pytest_benchmark.plugin import x"),
    ("pytest_sdspeed.plugin", "manager.getplugin('pytest_benchmark')"),
    ("pytest_sdspeed.newcomer", ""),
]


@pytest.mark.parametrize(("module", "source"), PLANTED)
def test_the_walls_are_seen_when_they_break(module, source):
    assert len(broken_walls(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "pytest_sdspeed.tables.loader",
            "from pytest_sdspeed.errors import TableError\nfrom pytest_sdspeed import model\nfrom .parser import x",
        ),
        ("pytest_sdspeed.judge.speed", "import numpy as np\nfrom scipy import stats"),
        ("pytest_sdspeed.setups.pool", "import torch\nfrom pytest_sdspeed.tables import load_table"),
        ("pytest_sdspeed.history", "import pytest_benchmark"),
        ("pytest_sdspeed.plugin", "import pytest\nfrom pytest_sdspeed import fixtures\nfrom pytest_sdspeed.measure.facts import Progress"),
    ],
)
def test_what_is_allowed_is_not_reported(module, source):
    assert broken_walls(source, module) == []


def test_a_package_resolves_its_own_relative_imports():
    assert broken_walls("from .speed import interval", "pytest_sdspeed.judge", is_package=True) == []
    assert broken_walls("from ..measure import clock", "pytest_sdspeed.judge", is_package=True) == [
        "pytest_sdspeed.judge imports pytest_sdspeed.measure"
    ]


@pytest.mark.parametrize("file", [*FILES, *OTHERS], ids=lambda file: MODULES.get(file) or file.relative_to(REPOSITORY).as_posix())
def test_files_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < LONGEST


# Documentation


def undocumented(source, module):
    """Names of public modules, classes and functions without a docstring."""
    tree = ast.parse(source)
    if not ast.get_docstring(tree):
        yield module
    pending = [(module, node) for node in tree.body]
    while pending:
        prefix, node = pending.pop()
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            pending += [(prefix, child) for child in ast.iter_child_nodes(node)]
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        name = f"{prefix}.{node.name}"
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield name
        if isinstance(node, ast.ClassDef):
            pending += [(name, child) for child in node.body]


@pytest.mark.parametrize("file", FILES, ids=lambda file: MODULES[file])
def test_everything_public_is_documented(file):
    assert list(undocumented(file.read_text(encoding="utf-8"), MODULES[file])) == []


def test_what_is_not_documented_is_found():
    source = "class A:\n    def f(self): ...\n    def _g(self): ...\nif True:\n    def h(): ...\nclass _B:\n    def f(self): ...\n"
    assert set(undocumented(source, "m")) == {"m", "m.A", "m.A.f", "m.h"}
    assert list(undocumented('"""Doc."""\ndef f():\n    """Doc."""\n    def inner(): ...\n', "m")) == []


# What an unused plugin costs


def python(*arguments, cwd):
    """Run an interpreter of its own; what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_importing_the_plugin_loads_nothing_heavy(tmp_path):
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_sdspeed.plugin;"
        f"print(sorted((set(sys.modules) - before) & {HEAVY!r})); import numpy; print(sorted((set(sys.modules) - before) & {HEAVY!r}))"
    )
    plugin, planted = python("-c", code, cwd=tmp_path).splitlines()
    assert plugin == "[]"
    assert planted == "['numpy']"


def test_a_run_without_gates_loads_nothing_heavy(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import json, sys\n\ndef pytest_unconfigure(config):\n"
        f"    print('LOADED', json.dumps(sorted(set(sys.modules) & {HEAVY!r})), 'pytest_sdspeed.plugin' in sys.modules)\n"
    )
    (tmp_path / "test_empty.py").write_text("def test_nothing():\n    pass\n")

    def loaded(*arguments):
        said = python("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments, cwd=tmp_path)
        names, active = re.search(r"LOADED (\[.*\]) (True|False)", said).groups()
        return set(json.loads(names)), active == "True"

    others, without = loaded("-p", "no:sdspeed")
    found, active = loaded()
    assert (without, active) == (False, True)
    assert found - others == set()


def test_the_package_loads_its_rooms_when_a_public_name_is_used(tmp_path):
    code = (
        "import sys, pytest_sdspeed as package\n"
        "print([name for name in sys.modules if name.startswith('pytest_sdspeed.')])\n"
        "print(package.Row.__name__, 'pytest_sdspeed.model' in sys.modules, 'pytest_sdspeed.setups' in sys.modules)\n"
        "print(sorted(package.__all__) == sorted(package._HOMES), [name for name in package.__all__ if getattr(package, name) is None])\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}))\n"
    )
    assert python("-c", code, cwd=tmp_path).splitlines() == ["[]", "Row True False", "True []", "[]"]


@pytest.mark.parametrize("name", pytest_sdspeed.__all__)
def test_public_names_resolve(name):
    assert getattr(pytest_sdspeed, name).__name__ == name


def test_other_names_are_denied():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = pytest_sdspeed.nothing


def test_what_the_readme_links_to_is_there():
    text = (REPOSITORY / "README.md").read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert targets
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
