"""The index of stored runs is only a cache: it saves reading, and nothing that happens to it changes what is read."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from fakes import result, tf32
from pytest_benchmark.storage.file import FileStorage
from stored import write_run

from pytest_sdspeed.history import database, index, storages
from pytest_sdspeed.history.loading import load_histories
from pytest_sdspeed.history.storages import NAME

READ = """
import resource, sys
from pathlib import Path
from pytest_sdspeed.history import index
from pytest_sdspeed.history.loading import load_histories as histories
{first}
found, problems = histories(Path(sys.argv[1]))
print(sum(len(history.runs) for history in found), *problems)
"""


@pytest.fixture
def folder(tmp_path):
    """Five runs of two rows."""
    for number in range(1, 6):
        write_run(tmp_path / "Linux", [result(), tf32()], number)
    return tmp_path


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that are read, not taken from the index."""
    names = []

    fetch = storages.Folder.fetch

    def watched(place, files):
        for file, content in zip(files, fetch(place, files), strict=True):
            names.append(Path(file).name)
            yield content

    monkeypatch.setattr(storages.Folder, "fetch", watched)
    return names


def runs(folder):
    """How many runs are found, and what is said."""
    found, problems = load_histories(folder)
    return sum(len(history.runs) for history in found), problems


def reader(folder, first=""):
    """A process that reads a folder."""
    return subprocess.Popen([sys.executable, "-c", READ.format(first=first), str(folder)], stdout=subprocess.PIPE, text=True)


def numbers(connection):
    return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("files", "results", "wrong", "texts")]


def test_only_new_and_changed_files_are_read(folder, parsed):
    assert runs(folder) == (10, ())
    assert len(parsed) == 5
    assert runs(folder) == (10, ())
    assert len(parsed) == 5
    write_run(folder / "Linux", [result()], 6)
    changed = write_run(folder / "Linux", [result(latency_s=9)], 2)
    os.utime(changed, ns=(1, 1))
    assert runs(folder) == (10, ())
    assert parsed[5:] == ["0002_run.json", "0006_run.json"]


def test_what_is_gone_is_forgotten(folder):
    half = folder / "half.json"
    half.write_text("{")
    assert runs(folder)[0] == 10
    for gone in (half, *(folder / "Linux").glob("000[1-4]_*")):
        gone.unlink()
    assert runs(folder) == (2, ())
    with closing(sqlite3.connect(folder / NAME)) as connection:
        assert numbers(connection) == [1, 2, 0, 4]
    (folder / "Linux" / "0005_run.json").unlink()
    assert runs(folder) == (0, ())


def test_deleting_it_is_safe(folder):
    before = repr(load_histories(folder))
    (folder / NAME).unlink()
    assert repr(load_histories(folder)) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_runs_gets_none(tmp_path, there):
    folder = tmp_path / "stored"
    if there:
        folder.mkdir()
    assert load_histories(folder) == ((), ())
    assert not (folder / NAME).exists()


def test_pytest_benchmark_does_not_see_it(folder):
    runs(folder)
    (folder / "Linux" / NAME).write_bytes((folder / NAME).read_bytes())
    for machine in (None, "Linux"):
        storage = FileStorage(folder, None, default_machine_id=machine)
        for globs in ((), ("*",), ("[0-9][0-9][0-9][0-9]_",), ("sdspeed",)):
            assert all(file.suffix == ".json" for file in storage.query(*globs))


# Damage


def middle(content):
    return content[:5000] + bytes(3000) + content[8000:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _content: b"",
        lambda _content: b"not a database at all" * 500,
        lambda content: content[:100],
        lambda content: content[: len(content) // 2],
        middle,
        lambda content: content[:100] + bytes(len(content) - 100),
        lambda content: content.replace(b"torch", b"to\xffch"),
        lambda content: content.replace(b'"inference"', b'"inference,'),
    ],
    ids=["empty", "text", "header", "half", "middle", "zeros", "encoding", "json"],
)
def test_a_damaged_index_is_made_anew(folder, damage):
    before = repr(load_histories(folder))
    whole = (folder / NAME).read_bytes()
    assert damage(whole) != whole
    (folder / NAME).write_bytes(damage(whole))
    assert repr(load_histories(folder)) == before
    with closing(sqlite3.connect(folder / NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert numbers(connection)[:2] == [5, 10]


@pytest.mark.parametrize(
    "change",
    [
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 7",
        "DROP TABLE results",
        "ALTER TABLE files DROP COLUMN host",
        "DELETE FROM texts",
        "UPDATE results SET file = 77 WHERE file = 1",
        "UPDATE texts SET text = '3' WHERE text LIKE '%fp16%'",
    ],
)
def test_an_index_of_another_kind_is_made_anew(folder, parsed, change):
    before = repr(load_histories(folder))
    with closing(sqlite3.connect(folder / NAME)) as connection:
        connection.execute(change)
        connection.commit()
    assert repr(load_histories(folder)) == before
    assert len(parsed) == 10
    assert repr(load_histories(folder)) == before
    assert len(parsed) == 10


def test_a_damaged_index_that_cannot_be_taken_away_is_not_used(folder, monkeypatch):
    before, _ = load_histories(folder)
    (folder / NAME).write_bytes(b"not a database at all" * 500)

    def denied(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", denied)
    found, (problem,) = load_histories(folder)
    assert found == before
    assert problem == f"sd history: {folder / NAME}: [Errno 13] Permission denied: stored runs are read without their index"


# Where it cannot be used


def test_a_folder_in_its_place_costs_nothing_but_reading(folder, parsed):
    (folder / NAME).mkdir()
    for _ in range(2):
        count, (problem,) = runs(folder)
        assert count == 10
        assert problem == f"sd history: {folder / NAME}: unable to open database file: stored runs are read without their index"
    assert len(parsed) == 10


def test_a_read_only_index_is_read_and_what_is_new_read_without_it(folder, parsed, monkeypatch):
    runs(folder)
    connect = sqlite3.connect

    def read_only(address, **options):
        if str(address) == str(folder / NAME):
            return connect(f"{(folder / NAME).as_uri()}?mode=ro", uri=True, **options)
        return connect(address, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert runs(folder) == (10, ())
    write_run(folder, [result()], 6)
    (folder / "Linux" / "0001_run.json").unlink()
    parsed.clear()
    count, (problem,) = runs(folder)
    assert count == 9
    assert "attempt to write a readonly database" in problem
    # Once for the index, once without it.
    assert set(parsed) == {"0006_run.json"}


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_index_is_waited_for_briefly(folder, monkeypatch, lock):
    runs(folder)
    write_run(folder, [result()], 6)
    monkeypatch.setattr(index, "PATIENCE_S", 0.05)
    with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        count, (problem,) = runs(folder)
        assert count == 11
        assert "database is locked" in problem
        other.execute("ROLLBACK")
    assert runs(folder) == (11, ())


def test_a_full_disk_loses_nothing_and_is_said(folder):
    # Python would cut the bytecode that it keeps of a module just as short, and trust it ever after.
    limit = "sys.dont_write_bytecode = True; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))"
    said = reader(folder, limit).communicate()[0]
    assert said.startswith("10 sd history: ")
    assert "stored runs are read without their index" in said
    assert runs(folder) == (10, ())


def test_a_file_that_cannot_be_read_is_tried_again(folder, monkeypatch):
    with monkeypatch.context() as patch:

        def denied(_path):
            raise PermissionError(13, "Permission denied")

        patch.setattr("pathlib.Path.read_bytes", denied)
        count, problems = runs(folder)
        assert count == 0
        assert [problem.endswith("cannot be read: Permission denied") for problem in problems] == [True] * 5
    assert runs(folder) == (10, ())


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    (folder / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", denied)
    assert runs(folder) == (10, (f"sd history: {folder / 'closed'}: Permission denied",))


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_is_read_and_can_be_printed(folder):
    (folder / os.fsdecode(b"0007_\xff.json")).write_text("{")
    for _ in range(2):
        count, (problem,) = runs(folder)
        assert count == 10
        assert "0007_\\udcff.json" in problem.encode().decode()


# Several processes


def test_processes_that_index_at_once_all_read_everything(folder):
    for number in range(6, 60):
        write_run(folder / "Linux", [result(), tf32()], number)
    readers = [reader(folder, "index._BATCH, index.PATIENCE_S = 1, 60.0") for _ in range(3)]
    assert [one.communicate()[0] for one in readers] == ["118\n"] * 3
    with closing(sqlite3.connect(folder / NAME)) as connection:
        assert numbers(connection)[:2] == [59, 118]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_process_killed_while_it_indexes_leaves_what_it_has_read(folder, parsed):
    killed = reader(
        folder,
        "import os, signal\nfrom pytest_sdspeed.history.storages import Folder\nindex._BATCH, fetch = 2, Folder.fetch\n"
        "def killing(place, files):\n    '0005' in files[0] and os.kill(os.getpid(), signal.SIGKILL)\n    return fetch(place, files)\n"
        "Folder.fetch = killing",
    )
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert runs(folder) == (10, ())
    assert parsed == ["0005_run.json"]


def test_a_process_killed_while_it_writes_leaves_a_sound_index(folder, parsed):
    killed = reader(
        folder,
        "import os, signal\nfrom pytest_sdspeed.history import database as rows\nindex._BATCH, insert = 2, rows.insert\n"
        "def killing(connection, path, *facts):\n"
        "    '0004' in path and os.kill(os.getpid(), signal.SIGKILL)\n    insert(connection, path, *facts)\n"
        "rows.insert = killing",
    )
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert runs(folder) == (10, ())
    assert parsed == ["0003_run.json", "0004_run.json", "0005_run.json"]


def test_an_index_that_another_process_makes_meanwhile_is_used(folder, monkeypatch):
    empty = iter([True])
    runs(folder)
    monkeypatch.setattr(database, "is_empty", lambda _connection: next(empty, False))
    assert runs(folder) == (10, ())


def test_a_folder_with_nothing_new_is_read_without_numpy(folder):
    runs(folder)
    command = READ.format(first="") + "print('numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", command, str(folder)], capture_output=True, text=True, check=True).stdout
    assert said == "10\nFalse\n"
