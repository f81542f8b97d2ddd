"""What the documentation takes from the code: mkdocs calls the events at the end of this file.

A page holds a line ``<!-- generated: NAME -->``, and NAME is a key of ``GENERATORS``. Text that the
code lacks (an option without help, a fixture without a docstring) ends the build.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_PLACEHOLDER = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)([^)]+)\)")


class UndocumentedError(Exception):
    """Something that users meet has no text in the code."""


# The package: nothing below this section imports it


def package() -> Any:
    """Return the package, with its public names."""
    return import_module("pytest_sdspeed")


def errors() -> Any:
    """Return the module of exceptions."""
    return import_module("pytest_sdspeed.errors")


def plugin() -> Any:
    """Return the module that pytest loads, by the entry point of this checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return import_module(project["entry-points"]["pytest11"]["sdspeed"])


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
    found = tuple(_option(names[-1], attributes, recorder.ini) for names, attributes in recorder.options)
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
    return Option(name, "" if flag else attributes.get("metavar") or "VALUE", attributes["help"], twin, kind)


def _options() -> Iterator[str]:
    yield from _table(
        ("option", "what it does", "in the configuration file"),
        ((f"[`{one.name}`](#{one.name.removeprefix('--')})", _capital(one.text), f"`{one.ini}`") for one in options()),
    )


def _option_heading(one: Option) -> list[str]:
    """Return a section's head: the option with its values, its help and its twin."""
    values = f" {one.values}" if one.values else ""
    kinds = {"bool": "true or false", "linelist": "one value a line", "string": "the same value"}
    twin = f"`{one.ini}`, {kinds.get(one.ini_type, one.ini_type)}"
    return [f"**`{one.name}{values}`**: {_sentence(one.text)} Configuration file: {twin}.", ""]


def option_section(name: str) -> str:
    """Return the head of an option's section.

    Raises:
        UndocumentedError: there is no such option.
    """
    for one in options():
        if one.name == name:
            return "\n".join(_option_heading(one))
    raise UndocumentedError(f"{name}: the plugin has no such option")


# Fixtures, marker and hook, as pytest itself tells them


@cache
def _pytest(*arguments: str) -> str:
    """Run pytest in an empty folder with this checkout; what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100"}
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "FORCE_COLOR", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if "sd_" not in done.stdout:
        raise UndocumentedError(f"pytest {arguments} knows no sd_*: {done.stdout}{done.stderr}")
    return done.stdout


def fixtures() -> dict[str, str]:
    """Return the fixtures that this plugin gives to every test: name -> docstring.

    Raises:
        UndocumentedError: one has no docstring.
    """
    found: dict[str, str] = {}
    for name, text in re.findall(r"^(sd_\w+)[^\n]* -- [^\n]*\n((?:    [^\n]*\n|\n)+)", _pytest("--fixtures", "-v"), re.MULTILINE):
        found[name] = inspect.cleandoc(text)
        if not found[name] or "no docstring available" in found[name]:
            raise UndocumentedError(f"fixture {name} has no docstring")
    return found


def _gate_fixtures() -> Iterator[str]:
    # The two that are no setup are in the plugin's namespace.
    for name in ("sd_latency", "sd_setup"):
        yield from (f"### `{name}`", "", _code(fixtures()[name]), "")


def _setup_fixtures() -> Iterator[str]:
    homes: dict[str, list[str]] = {}
    for table in package().load_tables():
        for row in table.rows:
            homes.setdefault(f"sd_{row.setup}", []).append(f"`{table.name}`")
    rows = [(f"`{name}`", _code(text).replace("\n", " "), ", ".join(homes[name])) for name, text in fixtures().items() if name in homes]
    return _table(("fixture", "the setup", "tables"), rows)


def _marker() -> Iterator[str]:
    found = re.search(r"^@pytest\.mark\.(sd_latency\(.*?\)): (.+)$", _pytest("--markers"), re.MULTILINE)
    if not found:
        raise UndocumentedError("pytest --markers does not know sd_latency")
    yield from ("```text", found[1], "```", "", _capital(found[2]))


def _hooks() -> Iterator[str]:
    recorder = _Recorder()
    plugin().pytest_addhooks(recorder)
    for module in recorder.specs:
        for name, function in vars(module).items():
            if name.startswith("pytest_") and inspect.isfunction(function):
                signature = inspect.signature(function).replace(return_annotation=inspect.Signature.empty)
                yield from (f"### `{name}{_bare(signature)}`", "", *_docstring(function, name), "")


def _bare(signature: inspect.Signature) -> str:
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values() if one.name != "self"]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


# Classes


def _class(name: str) -> Iterator[str]:
    """Yield a public class: its docstring and, of a dataclass, a line for every field."""
    found = getattr(package(), name)
    yield from _docstring(found, name)
    yield ""
    if is_dataclass(found):
        _, _, attributes = inspect.getdoc(found).partition("Attributes:\n")  # type: ignore[union-attr]
        told = set(re.findall(r"\w+", attributes))
        missing = [field.name for field in fields(found) if field.name not in told]
        if missing:
            raise UndocumentedError(f"{name}: its docstring does not name {', '.join(missing)}")
    for method, function in vars(found).items():
        if inspect.isfunction(function) and not method.startswith("_"):
            yield from (f"### `{name}.{method}{_bare(inspect.signature(function))}`", "")
            yield from (*_docstring(function, f"{name}.{method}"), "")
        elif isinstance(function, property):
            yield from (f"- `{method}`: {_code(_summary(function, f'{name}.{method}'))}",)


def _errors() -> Iterator[str]:
    """Yield the tree of exceptions as nested lists."""
    base = package().SdSpeedError

    def branch(parent: type, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}- `{parent.__name__}`: {_code(_summary(parent, parent.__name__))}"
        for child in vars(errors()).values():
            if isinstance(child, type) and parent in child.__bases__:
                yield from branch(child, depth + 1)

    return branch(base, 0)


# Tables


def _builtin_tables() -> Iterator[str]:
    for table in package().load_tables():
        if not table.title or not table.source:
            raise UndocumentedError(f"table {table.name} needs a title and a source")
        yield from (f"## `{table.name}`", "", _sentence(table.title), "")
        yield from (f"- Published for: {table.device}", f"- Source: {_address(table.source)}", "")
        yield from _rows(table)
        yield ""
        remarks = [*table.notes, *(f"`{row.setup}`: {row.notes}" for row in table.rows if row.notes)]
        yield from (f"- {note}" for note in remarks)
        yield ""


def _rows(table: Any) -> Iterator[str]:
    def cells(row: Any) -> tuple[str, ...]:
        latency = "" if row.latency_s is None else f"{row.latency_s:g} s"
        floor = "" if row.is_baseline else f"x{row.speedup * (1 - row.tolerance):.2f}"
        stack = ", ".join(f"`{name}`" for name in row.optimizations) or "as it comes"
        bounds = [_bounds(row.image), f"random weights: {_bounds(row.image_random)}" if row.image_random else ""]
        memory = "" if row.memory is None else f"memory at most {row.memory:.0%} of the baseline's"
        judged = "; ".join(filter(None, (*bounds, memory)))
        return (f"`{row.setup}`", stack, f"`{row.baseline}`", latency, f"x{row.speedup:.2f}", floor, judged)

    names = ("setup", "optimizations", "baseline", "latency", "speed-up", "floor", "bounds")
    return _table(names, map(cells, table.rows))


def _bounds(gate: Any) -> str:
    if gate is None:
        return ""
    named = ((field.name, getattr(gate, field.name)) for field in fields(gate))
    return ", ".join(f"{name} {bound:g}" for name, bound in named if bound is not None)


def _optimizations() -> Iterator[str]:
    relations = {"same_weights": "the same weights", "other_weights": "other weights", "other_autoencoder": "another autoencoder"}
    rows = []
    for one in package().Registry().optimizations().values():
        if not one.summary:
            raise UndocumentedError(f"optimization {one.name} has no summary")
        rows.append((f"`{one.name}`", one.summary, relations[one.relation]))
    return _table(("name", "what it does", "its pictures come from"), rows)


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
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def _commands() -> Iterator[str]:
    for name, text in commands().items():
        yield from (f"## {name}", "", "```text", text.rstrip(), "```", "")


# Markdown


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(names)
    yield from (_line(names), _line(["---"] * len(names)))
    yield from map(_line, rows)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', ' or ') for cell in cells)} |"


def _docstring(thing: Any, name: str) -> Iterator[str]:
    """Yield a Google docstring as Markdown, its sections as lists."""
    _summary(thing, name)
    indent = ""
    for line in inspect.getdoc(thing).splitlines():  # type: ignore[union-attr]
        section = re.fullmatch(r"(Args|Attributes|Returns|Raises):", line)
        entry = re.fullmatch(r"    (\w[\w, ]*): (.+)", line)
        if section:
            names = {"Args": "Arguments", "Attributes": "Attributes", "Returns": "Returns", "Raises": "Raises"}
            yield from (f"**{names[section[1]]}**", "")
            indent = " " * 4
        elif entry and indent:
            named = ", ".join(f"`{part.strip()}`" for part in entry[1].split(","))
            yield f"- {named}: {_code(entry[2])}"
        else:
            yield indent + _code(line.strip()) if line.strip() and indent else _code(line)


def _summary(thing: Any, name: str) -> str:
    text = (getattr(thing, "__doc__", None) or "").strip()
    if not text:
        raise UndocumentedError(f"{name} has no docstring")
    return text.splitlines()[0]


def _code(text: str) -> str:
    return text.replace("``", "`")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _capital(text).rstrip(".") + "."


def _address(text: str) -> str:
    return f"<{text}>" if text.startswith("https://") else f"`{text}`"


GENERATORS: Mapping[str, Callable[[], Iterable[str]]] = {
    "options": _options,
    "gate-fixtures": _gate_fixtures,
    "setup-fixtures": _setup_fixtures,
    "marker": _marker,
    "hooks": _hooks,
    "errors": _errors,
    "builtin-tables": _builtin_tables,
    "optimizations": _optimizations,
    "commands": _commands,
    **{f"class-{name.lower()}": partial(_class, name) for name in ("Result", "Recipe", "Optimization", "Registry", "ImageGate")},
}


def expand(markdown: str) -> str:
    """Return a page with what the code says in the place of its placeholders.

    Raises:
        UndocumentedError: the code lacks a text, or nothing makes what a placeholder names.
    """

    def made(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("option-"):
            return option_section(f"--{name.removeprefix('option-')}")
        if name not in GENERATORS:
            raise UndocumentedError(f"nothing makes {name!r}; valid: {', '.join(GENERATORS)}")
        return "\n".join(GENERATORS[name]())

    return _PLACEHOLDER.sub(made, markdown)


def added_pages() -> dict[str, str]:
    """Return the pages that lie outside of ``docs/``: their path in the site -> Markdown.

    They are the results of the studies and the miniature's model card. What they link to and the
    site does not have becomes the path in the repository.
    """
    files = {f"results/{file.name}": file for file in sorted(RESULTS.glob("*.md"))}
    files["explanations/model-card.md"] = model_card()
    there = {file.resolve(): page for page, file in files.items()}

    def relinked(file: Path, text: str) -> str:
        def link(found: re.Match[str]) -> str:
            target = (file.parent / found[2].partition("#")[0]).resolve()
            if target in there:
                return f"[{found[1]}](../{there[target]})"
            return f"{found[1]} (`{target.relative_to(ROOT)}`)"

        return _LINK.sub(link, text)

    return {page: relinked(file, _without_front_matter(file.read_text(encoding="utf-8"))) for page, file in files.items()}


def _without_front_matter(text: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, count=1, flags=re.DOTALL)


# What mkdocs calls


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of ``docs/``."""
    from mkdocs.structure.files import File

    for path, text in added_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill a page's placeholders."""
    return expand(markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Take from the site itself the pictures that files of the repository name by its address."""
    root = "../" * page.url.count("/") or "./"
    return content.replace(f'src="{config.site_url}', f'src="{root}')
