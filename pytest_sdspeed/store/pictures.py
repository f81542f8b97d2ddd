"""Pictures beside stored runs: PNG files named by content, so that equal ones are kept once."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Exhibit
from pytest_sdspeed.store.atomic import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_sdspeed.store.spool import Spool

FOLDER = "sdspeed-pictures"
"""Name of their folder, beside the JSON file of a run."""
DERIVED = frozenset({"error_map"})
"""Roles that are not stored, since they can be computed from the others."""


def describe(exhibit: Exhibit) -> dict[str, Any]:
    """Return the stored form of an exhibit.

    It has what is shown, and for every picture its path from the folder of the run's file, and its
    SHA-256.
    """
    return _describe_case(exhibit) | {
        "files": {role: _name_file(png) for role, png in _select_stored(exhibit)}
    }


def _describe_case(exhibit: Exhibit) -> dict[str, Any]:
    return {
        "seed": exhibit.seed,
        "prompt": exhibit.prompt,
        "index": exhibit.index,
        "control": exhibit.control,
        "metrics": dict(exhibit.metrics),
        "frames": exhibit.frames,
        "strip": list(exhibit.strip),
    }


def _read_case(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stored form says beside its pictures; of before it knew videos, no frames."""
    return {
        **{name: stored[name] for name in ("seed", "prompt", "index", "control", "metrics")},
        "frames": stored.get("frames"),
        "strip": tuple(stored.get("strip") or ()),
    }


def restore(stored: Mapping[str, Any], folder: Path) -> Exhibit:
    """Return the exhibit that a stored form stands for.

    A picture that is gone, or is not what it was, is left out.

    Args:
        stored: what ``describe`` made.
        folder: folder of the file it was read from.
    """
    read = {role: _read(folder, file) for role, file in stored["files"].items()}
    return Exhibit(
        **_read_case(stored),
        pictures={role: png for role, png in read.items() if png is not None},
    )


def pack(exhibit: Exhibit) -> dict[str, Any]:
    """Return an exhibit as it is sent to another process.

    This is its stored form with pictures in base64 instead of paths.
    """
    return _describe_case(exhibit) | {
        "files": {role: base64.b64encode(png).decode() for role, png in _select_stored(exhibit)}
    }


def unpack(sent: Mapping[str, Any], spool: Spool) -> Exhibit:
    """Return the exhibit that was sent, without its derived pictures.

    Args:
        sent: what ``pack`` made.
        spool: where its pictures are until they are stored.
    """
    return Exhibit(
        **_read_case(sent),
        pictures=spool.keep(
            {role: base64.b64decode(content) for role, content in sent["files"].items()}
        ),
    )


def save(folder: Path, exhibits: Iterable[Exhibit]) -> None:
    """Write the pictures that are not there yet.

    Each is written in one step: a run that is killed leaves no half of one.

    Args:
        folder: folder of the run's file.
        exhibits: what is shown.

    Raises:
        OSError: one cannot be written.
    """
    for exhibit in exhibits:
        for _, png in _select_stored(exhibit):
            target = folder / _name_file(png)["path"]
            if target.is_file() and target.stat().st_size == len(png):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, png, lasting=False)


def find_picture_paths(stored: Any) -> Iterator[str]:
    """Yield the paths of the pictures that a stored run names, from the folder of its file.

    Args:
        stored: what was read from the file, whoever wrote it.
    """
    waiting = [stored]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("path"), str) and "sha256" in value:
                yield value["path"]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _name_file(png: bytes) -> dict[str, str]:
    digest = hashlib.sha256(png).hexdigest()
    return {"path": f"{FOLDER}/{digest[:32]}.png", "sha256": digest}


def _select_stored(exhibit: Exhibit) -> Iterator[tuple[str, bytes]]:
    return ((role, png) for role, png in exhibit.pictures.items() if role not in DERIVED)


def _read(folder: Path, file: Mapping[str, str]) -> bytes | None:
    path = folder / file["path"]
    try:
        # A stored file is somebody else's: it names no picture outside its folder.
        if path.resolve().parent != (folder / FOLDER).resolve():
            return None
        png = path.read_bytes()
    except OSError:
        return None
    return png if hashlib.sha256(png).hexdigest() == file["sha256"] else None
