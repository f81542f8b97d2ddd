"""Store runs whole or not at all, and lose nothing else when one cannot be stored.

pytest-benchmark writes its files in place, and an error there ends pytest before anything is
reported.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.compatibility import find_json_path
from pytest_sdspeed.store.atomic import write_file, write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


SESSION = "pytest-benchmark"
"""Name that pytest-benchmark's session is registered under as a plugin."""
_NUMBER = re.compile(r"([0-9]{4,5})_")


def guard(session: Any, lost: Callable[[object, Exception], None]) -> None:
    """Have pytest-benchmark store a run and its ``--benchmark-json`` whole or not at all.

    Args:
        session: pytest-benchmark's own, the plugin ``SESSION``.
        lost: called with where and why when a run could not be stored.
    """
    session.storage = WholeStorage(session.storage, lost)
    session.save_json = lambda output_json: _save_json(session, output_json, lost)


class WholeStorage:
    """A storage of pytest-benchmark that no killed, failed or simultaneous run leaves damaged.

    What it does not do itself, the storage inside does.

    Args:
        storage: pytest-benchmark's: a folder or a database.
        lost: called with where and why when a run could not be stored.
    """

    def __init__(self, storage: Any, lost: Callable[[object, Exception], None]) -> None:
        self._storage, self._lost = storage, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def __str__(self) -> str:
        return str(self._storage)

    def save(self, output_json: Any, save: str) -> None:
        """Store a run under the next number that no other run has.

        Args:
            output_json: what pytest-benchmark made of the run.
            save: the rest of its name.
        """
        from pytest_benchmark.storage.file import FileStorage

        try:
            if isinstance(self._storage, FileStorage):
                saved = write_new(self._free_names(save), _encode(output_json))
                self._storage.logger.info(f"Saved benchmark data in: {saved}")  # noqa: G004 - not the standard library's logger
            else:
                self._storage.save(output_json, save)
        except Exception as error:  # noqa: BLE001 - databases raise what they like, and what was measured is still to be told
            self._lost(self._storage, error)

    def _free_names(self, save: str) -> Iterator[Path]:
        """Yield the names that this run may have, from the one after the latest."""
        taken = (_NUMBER.match(file.name) for file in self._storage.query("[0-9][0-9][0-9][0-9]*_"))
        latest = max((int(number[1]) for number in taken if number), default=0)
        return (self._storage.get(f"{number:04}_{save}.json") for number in count(latest + 1))


def _save_json(session: Any, output_json: Any, lost: Callable[[object, Exception], None]) -> None:
    target = find_json_path(session.json)
    try:
        write_file(target, _encode(output_json))
    except Exception as error:  # noqa: BLE001 - what was measured is still to be told
        lost(target, error)
    else:
        session.logger.info(f"Wrote benchmark data in: {target}", purple=True)  # noqa: G004 - not the standard library's logger


def _encode(output_json: Any) -> bytes:
    """Return a run as pytest-benchmark writes it."""
    from pytest_benchmark.utils import safe_dumps

    content: str = safe_dumps(output_json, ensure_ascii=True, indent=4)
    return content.encode()
