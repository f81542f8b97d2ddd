"""The README and the site: links lead somewhere, no page is lost, and the code names pages that exist."""

import ast
import posixpath
import re
from itertools import chain

import pytest
from code_facts import UndocumentedError, options
from documentation import DOCS, README, ROOT, anchors, configuration, files, links, page_of, pages, sources
from fakes import result
from reference_parts import GENERATORS, expand

import pytest_sdspeed
from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.setups.names import BUILTIN_SETUPS
from pytest_sdspeed.store.records import to_json

PACKAGE = sorted((ROOT / "pytest_sdspeed").rglob("*.py"))
ADDRESS = re.compile(r"(?<![\w.])/?((?:guides|reference|explanations|results)/[a-z0-9-]+/?(?:#[a-z0-9-]+)?)")


def nav(entries):
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else nav(value)


def broken(page, text):
    """Links of a page that lead nowhere."""
    for target in links(text):
        if target.startswith(("https://", "http://")):
            if target.startswith(DOCUMENTATION) and not exists(target.removeprefix(DOCUMENTATION)):
                yield target
            continue
        path, _, anchor = target.partition("#")
        other = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        if other in pages():
            if anchor and anchor not in anchors(pages()[other]):
                yield target
        elif other in files():
            if anchor and anchor not in files()[other]:
                yield target
        elif anchor or other.endswith(".md") or not (DOCS / other).is_file():
            yield target


def exists(address):
    """Whether an address below ``DOCUMENTATION`` is that of a page, and its anchor one of the page's."""
    if (DOCS / address.strip("/")).is_file():
        return True
    if address.strip("/").partition("#")[0] in files():
        return True
    page, anchor = page_of(address)
    return page in pages() and (not anchor or anchor in anchors(pages()[page]))


def test_links_of_pages_lead_to_pages_anchors_and_pictures():
    assert {page: found for page, text in pages().items() if (found := list(broken(page, text)))} == {}


def test_links_that_lead_nowhere_are_found():
    text = "[a](guides/nothing.md) [b](index.md#nothing) [c](nothing.png) [d](#nothing)\n" + f"[e]({DOCUMENTATION}/nothing/)"
    assert [target.rpartition("nothing")[2] for target in broken("index.md", text)] == [".md", "", ".png", "", "/"]
    assert list(broken("guides/ci.md", "[a](../atlas.html#inference/fp16) [b](../atlas.html) [c](../atlas.html#nothing)")) == [
        "../atlas.html#nothing"
    ]
    assert list(broken("guides/ci.md", "[a](history.md#many-machines-one-history) ![b](../report.png) [c](https://a.org/b.md)")) == []


def test_every_page_is_in_the_navigation_and_only_once():
    assert sorted(nav(configuration()["nav"])) == sorted(pages())


def test_the_site_is_where_the_package_says():
    assert configuration()["site_url"] == DOCUMENTATION
    assert not DOCUMENTATION.endswith("/")


def test_the_readme_is_a_first_page():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    assert len(text.encode()) < 12_000
    assert "recording-a-reference" in anchors(text)


def test_links_of_the_readme_work_outside_of_the_repository_and_lead_to_pages():
    text = README.read_text(encoding="utf-8")
    own = [target for target in links(text) if "://" not in target]
    # It is the page of the package index too, where nothing else of the repository is.
    assert [target for target in own if not target.endswith((".svg", ".png"))] == []
    site = [target.removeprefix(DOCUMENTATION) for target in links(text) if target.startswith(DOCUMENTATION)]
    assert len(site) > 10
    assert [address for address in site if not exists(address)] == []
    assert [target for target in links(text) if "readthedocs" in target and not target.startswith(DOCUMENTATION)] == []


def strings(file):
    return [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_pages_that_the_package_names_exist():
    named = {address for file in PACKAGE for text in strings(file) for address in ADDRESS.findall(text)}
    assert named
    assert [address for address in sorted(named) if not exists(address)] == []


def test_headings_of_the_readme_that_messages_name_exist():
    named = {title for file in PACKAGE for text in strings(file) for title in re.findall(r'README "([^"]+)"', text)}
    text = README.read_text(encoding="utf-8")
    assert [title for title in named if f"## {title}\n" not in text] == []


# What comes from the code


def test_every_option_has_a_section():
    names = [option.name for option in options()]
    assert len(names) > 10
    page = pages()["reference/options.md"]
    assert [name for name in names if f"### {name} {{ #{name.removeprefix('--')} }}" not in page] == []


def test_every_setup_and_public_class_is_on_its_page():
    fixtures = pages()["reference/fixtures.md"]
    tables = pages()["reference/built-in-tables.md"]
    loaded = pytest_sdspeed.load_tables()
    assert [table.name for table in loaded if f"## `{table.name}`" not in tables] == []
    assert [row.setup for table in loaded for row in table.rows if f"| `{row.setup}` |" not in tables] == []
    assert [setup for setup in BUILTIN_SETUPS if f"| `sd_{setup}` |" not in fixtures] == []
    assert {table.name for table in loaded for row in table.rows if row.setup in BUILTIN_SETUPS} >= {"inference", "fastest", "miniature"}
    classes = ("Result", "Recipe", "ImageGate", "Optimization", "Registry")
    text = fixtures + pages()["reference/result.md"]
    assert [name for name in classes if f"## `{name}`\n" not in text] == []


def test_text_that_the_code_lacks_ends_the_build(monkeypatch):
    class Silent:
        @staticmethod
        def pytest_addoption(parser):
            parser.getgroup("sdspeed").addoption("--sd-silent", metavar="X")
            parser.addini("sdspeed_silent", "default of --sd-silent")

    monkeypatch.setattr("code_facts.plugin", lambda: Silent)
    with pytest.raises(UndocumentedError, match="--sd-silent: the option and its twin sdspeed_silent need help"):
        options()


def test_placeholders_that_nothing_fills_end_the_build():
    for name in ("nothing", "option-sd-nothing"):
        with pytest.raises(UndocumentedError, match="nothing"):
            expand(f"a\n\n<!-- generated: {name} -->\n")


def test_a_field_that_its_class_does_not_explain_ends_the_build(monkeypatch):
    from dataclasses import make_dataclass

    found = make_dataclass("Result", [("known", int), ("unknown", int)])
    found.__doc__ = "A result.\n\nAttributes:\n    known: what it is.\n"
    monkeypatch.setattr("code_facts.package", lambda: type("package", (), {"Result": found}))
    with pytest.raises(UndocumentedError, match="does not name unknown"):
        list(GENERATORS["class-result"]())


def test_every_key_of_a_stored_record_is_explained():
    page = pages()["reference/result.md"]
    told = set(chain.from_iterable(re.findall(r"`(\w+)`", line.split("|")[1]) for line in page.splitlines() if line.startswith("| `")))
    stored = to_json(result())
    assert len(stored) > 20
    assert stored.keys() - told == set()


def test_every_key_of_a_table_file_is_explained():
    from pytest_sdspeed.tables import schema

    page = (DOCS / "reference" / "table-file.md").read_text()
    keys = {*schema.TABLE, *schema.RECIPE, *schema.ROW} - {"recipe", "recorded", "rows", "claims"}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
    assert "`[recipe]`" in page
    assert [key for key in sorted(schema.CLAIM) if f"`{key}`" not in page] == []


def test_figures_are_parts_of_pages():
    figures = {f"docs/figures/{file.name}" for file in (DOCS / "figures").glob("*.md")}
    included = {name for file in sources() for name in re.findall(r'--8<-- "(docs/figures/[^"]+)"', file.read_text())}
    assert included == figures
    assert "figures/" in configuration()["exclude_docs"]
