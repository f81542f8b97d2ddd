"""Names and folders of the current tests, which both versions run as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class OwnTests:
    """What the current tests are imported as, and from where.

    Attributes:
        names: top-level names that they are imported by, ``conftest`` among them.
        bases: folders that must be on sys.path for that.
        folders: folders of tests; all that is in them belongs to the tests.
    """

    names: frozenset[str]
    bases: frozenset[Path]
    folders: frozenset[Path]

    def hold(self, entry: str) -> bool:
        """Tell whether an entry of sys.path is there for the tests."""
        folder = Path(entry).resolve()
        return folder in self.bases or any(folder.is_relative_to(held) for held in self.folders)


def find_own_tests(tests: Iterable[Path], root: Path) -> OwnTests:
    """Find the names and folders of tests.

    A file in a package is imported by the package's topmost name, any other by its own, and both
    may be imported by the name of a folder below the root.

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
            top = _find_topmost(test)
            names.add(top.stem)
            bases.add(top.parent)
    return OwnTests(frozenset(names), frozenset(bases), frozenset(folders))


def _find_topmost(test: Path) -> Path:
    while (test.parent / "__init__.py").is_file():
        test = test.parent
    return test
