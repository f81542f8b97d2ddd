"""Names and folders of the tests in hand, which both sides run: they are never taken from the other side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class OwnTests:
    """What the tests in hand are imported as, and from where.

    Attributes:
        names: top-level names that lead to them, ``conftest`` among them.
        bases: folders that must be on sys.path for that.
        folders: those named, and all that is in them.
    """

    names: frozenset[str]
    bases: frozenset[Path]
    folders: frozenset[Path]

    def hold(self, entry: str) -> bool:
        """Whether an entry of sys.path is there for the tests."""
        folder = Path(entry).resolve()
        return folder in self.bases or any(folder.is_relative_to(held) for held in self.folders)


def own_tests(tests: Iterable[Path], root: Path) -> OwnTests:
    """The names and folders of tests.

    A file in a package is imported by the package's topmost name, any other by its own, and both perhaps as a folder below the root.

    Args:
        tests: files and folders of tests and conftests.
        root: pytest's rootdir.
    """
    root = root.resolve()
    names, bases, folders = {"conftest"}, set(), set()
    for test in (path.resolve() for path in tests):
        if root.is_relative_to(test):
            continue
        if test.is_dir():
            folders.add(test)
        if test.is_relative_to(root):
            names.add(Path(test.relative_to(root).parts[0]).stem)
        if test.is_file() or (test / "__init__.py").is_file():
            top = _topmost(test)
            names.add(top.stem)
            bases.add(top.parent)
    return OwnTests(frozenset(names), frozenset(bases), frozenset(folders))


def _topmost(test: Path) -> Path:
    while (test.parent / "__init__.py").is_file():
        test = test.parent
    return test
