"""Places of stored runs: a bucket in memory."""

from pytest_sdspeed.history.places import NAME
from pytest_sdspeed.history.remote import place
from pytest_sdspeed.history.series import gathered

ADDRESS = "memory://bucket/runs"


def upload(bucket, folder, address="/bucket/runs"):
    """Put what lies below a folder into a bucket."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != NAME:
            bucket.pipe_file(f"{address}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def dates(*places):
    """Dates of the runs of the only history, and what is said."""
    found = gathered([place(str(one)) for one in places])
    (history,) = found.histories
    return [run.date[17:19] for run in history.runs], found.problems
