"""What the stored runs say up to one of them, wherever its file lies."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.parsing import parse_file
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.judge.changes.causes import judge_histories

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.history.aliases import Renaming
    from pytest_sdspeed.history.storages import Storage
    from pytest_sdspeed.model import History


def load_histories_up_to(
    file: Path, storages: Sequence[Storage], renaming: Renaming
) -> tuple[list[History], tuple[str, ...]]:
    """Return the histories whose latest run is that of a file, with their changes.

    Histories that end with another run say nothing about this one, and are left out.

    Args:
        file: a stored run of this machine, such as that of ``--benchmark-json``; a copy of it in
            one of the storages counts once.
        storages: storages of the runs before it.
        renaming: tells the names of today.

    Returns:
        The histories, and lines on what was passed over.

    Raises:
        StoredRunError: the file holds no run.
    """
    try:
        run = parse_file(file.read_bytes(), file.stat().st_mtime).run
    except OSError as error:
        raise StoredRunError(f"{file}: {error.strerror}") from None
    if run is None:
        raise StoredRunError(f"{file}: is no stored run")
    with TemporaryDirectory() as temporary:
        # A storage is a folder, and beside this file may lie anything.
        shutil.copyfile(file, Path(temporary) / file.name)
        found = load_from([*storages, Folder(Path(temporary))], renaming)
    said = (*found.problems, *found.describe_unread())
    problems = tuple(line.replace(temporary, str(file.parent)) for line in said)
    current = (run.date, run.host, run.commit)
    histories = [
        history
        for history in judge_histories(found.histories, found.acknowledged)
        if (history.runs[-1].date, history.runs[-1].host, history.runs[-1].commit) == current
    ]
    return histories, problems
