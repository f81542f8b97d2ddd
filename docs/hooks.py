"""Events of mkdocs: pages from elsewhere in the repository, and parts of pages from the code.

The atlas is a page of its own, ``atlas.html``, without the site's styles and navigation.

A page has a line ``<!-- generated: NAME -->``, and NAME is a key of ``reference_parts.GENERATORS``.
Text that the code lacks (an option without help, a fixture without a docstring) ends the build.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from code_facts import ROOT, UndocumentedError, atlas, model_card
from reference_parts import expand

if TYPE_CHECKING:
    from pathlib import Path

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

RESULTS = ROOT / "benchmarks" / "results"
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)([^)]+)\)")


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
            if not target.exists():
                raise UndocumentedError(
                    f"{file.relative_to(ROOT)} links to {found[2]}, which does not exist"
                )
            return f"{found[1]} (`{target.relative_to(ROOT)}`)"

        return _LINK.sub(link, text)

    return {
        page: relinked(file, _without_front_matter(file.read_text(encoding="utf-8")))
        for page, file in files.items()
    }


def added_files() -> dict[str, str]:
    """Return the files of the site that are no pages of mkdocs: their path in it -> content."""
    return {"atlas.html": atlas()}


def _without_front_matter(text: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, count=1, flags=re.DOTALL)


# What mkdocs calls


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of ``docs/``, and the atlas."""
    from mkdocs.structure.files import File

    for path, text in (added_pages() | added_files()).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill a page's placeholders, and take the contributors' guide from its file."""
    if page.file.src_uri == "contributing.md":
        markdown = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")
    return expand(markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Take from the site itself the pictures that files of the repository name by its address."""
    root = "../" * page.url.count("/") or "./"
    return content.replace(f'src="{config.site_url}', f'src="{root}')
