"""What lets the roots of a side win in its process. The standard library only: the source may be sent to a process that has no more."""

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
    """Serves top-level modules and metadata from the roots, whatever is put on sys.path before them later.

    pytest puts the folder of a conftest first on sys.path. With a flat layout that is the checkout in hand: its package would be imported
    in place of the other side's.

    Args:
        roots: folders, the first that has a name serves it.
        excluded: top-level names that are looked for everywhere but in the roots.

    Attributes:
        served: the top-level names that were served so far. Where it stays empty, the other side ran the code of this one.
    """

    def __init__(self, roots: Sequence[str], excluded: Iterable[str]) -> None:
        self.roots = list(roots)
        self.excluded = frozenset(excluded)
        self.served: set[str] = set()

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a top-level name is; None leaves it to the other finders, as every submodule to its package's own path.

        A folder without ``__init__.py`` gives way to a package or module of its name anywhere. Where there is none, the folders of that name
        make one namespace package, as ever, those of the roots first.

        Raises:
            ModuleNotFoundError: only the roots have the name, and it is excluded.
        """
        ours = None if path is not None or "." in fullname else PathFinder.find_spec(fullname, self.roots, target)
        if ours is None:
            return None
        if fullname in self.excluded:
            return self._theirs(fullname, target)
        if ours.loader is None:
            return next((spec for spec in self._elsewhere(fullname, target) if spec.loader is not None), None)
        self.served.add(fullname)
        return ours

    def _theirs(self, fullname: str, target: ModuleType | None) -> ModuleSpec:
        spec = next(self._elsewhere(fullname, target), None)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        if spec.loader is None:
            # As found it would be searched anew when sys.path changes, and then in the roots too.
            spec.submodule_search_locations = list(spec.submodule_search_locations or ())
        return spec

    def _elsewhere(self, fullname: str, target: ModuleType | None) -> Iterator[ModuleSpec]:
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            path = [entry for entry in sys.path if entry not in self.roots] if finder is PathFinder else None
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                yield spec

    def find_distributions(self, context: DistributionFinder.Context = DistributionFinder.Context()) -> Iterable[PathDistribution]:  # noqa: B008 - of the interface; it is never changed
        """The distributions of the roots, before all others; none where a caller asks for a path of its own."""
        if "path" in vars(context):
            return []
        return MetadataPathFinder.find_distributions(DistributionFinder.Context(name=context.name, path=self.roots))


def install(roots: Sequence[str], excluded: Iterable[str], path: Iterable[str]) -> RootsFinder:
    """Let the roots win in this process. To be called before anything else is imported.

    The roots come first on sys.path too: processes that this one starts get its path, not its finders, and pytest's own finder for
    modules whose assertions it rewrites looks along the path.

    Args:
        roots: as in `Side`.
        excluded: as in `Side`.
        path: as in `Side`; what sys.path has already is not added again.
    """
    finder = RootsFinder(roots, excluded)
    sys.path[:0] = roots
    sys.path += [entry for entry in path if entry not in sys.path]
    sys.meta_path.insert(0, finder)
    return finder
