"""Stored runs on any file system that fsspec knows.

They are listed, and fetched if they are new, changed or shown.
"""

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
    ACKNOWLEDGED,
    UNKNOWN,
    Fingerprint,
    Folder,
    Listing,
    is_unfinished,
    make_printable,
)
from pytest_sdspeed.store import pictures
from pytest_sdspeed.store.benchmark import CREDENTIALS

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
"""What the file systems of fsspec (S3, GCS, Azure, HTTP, WebDAV, SFTP, GitHub, the hub) call what
changes with a file."""


def is_address(text: str) -> bool:
    """Tell whether a text is an address of fsspec's rather than a path.

    Chained ones (``simplecache::s3://...``) are too.
    """
    return local_path(text) is None


def local_path(text: str) -> Path | None:
    """Return the path that a text names on this machine, plain or as ``file://``.

    None is returned for any other address.
    """
    path = text.removeprefix("file://")
    return None if "://" in path or "::" in path else Path(path)


def open_storage(text: str) -> Storage:
    """Return the storage that a path or an address names; whether it is there is not asked."""
    path = local_path(text)
    return Remote(text) if path is None else Folder(path)


class Remote:
    """An address of stored runs. Nothing is asked of its file system before it is scanned.

    Args:
        address: an address of fsspec's (``s3://bucket/runs``); its file system knows where to find
            credentials.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    @property
    def index(self) -> Path:
        """Return the file of its index, in this user's cache."""
        name = hashlib.sha256(
            self._address.rstrip("/").encode(errors="surrogateescape")
        ).hexdigest()[:32]
        return _cache_folder() / "pytest-sdspeed" / f"{name}.sqlite3"

    def describe(self, path: str) -> str:
        """Return the address of a file, without credentials."""
        shown = make_printable(CREDENTIALS.sub("//***@", self._address))
        return f"{shown}{'' if shown.endswith('/') else '/'}{path}" if path else shown

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """Return the file system, and the path on it."""
        from fsspec.core import url_to_fs

        try:
            file_system, root = url_to_fs(self._address)
        except ImportError as error:
            raise PlaceError(
                f"{self.describe('')}: its protocol needs a package that is not installed: {error}"
            ) from None
        except Exception as error:  # noqa: BLE001 - file systems raise what they like
            if isinstance(error, ValueError) and "Protocol not known" in str(error):
                raise PlaceError(
                    f"{self.describe('')}: unknown protocol; valid: a folder, or an address that"
                    " fsspec knows (s3://, gs://, az://, sftp://, ...)"
                ) from None
            raise self._describe_failure(error) from None
        return file_system, root

    def scan(self) -> Listing:
        """Return every JSON file below the address. Folders of pictures are not listed.

        Raises:
            PlaceError: the address cannot be read, or a part of it for another reason than its
                permissions.
        """
        file_system, root = self._opened
        files: dict[str, tuple[str, Fingerprint]] = {}
        unfinished, problems, pending = [], list[str](), [(root, "")]
        acknowledged: dict[str, str] = {}
        file_system.invalidate_cache()
        while pending:
            inside, prefix = pending.pop()
            entries = self._list(file_system, inside, prefix, problems)
            for info in entries:
                location = info["name"].rstrip("/")
                name = location.rpartition("/")[2]
                path = prefix + make_printable(name)
                if location == inside.rstrip("/"):
                    # Object stores may list a folder in itself, and a file as the only one below
                    # it.
                    if info["type"] == "file" and not prefix and len(entries) == 1 and info["size"]:
                        raise PlaceError(f"{self.describe('')}: is no folder")
                elif info["type"] == "directory":
                    pending += [(info["name"], f"{path}/")] if name != pictures.FOLDER else []
                elif name.endswith(".json"):
                    files[path] = info["name"], _fingerprint_of(info)
                elif name == ACKNOWLEDGED:
                    acknowledged[path] = info["name"]
                elif is_unfinished(name):
                    unfinished.append(path)
        return Listing(files, sorted(unfinished), tuple(problems), acknowledged)

    def _list(
        self, file_system: Any, inside: str, prefix: str, problems: list[str]
    ) -> list[dict[str, Any]]:
        """Return what a folder holds: nothing if it is gone, or may not be read, which is noted.

        Raises:
            PlaceError: it is the address itself, or cannot be read for another reason.
        """
        try:
            return list(file_system.ls(inside, detail=True))
        except Exception as error:  # noqa: BLE001 - file systems raise what they like
            if not (prefix and isinstance(error, (FileNotFoundError, PermissionError))):
                raise self._describe_failure(error) from None
            # A folder that is gone was deleted while it was listed.
            if isinstance(error, PermissionError):
                problems.append(f"sd history: {self.describe(prefix)}: no permission")
            return []

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield what files hold, all asked for at once if the file system can do that.

        Raises:
            PlaceError: the connection broke.
        """
        try:
            # Unlike ``cat``, this does not expand a star in a name.
            contents = self._opened[0].cat_ranges(list(files), None, None)
        except Exception as error:  # noqa: BLE001 - file systems raise what they like
            raise self._describe_failure(error) from None
        for content in contents:
            if isinstance(content, Exception) and not isinstance(
                content, (FileNotFoundError, PermissionError)
            ):
                raise self._describe_failure(content)
            yield content

    @contextmanager
    def fetch_pictures(self, run: str, names: Iterable[str]) -> Iterator[Path]:
        """Yield a temporary folder with copies of the pictures that are there.

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

    def _describe_failure(self, error: Exception) -> PlaceError:
        """Return an error that says what kept the address from being read, and what to check."""
        if isinstance(error, FileNotFoundError):
            return PlaceError(f"{self.describe('')}: does not exist: check the address")
        told = CREDENTIALS.sub("//***@", " ".join(str(error).split()))
        if isinstance(error, PermissionError):
            return PlaceError(
                f"{self.describe('')}: no permission: {told}: check the credentials and what they"
                " allow"
            )
        return PlaceError(
            f"{self.describe('')}: {type(error).__name__}: {told}: check the address, the"
            " connection and the credentials"
        )


def _fingerprint_of(info: Mapping[str, Any]) -> Fingerprint:
    """Return what tells that a file has changed, from what its file system lists."""
    marks = {name: str(info[name]) for name in (*_CHECKSUMS, *_DATES) if info.get(name) is not None}
    return (
        Fingerprint(_write_time_ns(info), info.get("size") or 0, json.dumps(marks))
        if marks
        else UNKNOWN
    )


def _write_time_ns(info: Mapping[str, Any]) -> int:
    """Return when a file was written, nanoseconds since the epoch.

    0 is returned if its file system does not tell, or in a way that is unknown here.
    """
    date = next(
        (info[name] for name in _DATES if isinstance(info.get(name), (datetime, float, int))), 0
    )
    return int((date.timestamp() if isinstance(date, datetime) else date) * 1e9)


def _cache_folder() -> Path:
    """Return this user's folder for caches."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        # There is no home: nothing can be written below this, which is told as for any other index.
        return Path(os.devnull)
