"""Stored runs on any file system that fsspec knows: listed, and fetched where they are new, changed or shown."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import PlaceError
from pytest_sdspeed.history.storages import (
    UNKNOWN,
    Fingerprint,
    Folder,
    Listing,
    is_unfinished,
)
from pytest_sdspeed.store import pictures
from pytest_sdspeed.store.benchmark import CREDENTIALS
from pytest_sdspeed.store.files import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.history.storages import Storage

_DATES = (
    "LastModified",
    "last_modified",
    "Last-Modified",
    "modified",
    "updated",
    "mtime",
    "created",
)
_CHECKSUMS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "Content-MD5",
    "Digest",
    "checksum",
    "generation",
    "sha",
    "blob_id",
)
"""What the file systems of fsspec call what changes with a file: S3, GCS, Azure, HTTP, WebDAV,
SFTP, GitHub, the hub."""


def is_address(text: str) -> bool:
    """Whether a text is an address of fsspec's, rather than a path; chained ones (``simplecache::s3://...``) too."""
    return local(text) is None


def local(text: str) -> Path | None:
    """The path that a text names on this machine, plain or as ``file://``; None where it is another address."""
    path = text.removeprefix("file://")
    return None if "://" in path or "::" in path else Path(path)


def place(text: str) -> Storage:
    """The place that a path or an address names; whether it is there is not asked."""
    path = local(text)
    return Remote(text) if path is None else Folder(path)


class Remote:
    """An address of stored runs. Nothing is asked of its file system before it is scanned.

    Args:
        address: as fsspec knows it (``s3://bucket/runs``), its credentials wherever its file system
            looks for them.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    @property
    def index(self) -> Path:
        """The file of its index, in this user's cache."""
        name = hashlib.sha256(
            self._address.rstrip("/").encode(errors="surrogateescape")
        ).hexdigest()[:32]
        return _cache() / "pytest-sdspeed" / f"{name}.sqlite3"

    def named(self, path: str) -> str:
        """The address of a file, without credentials."""
        shown = printable(CREDENTIALS.sub("//***@", self._address))
        return f"{shown}{'' if shown.endswith('/') else '/'}{path}" if path else shown

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system, and the path on it."""
        from fsspec.core import url_to_fs

        try:
            file_system, root = url_to_fs(self._address)
        except ImportError as error:
            raise PlaceError(
                f"{self.named('')}: its protocol needs a package that is not installed: {error}"
            ) from None
        except Exception as error:  # noqa: BLE001 - file systems raise what they like
            if isinstance(error, ValueError) and "Protocol not known" in str(error):
                raise PlaceError(
                    f"{self.named('')}: unknown protocol; valid: a folder, or an address that"
                    " fsspec knows (s3://, gs://, az://, sftp://, ...)"
                ) from None
            raise self._failed(error) from None
        return file_system, root

    def scan(self) -> Listing:
        """Every JSON file below the address. Folders of pictures are not listed.

        Raises:
            PlaceError: the address cannot be read, or a part of it for another reason than its
                permissions.
        """
        file_system, root = self._opened
        files: dict[str, tuple[str, Fingerprint]] = {}
        unfinished, problems, pending = [], [], [(root, "")]
        file_system.invalidate_cache()
        while pending:
            inside, prefix = pending.pop()
            try:
                entries = file_system.ls(inside, detail=True)
            except Exception as error:  # noqa: BLE001 - file systems raise what they like
                if not (prefix and isinstance(error, (FileNotFoundError, PermissionError))):
                    raise self._failed(error) from None
                # A folder that is gone was looked at while it went.
                problems += (
                    [f"sd history: {self.named(prefix)}: no permission"]
                    if isinstance(error, PermissionError)
                    else []
                )
                continue
            for info in entries:
                location = info["name"].rstrip("/")
                name = location.rpartition("/")[2]
                path = prefix + printable(name)
                if location == inside.rstrip("/"):
                    # Object stores may list a folder in itself, and a file as the only one below
                    # it.
                    if info["type"] == "file" and not prefix and len(entries) == 1 and info["size"]:
                        raise PlaceError(f"{self.named('')}: is no folder")
                elif info["type"] == "directory":
                    pending += [(info["name"], f"{path}/")] if name != pictures.FOLDER else []
                elif name.endswith(".json"):
                    files[path] = info["name"], _stamp(info)
                elif is_unfinished(name):
                    unfinished.append(path)
        return Listing(files, sorted(unfinished), tuple(problems))

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """What files hold, all asked for at once where the file system can do that.

        Raises:
            PlaceError: the connection broke.
        """
        try:
            # Unlike ``cat``, this takes a star in a name for a star.
            contents = self._opened[0].cat_ranges(list(files), None, None)
        except Exception as error:  # noqa: BLE001 - file systems raise what they like
            raise self._failed(error) from None
        for content in contents:
            if isinstance(content, Exception) and not isinstance(
                content, (FileNotFoundError, PermissionError)
            ):
                raise self._failed(content)
            yield content

    @contextmanager
    def pictures(self, run: str, names: Iterable[str]) -> Iterator[Path]:
        """A temporary folder with copies of the pictures that are there.

        Raises:
            PlaceError: the connection broke.
        """
        # A stored file is somebody else's: it names no picture outside its folder.
        wanted = [
            name
            for name in dict.fromkeys(names)
            if PurePosixPath(name).parts == (pictures.FOLDER, PurePosixPath(name).name)
        ]
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / pictures.FOLDER).mkdir()
            for name, content in zip(
                wanted,
                self.fetch([f"{run.rpartition('/')[0]}/{name}" for name in wanted]),
                strict=True,
            ):
                if isinstance(content, bytes):
                    (folder / name).write_bytes(content)
            yield folder

    def _failed(self, error: Exception) -> PlaceError:
        """One line on what kept the address from being read, and what to check."""
        if isinstance(error, FileNotFoundError):
            return PlaceError(f"{self.named('')}: does not exist: check the address")
        told = CREDENTIALS.sub("//***@", " ".join(str(error).split()))
        if isinstance(error, PermissionError):
            return PlaceError(
                f"{self.named('')}: no permission: {told}: check the credentials and what they"
                " allow"
            )
        return PlaceError(
            f"{self.named('')}: {type(error).__name__}: {told}: check the address, the connection"
            " and the credentials"
        )


def _stamp(info: Mapping[str, Any]) -> Fingerprint:
    """What tells that a file has changed, of what its file system lists."""
    marks = {name: str(info[name]) for name in (*_CHECKSUMS, *_DATES) if info.get(name) is not None}
    return (
        Fingerprint(_written_ns(info), info.get("size") or 0, json.dumps(marks))
        if marks
        else UNKNOWN
    )


def _written_ns(info: Mapping[str, Any]) -> int:
    """When a file was written, nanoseconds since the epoch; 0 where its file system does not tell in a way that is known here."""
    date = next(
        (info[name] for name in _DATES if isinstance(info.get(name), (datetime, float, int))), 0
    )
    return int((date.timestamp() if isinstance(date, datetime) else date) * 1e9)


def _cache() -> Path:
    """This user's folder for caches."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        # Nobody's home: nothing can be written below this, and that is said as of any other index.
        return Path(os.devnull)
