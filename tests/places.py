"""Places of stored runs: a bucket in memory."""

from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.remote import open_storage
from pytest_sdspeed.history.storages import NAME

ADDRESS = "memory://bucket/runs"


def upload(bucket, folder, address="/bucket/runs"):
    """Put what lies below a folder into a bucket."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != NAME:
            bucket.pipe_file(f"{address}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def dates(*places):
    """Dates of the runs of the only history, and what is said."""
    found = load_from([open_storage(str(one)) for one in places])
    (history,) = found.histories
    return [run.date[17:19] for run in history.runs], found.problems
