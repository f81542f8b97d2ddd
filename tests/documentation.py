"""The pages of the documentation as they lie on disk, with their headings, links and blocks of code."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from hooks import added_files, added_pages
from reference_parts import expand

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} (.+?)(?: \{ #([\w-]+) \})?$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose own tags stand for nothing here."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


@cache
def configuration():
    """mkdocs.yml."""
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Loader)


@cache
def pages():
    """Every page of the site: its path in it -> Markdown, snippets and what comes from the code included."""
    written = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sources()}
    return {page: expand(_SNIPPET.sub(_snippet, text)) for page, text in (written | added_pages()).items()}


@cache
def files():
    """Every file of the site that is made and no page of mkdocs: its path in it -> the ids that it has."""
    return {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in added_files().items()}


def sources():
    """The files that people write: a page each. Figures are parts of pages."""
    return sorted(file for file in DOCS.rglob("*.md") if DOCS / "figures" not in file.parents)


def _snippet(found):
    return (ROOT / found[1]).read_text(encoding="utf-8")


@cache
def anchors(text):
    """What a link may name behind ``#`` on a page, made of its headings as Python-Markdown does."""
    found = set()
    for title, given in _HEADING.findall(without_code(text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").replace("*", "")
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        found.add(given or re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower()))
    return found


def without_code(text):
    """A page without its fenced blocks, in which # begins a comment."""
    return _FENCE.sub("", text)


def links(text):
    """The targets of links and images."""
    return _LINK.findall(without_code(text))


def page_of(address):
    """The page and the anchor of an address in the site, such as ``guides/ci/#x``."""
    path, _, anchor = address.partition("#")
    path = path.strip("/")
    return (f"{path}.md" if path else "index.md"), anchor


@dataclass(frozen=True)
class Block:
    """A fenced block: of which file, its language, the file it is to be saved as, and its text."""

    file: str
    language: str
    title: str
    text: str


@cache
def blocks():
    """Every block of the README, the guide for contributors and the pages."""
    found = []
    for file in (README, CONTRIBUTING, *sources()):
        for language, rest, text in _FENCE.findall(file.read_text(encoding="utf-8")):
            title = re.search(r'title="([^"]+)"', rest)
            found.append(Block(file.relative_to(ROOT).as_posix(), language, title[1] if title else "", text))
    return tuple(found)
