"""Plant faults: the mutants of a room, all in one copy of the package.

mutmut makes them. Each mutated function stands in the copy beside its mutants, and the environment
variable ``MUTANT_UNDER_TEST`` says which of them is called. It mutates the bodies of functions and
methods; what it leaves alone is what stands outside of them, and decorated functions.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import tomllib
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).parents[3]
PACKAGE = "pytest_sdspeed"
MUTANTS = "mutants.json"
_CONFIGURATION = """\
[tool.pytest.ini_options]
addopts = ["--strict-markers", "--strict-config"]
pythonpath = [{pythonpath}]
filterwarnings = ["error"]
markers = ["slow: not asked"]

[tool.mutmut]
source_paths = ["{package}"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted fault.

    Attributes:
        name: the value of ``MUTANT_UNDER_TEST`` that calls it.
        file: the source file, from the root of the project.
        line: of the change.
        before: what stands there; after: what the mutant has in its place.
        prose: whether only the words of a message differ, see ``is_prose``.
        digest: of the function and of its mutant.
    """

    name: str
    file: str
    line: int
    before: str
    after: str
    prose: bool
    digest: str

    @property
    def function(self) -> str:
        """Return the name by which the mutated function is noted when it is called."""
        return self.name.partition("__mutmut_")[0]

    @property
    def key(self) -> str:
        """Return what tells the change from others, whatever is changed elsewhere."""
        return f"{self.file}: {self.before} => {self.after}"


def plant(room: str, folder: Path) -> list[Mutant]:
    """Lay out a folder with the package, its room's mutants in it, and the tests.

    Args:
        room: a folder of the package.
        folder: written anew, but for what earlier runs found.

    Returns:
        The mutants, which ``folder`` holds as JSON too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _copy("tests", folder)
    for name in ("benchmarks", "docs"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    paths = project["tool"]["pytest"]["ini_options"]["pythonpath"]
    (folder / "pyproject.toml").write_text(
        _CONFIGURATION.format(pythonpath=", ".join(map(json.dumps, paths)), package=PACKAGE),
        encoding="utf-8",
    )
    seal, made_of = folder / "made-of", digest((ROOT / PACKAGE).rglob("*.py"), Path(__file__))
    if seal.exists() and seal.read_text(encoding="utf-8") == made_of:
        return read_mutants(folder)
    _copy(PACKAGE, folder)
    mutants: list[Mutant] = []
    os.chdir(folder)  # mutmut reads its settings there
    for path in sorted((folder / PACKAGE / room).rglob("*.py")):
        mutants += _mutate(path, str(path.relative_to(folder)))
    written = json.dumps([asdict(mutant) for mutant in mutants], indent=1)
    (folder / MUTANTS).write_text(written, encoding="utf-8")
    seal.write_text(made_of, encoding="utf-8")
    return mutants


def read_mutants(folder: Path) -> list[Mutant]:
    """Return the mutants of a folder."""
    written = (folder / MUTANTS).read_text(encoding="utf-8")
    return [Mutant(**facts) for facts in json.loads(written)]


def digest(paths: Iterable[Path], *more: Path) -> str:
    """Return what tells files from other ones."""
    made = hashlib.sha256()
    for path in (*sorted(paths), *more):
        made.update(path.name.encode() + b"\0" + path.read_bytes())
    return made.hexdigest()[:16]


def _copy(name: str, folder: Path) -> None:
    """Copy a folder of the project anew, without its conftest."""
    shutil.rmtree(folder / name, ignore_errors=True)
    skip = shutil.ignore_patterns("__pycache__", "conftest.py")
    shutil.copytree(ROOT / name, folder / name, ignore=skip)


def _mutate(path: Path, file: str) -> Iterator[Mutant]:
    """Put the mutants of a file into its copy."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    source = path.read_text(encoding="utf-8")
    mutated = mutate_file_contents(file, source)
    path.write_text(mutated.code, encoding="utf-8")
    lines, spans = mutated.code.splitlines(), mutated.line_span_by_function_name
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    starts = _find_starts(source)

    def text(function: str) -> str:
        span = spans[function]
        return dedent("\n".join(lines[span.start - 1 : span.end])).lstrip("\n")

    for name in mutated.mutant_names:
        function = name.partition("__mutmut_")[0]
        original, other = text(f"{function}__mutmut_orig"), text(name)
        equal, before, after = _find_change(original, other)
        yield Mutant(
            name=f"{module}.{name}",
            file=file,
            line=starts[function] + equal,
            before=before,
            after=after,
            prose=is_prose(original, other),
            digest=hashlib.sha256(f"{original}\0{other}".encode()).hexdigest()[:16],
        )


def is_prose(original: str, mutated: str) -> bool:
    """Tell whether a mutant changes what a message says, and nothing else.

    It does if the one difference between the two functions is the text of a literal that has two
    words or more. ``"mean"`` is none of them, and neither is a message that is replaced by None.
    """
    changed = list(_differences(ast.parse(original).body[0], ast.parse(mutated).body[0]))
    return (
        len(changed) == 1
        and all(isinstance(side, str) for side in changed[0])
        and _has_words(changed[0][0])
    )


def _has_words(text: str) -> bool:
    return re.search(r"[A-Za-z]{2,}\W*\s\W*[A-Za-z]{2,}", text) is not None


def _differences(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what differs between syntax trees, of both; the functions' own names do not count."""
    if type(one) is not type(other):
        yield one, other
    elif isinstance(one, ast.AST):
        for name in one._fields:
            if not (name == "name" and isinstance(one, ast.FunctionDef)):
                yield from _differences(getattr(one, name), getattr(other, name, None))
    elif isinstance(one, list):
        for ours, theirs in zip_longest(one, other):
            yield from _differences(ours, theirs)
    elif one != other:
        yield one, other


def _find_change(original: str, mutated: str) -> tuple[int, str, str]:
    """Return how many lines precede the change, and what differs, of both on one line."""
    ours, theirs = (_plain(text).splitlines() for text in (original, mutated))
    while ours and theirs and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    equal = 0
    while equal < min(len(ours), len(theirs)) and ours[equal] == theirs[equal]:
        equal += 1
    return equal, _on_one_line(ours[equal:]), _on_one_line(theirs[equal:])


def _plain(text: str) -> str:
    return re.sub(r"\bx(?:_|ǁ\w+?ǁ)(\w+?)__mutmut_(?:orig|\d+)\b", r"\1", text)


def _on_one_line(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


def _find_starts(source: str) -> dict[str, int]:
    """Return the line of every function and method, by the name that mutmut gives it."""
    starts = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            starts[f"x_{node.name}"] = node.lineno
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    starts[f"xǁ{node.name}ǁ{method.name}"] = method.lineno
    return starts
