"""Pictures of a run that is under way, on the disk instead of in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from hashlib import sha256
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Extent(NamedTuple):
    start: int
    length: int


class Spool:
    """A temporary file without a name, in which equal pictures are kept once.

    However the process ends, nothing of it stays.

    Args:
        lost: called with the reason when pictures could not be kept.
    """

    def __init__(self, lost: Callable[[OSError], None]) -> None:
        self._lost = lost
        self._file: IO[bytes] | None = None
        self._places: dict[bytes, _Extent] = {}

    def keep(self, pictures: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return the same pictures, read from the disk when they are asked for.

        None of them is returned if there is no space.

        Args:
            pictures: role -> PNG.
        """
        try:
            return _Kept(self, {role: self._write(png) for role, png in pictures.items()})
        except OSError as error:
            self._lost(error)
            return {}

    def _write(self, png: bytes) -> _Extent:
        digest = sha256(png).digest()
        if digest not in self._places:
            self._file = self._file or tempfile.TemporaryFile("w+b", buffering=0)  # noqa: SIM115 - it lives as long as the pictures do
            start = self._file.seek(0, 2)
            written = self._file.write(png)
            if written != len(png):
                raise OSError(f"{written} of {len(png)} bytes were written")
            self._places[digest] = _Extent(start, len(png))
        return self._places[digest]

    def close(self) -> None:
        """Drop the pictures."""
        if self._file is not None:
            self._file.close()

    def read(self, place: _Extent) -> bytes:
        """Return a picture.

        Raises:
            OSError: the disk fails.
        """
        assert self._file is not None  # noqa: S101 - there are places only in a file
        self._file.seek(place.start)
        return self._file.read(place.length)


class _Kept(Mapping[str, bytes]):
    def __init__(self, spool: Spool, places: Mapping[str, _Extent]) -> None:
        self._spool, self._places = spool, places

    def __getitem__(self, role: str) -> bytes:
        return self._spool.read(self._places[role])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
