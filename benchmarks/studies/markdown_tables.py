"""Tables of the studies as Markdown: in reports, and as snippets of the documentation."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class MarkdownTable:
    """A table with a title.

    Attributes:
        title: heading of the table, if there are several.
        header: names of the columns.
        rows: cells of each row, one for each column.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Return the table alone."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def titled(self, level: int) -> str:
        """Return the table under its title.

        Args:
            level: level of the heading; 3 is ``###``.
        """
        return f"{'#' * level} {self.title}\n\n{self.text()}"


def join_titled(tables: Sequence[MarkdownTable], level: int) -> str:
    """Return tables one below the other, each under its title."""
    return "\n\n".join(table.titled(level) for table in tables)


def add_docs_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--docs FOLDER``, the folder that takes the snippets."""
    parser.add_argument(
        "--docs",
        type=_folder,
        metavar="FOLDER",
        help="write the tables that the documentation includes into this folder (docs/figures)",
    )


def _folder(text: str) -> Path:
    """Return the path of a folder, which need not exist; reject a file before the study begins."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def write_snippets(folder: Path, snippets: Mapping[str, str]) -> None:
    """Write each snippet into its file, and name the files.

    Args:
        folder: folder of the files, which is made if it does not exist.
        snippets: file name -> Markdown, without the last newline.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in snippets.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
        print(f"wrote {folder / name}")
