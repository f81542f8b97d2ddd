"""An import finder with which the roots of an environment take precedence in its process.

It needs the standard library only: its source may be sent to a process that has nothing else.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder, MetadataPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from importlib.metadata import PathDistribution
    from types import ModuleType


class RootsFinder(DistributionFinder):
    """Finds top-level modules and metadata in the roots, whatever comes before them on sys.path.

    pytest puts the folder of a conftest first on sys.path. In a flat layout that is the current
    checkout: its package would be imported in place of the other version's.

    Args:
        roots: folders; the first that has a name is used.
        excluded: top-level names that are looked for everywhere but in the roots.

    Attributes:
        served: the top-level names that were found in the roots so far. If it stays empty, both
            versions ran the same code.
    """

    def __init__(self, roots: Sequence[str], excluded: Iterable[str]) -> None:
        self.roots = list(roots)
        self.excluded = frozenset(excluded)
        self.served: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a top-level name; None leaves it, and every submodule, to the other finders.

        A package or module of the same name anywhere takes precedence over a folder without
        ``__init__.py``. If there is none, the folders of that name make one namespace package, as
        usual, those of the roots first.

        Raises:
            ModuleNotFoundError: only the roots have the name, and it is excluded.
        """
        ours = (
            None
            if path is not None or "." in fullname
            else PathFinder.find_spec(fullname, self.roots, target)
        )
        if ours is None:
            return None
        if fullname in self.excluded:
            return self._find_excluded(fullname, target)
        if ours.loader is None:
            return next(
                (
                    spec
                    for spec in self._find_elsewhere(fullname, target)
                    if spec.loader is not None
                ),
                None,
            )
        self.served.add(fullname)
        return ours

    def _find_excluded(self, fullname: str, target: ModuleType | None) -> ModuleSpec:
        spec = next(self._find_elsewhere(fullname, target), None)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        if spec.loader is None:
            # Otherwise it is searched again when sys.path changes, and then in the roots too.
            spec.submodule_search_locations = list(spec.submodule_search_locations or ())
        return spec

    def _find_elsewhere(self, fullname: str, target: ModuleType | None) -> Iterator[ModuleSpec]:
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            path = (
                [entry for entry in sys.path if entry not in self.roots]
                if finder is PathFinder
                else None
            )
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                yield spec

    def find_distributions(
        self,
        context: DistributionFinder.Context = DistributionFinder.Context(),  # noqa: B008 - of the interface, and never changed
    ) -> Iterable[PathDistribution]:
        """Find the distributions of the roots; none if a caller asks for a path of its own."""
        if "path" in vars(context):
            return []
        return MetadataPathFinder.find_distributions(
            DistributionFinder.Context(name=context.name, path=self.roots)
        )


def install(roots: Sequence[str], excluded: Iterable[str], path: Iterable[str]) -> RootsFinder:
    """Let the roots take precedence in this process; call it before anything else is imported.

    The roots come first on sys.path too: processes that this one starts inherit its path but not
    its finders, and pytest's finder of modules whose assertions it rewrites uses the path.

    Args:
        roots: folders, as in ``Environment``.
        excluded: top-level names, as in ``Environment``.
        path: entries, as in ``Environment``; those that sys.path has are not added again.
    """
    finder = RootsFinder(roots, excluded)
    sys.path[:0] = roots
    sys.path += [entry for entry in path if entry not in sys.path]
    sys.meta_path.insert(0, finder)
    return finder
