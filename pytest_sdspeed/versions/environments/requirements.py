"""Requirements as a user names them, several in one word, and what is installed for them."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution

# A comma ends a requirement if a name follows; within a specifier an operator follows it. Commas in
# brackets separate extras.
_BETWEEN = re.compile(r",(?=\s*[A-Za-z0-9])(?![^\[\]]*\])")
_HASHED = re.compile(r"#(.*&)?(sha256|sha384|sha512)=|@[0-9a-f]{40}(#|$)")


def parse_requirements(spec: str) -> list[Requirement]:
    """Parse the requirements in a word such as ``diffusers>=0.40,<0.42,transformers==5.20``.

    Raises:
        ValueError: one of them is malformed, or has a marker.
    """
    named = [Requirement(part.strip()) for part in _BETWEEN.split(spec)]
    for requirement in named:
        if requirement.marker is not None:
            raise ValueError(f"{requirement.name} has a marker; valid: name and version")
    return named


def is_pinned(requirement: Requirement) -> bool:
    """Tell whether a requirement always means the same files: by a version or a hash."""
    if requirement.url is not None:
        return _HASHED.search(requirement.url) is not None
    return any(
        part.operator == "===" or (part.operator == "==" and not part.version.endswith("*"))
        for part in requirement.specifier
    )


def find_distribution(name: str, path: list[str] | None = None) -> Distribution | None:
    """Find an installed distribution, or None: the first on the path, as an import would.

    Args:
        name: name of the distribution, in any spelling.
        path: folders to look in; None for sys.path.
    """
    there = distributions(name=name) if path is None else distributions(name=name, path=path)
    return next(iter(there), None)


def find_unmet(named: Sequence[Requirement], overlay: str) -> list[str]:
    """List what the distributions of an overlay require and neither it nor those below it meet.

    Args:
        named: the requirements that the overlay was made for, with their extras.
        overlay: its folder of packages.
    """
    extras: dict[str, set[str]] = {
        canonicalize_name(requirement.name): requirement.extras for requirement in named
    }
    return [
        str(need)
        for distribution in distributions(path=[overlay])
        for need in _needs(distribution, extras.get(canonicalize_name(distribution.name), set()))
        if (have := find_distribution(need.name, [overlay]) or find_distribution(need.name)) is None
        or not need.specifier.contains(have.version, prereleases=True)
    ]


def _needs(distribution: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        need = Requirement(line)
        if need.marker is None or any(
            need.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            yield need
