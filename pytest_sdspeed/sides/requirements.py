"""Requirements as a user names them, several in one word, and whether what is installed meets them."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
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


def installed(path: Iterable[str] | None = None) -> dict[str, Distribution]:
    """The distributions on a path, None: on sys.path, by canonical name. The first of a name counts, as it does for an import."""
    found: dict[str, Distribution] = {}
    for distribution in distributions() if path is None else distributions(path=list(path)):
        # Remains of an uninstallation have no name.
        if distribution.metadata["Name"]:
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), distribution)
    return found


def unmet(named: Sequence[Requirement], overlay: dict[str, Distribution], below: dict[str, Distribution]) -> list[str]:
    """What the distributions of an overlay require and neither it nor the environment below has.

    Args:
        named: the requirements it was made for: their extras count.
        overlay: its distributions by canonical name.
        below: those of the environment that it lies on.
    """
    extras: dict[str, set[str]] = {canonicalize_name(requirement.name): requirement.extras for requirement in named}
    have = below | overlay
    return [
        str(need)
        for name, distribution in overlay.items()
        for need in _needs(distribution, extras.get(name, set()))
        if (found := have.get(canonicalize_name(need.name))) is None or not need.specifier.contains(found.version, prereleases=True)
    ]


def _needs(distribution: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield need
