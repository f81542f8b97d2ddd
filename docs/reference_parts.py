"""What the code says, as Markdown: the parts of reference pages that nobody writes by hand."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import code_facts
from code_facts import UndocumentedError
from optimization_parts import optimizations_in_detail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_PLACEHOLDER = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


# Options, fixtures, marker and hooks


def _options() -> Iterator[str]:
    yield from _table(
        ("option", "what it does", "in the configuration file"),
        (
            (f"[`{one.name}`](#{one.name.removeprefix('--')})", _capital(one.text), f"`{one.ini}`")
            for one in code_facts.options()
        ),
    )


def _option_heading(one: code_facts.Option) -> list[str]:
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
    for one in code_facts.options():
        if one.name == name:
            return "\n".join(_option_heading(one))
    raise UndocumentedError(f"{name}: the plugin has no such option")


def _gate_fixtures() -> Iterator[str]:
    # Those that are no setup are in the plugin's namespace.
    for name in ("sd_latency", "sd_account", "sd_setup"):
        yield from (f"### `{name}`", "", _code(code_facts.fixtures()[name]), "")


def _setup_fixtures() -> Iterator[str]:
    homes: dict[str, list[str]] = {}
    for table in code_facts.package().load_tables():
        for row in table.rows:
            homes.setdefault(f"sd_{row.setup}", []).append(f"`{table.name}`")
    rows = [
        (f"`{name}`", _code(text).replace("\n", " "), ", ".join(homes[name]))
        for name, text in code_facts.fixtures().items()
        if name in homes
    ]
    return _table(("fixture", "the setup", "tables"), rows)


def _marker(name: str) -> Iterator[str]:
    signature, text = code_facts.marker(name)
    yield from ("```text", signature, "```", "", _capital(text))


def _account_bounds() -> Iterator[str]:
    """Yield a line for every count that an account can be held to."""
    package = code_facts.model()
    _, _, told = inspect.getdoc(package.Account).partition("Attributes:\n")  # type: ignore[union-attr]
    texts: dict[str, str] = {}
    for names, text in re.findall(r"^ {4}([\w, ]+): ((?:.|\n {8})+)", told, re.MULTILINE):
        texts |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    missing = [name for name in package.COUNTS if name not in texts]
    if missing:
        raise UndocumentedError(f"Account: its docstring does not name {', '.join(missing)}")
    rows = [
        (
            f"`{name}`",
            f"`{name}_per_step`" if name in package.STEP_COUNTS else "",
            _code(texts[name]),
        )
        for name in package.COUNTS
    ]
    return _table(("a call", "a denoising step", "what is counted"), rows)


def _hooks() -> Iterator[str]:
    for name, function in code_facts.hooks().items():
        yield from (
            f"### `{name}{_bare(inspect.signature(function))}`",
            "",
            *_docstring(function, name),
            "",
        )


def _bare(signature: inspect.Signature) -> str:
    parameters = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in signature.parameters.values()
        if one.name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


# Classes


def _class(name: str) -> Iterator[str]:
    """Yield a public class: its docstring and, of a dataclass, a line for every field."""
    found = getattr(code_facts.package(), name)
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
    base = code_facts.package().SdSpeedError

    def branch(parent: type, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}- `{parent.__name__}`: {_code(_summary(parent, parent.__name__))}"
        for child in vars(code_facts.errors()).values():
            if isinstance(child, type) and parent in child.__bases__:
                yield from branch(child, depth + 1)

    return branch(base, 0)


# Tables


def _builtin_tables() -> Iterator[str]:
    for table in code_facts.package().load_tables():
        if not table.title or not table.source:
            raise UndocumentedError(f"table {table.name} needs a title and a source")
        yield from (f"## `{table.name}`", "", _sentence(table.title), "")
        yield from (f"- Published for: {table.device}", f"- Source: {_address(table.source)}", "")
        yield from _rows(table)
        yield ""
        remarks = [
            *table.notes,
            *(f"`{row.setup}`: {row.notes}" for row in table.rows if row.notes),
        ]
        yield from (f"- {note}" for note in remarks)
        yield ""


def _table_list() -> Iterator[str]:
    """Yield a line for each table, with its place in the atlas."""
    rows = (
        (
            f"[`{table.name}`](../atlas.html#{table.name})",
            _sentence(table.title),
            table.device,
            str(len(table.rows)),
            str(sum(bool(row.unsupported) for row in table.rows) or ""),
        )
        for table in code_facts.package().load_tables()
    )
    return _table(("table", "what it is of", "device", "rows", "not built here"), rows)


def _rows(table: Any) -> Iterator[str]:
    def cells(row: Any) -> tuple[str, ...]:
        figures = {"s": row.latency_s, "it/s": row.iterations_per_s, "GB": row.memory_gb}
        found = ", ".join(f"{value:g} {unit}" for unit, value in figures.items() if value)
        judged_by_speed = not (row.is_baseline or row.unsupported)
        floor = f"x{row.speedup * (1 - row.tolerance):.2f}" if judged_by_speed else ""
        stack = ", ".join(f"`{name}`" for name in row.optimizations) or "as it comes"
        bounds = [
            _bounds(row.image),
            f"random weights: {_bounds(row.image_random)}" if row.image_random else "",
        ]
        memory = "" if row.memory is None else f"memory at most {row.memory:.0%} of the baseline's"
        judged = "; ".join(filter(None, (*bounds, memory)))
        if row.unsupported:
            judged = f"not built: {row.unsupported}"
        return (
            f"`{row.setup}`",
            stack,
            f"`{row.baseline}`",
            found,
            f"x{row.speedup:.2f}",
            floor,
            judged,
        )

    names = ("setup", "optimizations", "baseline", "latency", "speed-up", "floor", "bounds")
    return _table(names, map(cells, table.rows))


def _bounds(gate: Any) -> str:
    if gate is None:
        return ""
    return ", ".join(f"{name} {bound:g}" for name, bound in gate.bounds.items())


def _optimizations() -> Iterator[str]:
    relations = {
        "same_weights": "the same weights",
        "approximation": "the same weights, of which it computes less",
        "other_weights": "other weights",
        "other_autoencoder": "another autoencoder",
    }
    rows = []
    for one in code_facts.package().Registry().optimizations().values():
        if not one.summary:
            raise UndocumentedError(f"optimization {one.name} has no summary")
        rows.append((f"`{one.name}`", one.summary, relations[one.relation]))
    return _table(("name", "what it does", "its pictures come from"), rows)


def _device_peaks() -> Iterator[str]:
    from pytest_sdspeed.model.devices import DEVICES

    kinds = ("float32", "tf32", "float16", "bfloat16", "float8")

    def format_rate(spec: Any, kind: str) -> str:
        rate, more = spec.tflops.get(kind), spec.tflops_at_most.get(kind)
        return "-" if rate is None else f"{rate:g}" + (f" (float16 sums: {more:g})" if more else "")

    rows = [
        (
            spec.name,
            *(format_rate(spec, kind) for kind in kinds),
            f"{spec.bandwidth_gbs:g}",
            f"{spec.memory_gb} GB",
            " ".join(f"[{at}]({link})" for at, link in enumerate(spec.sources, 1)),
        )
        for spec in DEVICES
    ]
    yield from _table(("device", *kinds, "GB/s", "memory", "sources"), rows)


def _lint_rules() -> Iterator[str]:
    from pytest_sdspeed.lint import RULES
    from pytest_sdspeed.lint.acknowledgements import UNUSED
    from pytest_sdspeed.lint.rules import UNUSED_SENTENCE

    sentences = {name: rule.sentence for name, rule in RULES.items()} | {UNUSED: UNUSED_SENTENCE}
    rows = ((f"`{name}`", sentence) for name, sentence in sentences.items())
    yield from _table(("rule", "what it finds"), rows)


def _commands() -> Iterator[str]:
    for name, text in code_facts.commands().items():
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
            names = {
                "Args": "Arguments",
                "Attributes": "Attributes",
                "Returns": "Returns",
                "Raises": "Raises",
            }
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


def _architectures() -> Iterator[str]:
    """Yield what is known of each model, with the numbers of parameters that are published."""
    from pytest_sdspeed.pipelines.architectures import ARCHITECTURES, INDEX

    shared: dict[int, list[str]] = {}
    for model, known in ARCHITECTURES.items():
        shared.setdefault(id(known), []).append(model)
    for models in sorted(shared.values(), key=lambda models: models[0].lower()):
        known = ARCHITECTURES[models[0]]
        kinds = {
            name: value[1]
            for name, value in known.index.items()
            if isinstance(value, list) and value[1]
        } or {path.partition("/")[0]: config["_class_name"] for path, config in known.files.items()}
        yield from ("### " + ", ".join(f"`{model}`" for model in models), "")
        if INDEX in known.files:
            yield from (f"`{known.index['_class_name']}`.", "")
        rows = (
            (
                f"`{name}`" if "." not in name else "the whole model",
                f"`{kind}`",
                getattr(known.parameters.get(name), "number", ""),
                getattr(known.parameters.get(name), "source", ""),
            )
            for name, kind in kinds.items()
        )
        yield from _table(("component", "class", "parameters", "published in"), rows)
        yield from ("", "Configuration: " + "; ".join(known.source) + ".", "")


GENERATORS: Mapping[str, Callable[[], Iterable[str]]] = {
    "options": _options,
    "gate-fixtures": _gate_fixtures,
    "setup-fixtures": _setup_fixtures,
    "marker": partial(_marker, "sd_latency"),
    "account-marker": partial(_marker, "sd_account"),
    "account-bounds": _account_bounds,
    "hooks": _hooks,
    "errors": _errors,
    "builtin-tables": _builtin_tables,
    "table-list": _table_list,
    "architectures": _architectures,
    "optimizations": _optimizations,
    "optimizations-in-detail": optimizations_in_detail,
    "commands": _commands,
    "lint-rules": _lint_rules,
    "device-peaks": _device_peaks,
    **{
        f"class-{name.lower()}": partial(_class, name)
        for name in (
            "Result",
            "Account",
            "Place",
            "Recipe",
            "Optimization",
            "Registry",
            "ImageGate",
        )
    },
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
