"""Files of stored runs, as pytest-benchmark writes them."""

import json
from pathlib import Path

from pytest_sdspeed.store.records import record

DATE = "2026-11-23T10:00:00+00:00"
HOST = {"node": "host", "system": "Linux"}
COMMIT = {"id": "abc", "dirty": True, "branch": "main"}


def benchmark(stored, test=None):
    """One benchmark of a file: a result, a stored form of one, or None for a benchmark that is not this plugin's."""
    if stored is None:
        return {"fullname": test or "test_other.py::test_other", "extra_info": {}}
    stored = stored if isinstance(stored, (dict, list, str)) else record(stored)
    setup = stored["setup"] if isinstance(stored, dict) and "setup" in stored else "x"
    return {"fullname": test or f"test_it.py::test_it[{setup}]", "extra_info": {"sdspeed": stored}}


def write_run(folder, benchmarks, number=1, **run):
    """Write a run; what ``benchmark`` takes, or what it makes."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [one if isinstance(one, dict) and "fullname" in one else benchmark(one) for one in benchmarks]
    known = {"machine_info": HOST, "commit_info": COMMIT, "datetime": f"2026-11-23T10:{number // 60:02}:{number % 60:02}+00:00"}
    file = Path(folder) / f"{number:04}_run.json"
    file.write_text(json.dumps({"benchmarks": entries, **known, **run}))
    return file
