"""Requirements as a user names them, several in one word, and whether what is installed meets them."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution

# A comma ends a requirement where a name follows: after one in a specifier stands an operator. Commas in brackets are between extras.
_BETWEEN = re.compile(r",(?=\s*[A-Za-z0-9])(?![^\[\]]*\])")
_HASHED = re.compile(r"#(.*&)?(sha256|sha384|sha512)=|@[0-9a-f]{40}(#|$)")


def parsed(spec: str) -> list[Requirement]:
    """The requirements in a word such as ``diffusers>=0.40,<0.42,transformers==5.20``.

    Raises:
        ValueError: one of them cannot be read, or is for some machines only.
    """
    named = [Requirement(part.strip()) for part in _BETWEEN.split(spec)]
    for requirement in named:
        if requirement.marker is not None:
            raise ValueError(f"{requirement.name} has a marker; valid: name and version")
    return named


def is_pinned(requirement: Requirement) -> bool:
    """Whether it means the same files tomorrow: one version, or an address with a hash."""
    if requirement.url is not None:
        return _HASHED.search(requirement.url) is not None
    return any(part.operator == "===" or (part.operator == "==" and not part.version.endswith("*")) for part in requirement.specifier)


def found(name: str, path: list[str] | None = None) -> Distribution | None:
    """An installed distribution, or None. The first on the path counts, as it does for an import.

    Args:
        name: of the distribution, in any spelling.
        path: folders to look in; None: sys.path.
    """
    there = distributions(name=name) if path is None else distributions(name=name, path=path)
    return next(iter(there), None)


def unmet(named: Sequence[Requirement], overlay: str) -> list[str]:
    """What the distributions of an overlay require and neither it nor the environment below has.

    Args:
        named: the requirements it was made for: their extras count.
        overlay: its folder of packages.
    """
    extras: dict[str, set[str]] = {canonicalize_name(requirement.name): requirement.extras for requirement in named}
    return [
        str(need)
        for distribution in distributions(path=[overlay])
        for need in _needs(distribution, extras.get(canonicalize_name(distribution.name), set()))
        if (have := found(need.name, [overlay]) or found(need.name)) is None or not need.specifier.contains(have.version, prereleases=True)
    ]


def _needs(distribution: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield need
