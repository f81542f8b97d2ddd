"""The rooms and their walls: who may import whom, how long a file may be, what an unused plugin costs, what is documented."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_sdspeed

PACKAGE = "pytest_sdspeed"
ROOT = Path(pytest_sdspeed.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = {file: ".".join((PACKAGE, *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__") for file in FILES}
REPOSITORY = Path(__file__).parents[2]
OTHERS = sorted(file for folder in ("tests", "benchmarks") for file in (REPOSITORY / folder).rglob("*.py"))

HEAVY = {"flip_evaluator", "numpy", "torch", "scipy", "matplotlib", "jinja2", "skimage", "diffusers", "transformers"}
LONGEST = 400
AT_THE_ROOT = {"__init__.py", "compatibility.py", "__main__.py", "errors.py", "py.typed"}


LINT = """
import contextlib, io, json, pathlib, sys
from importlinter.cli import lint_imports_command

def lint():
    said, status = io.StringIO(), None
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            lint_imports_command(["--no-cache", "contracts.toml"])
        except SystemExit as ended:
            status = ended.code
    return int(status), said.getvalue()

found = []
for path, source in json.loads(sys.argv[1]):
    file = pathlib.Path(path)
    before = file.read_bytes() if file.exists() else None
    file.write_bytes((before or b"") + source.encode())
    found.append(lint())
    file.write_bytes(before) if before is not None else file.unlink()
print(json.dumps([lint(), *found]))
"""


def lint_imports(folder, planted=()):
    """Run import-linter on the package in a folder, by this project's contracts: as it is, and with each fault planted alone.

    Args:
        folder: that the package is in.
        planted: (file, source) of each fault, which is written behind what the file has.

    Returns:
        Exit status and what was said: first of the package as it is after all faults were taken out, then of each fault.
    """
    (folder / "contracts.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    return json.loads(python("-c", LINT, json.dumps(planted), cwd=folder, PYTHONPATH=str(folder), COLUMNS="300"))


@pytest.fixture
def copied(tmp_path):
    pytest.importorskip("importlinter")
    shutil.copytree(ROOT, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    return tmp_path


def test_the_rooms_hold(copied):
    ((status, said),) = lint_imports(copied)
    assert (status, "0 broken" in said) == (0, True), said


PLANTED = [
    ("model.tables", "import pytest_sdspeed.tables"),
    ("errors", "from pytest_sdspeed.model import Row"),
    ("tables.loader", "from pytest_sdspeed import judge"),
    ("tables.loader", "from ..setups import registry"),
    ("judge.speed.intervals", "def f():\n    from pytest_sdspeed.measure import clock"),
    ("judge.speed.blocks", "def f():\n    import torch.nn"),
    ("judge.verdict", "from diffusers import UNet2DConditionModel"),
    ("measure.campaign", "if TYPE_CHECKING:\n    from pytest_sdspeed.setups.setup import Setup"),
    ("measure.clock", "import pytest"),
    ("measure.order", "from pytest_sdspeed.device import canary"),
    ("report.text", "from pytest_sdspeed.judge import verdict"),
    ("report.markdown", "from pytest_sdspeed.run import session"),
    ("device.machine", "from pytest_sdspeed.measure import clock"),
    ("pipelines.pool", "from pytest_sdspeed.judge import verdict"),
    ("setups.setup", "from pytest_sdspeed.plugin import state"),
    ("history.index", "from pytest_sdspeed.report import text"),
    ("store.records", "from pytest_sdspeed.history import index"),
    ("run.session", "from _pytest.config import Config"),
    ("run.judging", "class A:\n    def f(self):\n        import pytest"),
    ("run.targets", "from pytest_sdspeed.versions import arms"),
    ("versions.arms", "import pytest"),
    ("plugin.gate", "from pytest_benchmark.plugin import x"),
    ("model.machine", "import numpy"),
    ("__main__", "from pytest_sdspeed.plugin import state"),
    ("__main__", "from pytest_sdspeed.run import session"),
    ("commands.comment", "from pytest_sdspeed.run import session"),
    ("commands.comment", "def f():\n    import pytest"),
    ("store.github", "from pytest_sdspeed.report import comment"),
    ("report.comment", "from pytest_sdspeed.store import github"),
    ("lint.units", "import torch"),
    ("lint.rules", "import pytest"),
    ("lint.across", "from pytest_sdspeed.setups import registry"),
    ("tables.loader", "from pytest_sdspeed import lint"),
    ("newcomer", ""),
]


@pytest.mark.slow
def test_an_import_against_the_rules_is_found(copied):
    faults = [(f"{PACKAGE}/{module.replace('.', '/')}.py", f"\n{source}\n") for module, source in PLANTED]
    (status, said), *found = lint_imports(copied, faults)
    assert (status, "0 broken" in said) == (0, True), said
    for (module, source), (status, said) in zip(PLANTED, found, strict=True):
        assert (status, module.split(".")[-1] in said, "BROKEN" in said) == (1, True, True), (module, source, said)


def circles(package):
    """Import circles among all modules of a package, a package and its own modules included."""
    graph = pytest.importorskip("grimp").build_graph(package, cache_dir=None)
    left = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    while free := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in free}
    return sorted(left)


def test_nothing_imports_in_a_circle():
    assert circles(PACKAGE) == []


def test_a_circle_is_found(tmp_path, monkeypatch):
    (tmp_path / "round_trip").mkdir()
    (tmp_path / "round_trip" / "__init__.py").write_text("from round_trip.one import x\n")
    (tmp_path / "round_trip" / "one.py").write_text("def f():\n    import round_trip\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert circles("round_trip") == ["round_trip", "round_trip.one"]


def test_rooms_alone_stand_at_the_root():
    entries = {entry.name for entry in ROOT.iterdir() if entry.name != "__pycache__"}
    assert entries - {entry for entry in entries if (ROOT / entry).is_dir()} == AT_THE_ROOT


@pytest.mark.parametrize("file", FILES, ids=lambda file: MODULES[file])
def test_only_the_store_mentions_pytest_benchmark(file):
    # A module that is named by a string is imported where no linter sees it.
    named = re.findall(r"\bpytest_benchmark\b", file.read_text(encoding="utf-8"))
    assert not named or MODULES[file].startswith(f"{PACKAGE}.store.")


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


def python(*arguments, cwd, **variables):
    """Run an interpreter of its own; what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")} | variables
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


@pytest.mark.slow
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


def test_the_names_of_optimizations_are_known_without_the_libraries_that_they_act_on(tmp_path):
    code = f"import sys, pytest_sdspeed.pipelines.optimizations; print(sorted(set(sys.modules) & {HEAVY!r}))"
    assert python("-c", code, cwd=tmp_path).strip() == "[]"


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
