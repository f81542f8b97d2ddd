"""Stored runs on file systems of fsspec's: what is fetched, and what is said and lost where that fails."""

import os
import sys
from pathlib import Path

import pytest
from fakes import result
from fsspec.implementations.memory import MemoryFileSystem
from places import ADDRESS, dates, upload
from stored import write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.remote import Remote, is_address, open_storage

pytestmark = pytest.mark.usefixtures("bucket")


# The index of an address


def test_only_new_and_changed_files_are_fetched_and_what_is_gone_is_forgotten(tmp_path, bucket, fetched):
    for number in (1, 2, 3):
        write_run(tmp_path / "a", [result()], number)
    upload(bucket, tmp_path / "a")
    for _ in range(2):
        assert dates(ADDRESS)[0] == ["01", "02", "03"]
        assert dates(f"{ADDRESS}/")[0] == ["01", "02", "03"]
        assert fetched == ["0001_run.json", "0002_run.json", "0003_run.json"]
    assert [file.suffix for file in (tmp_path / "cache" / "pytest-sdspeed").iterdir()] == [".sqlite3"]
    del fetched[:]
    # As long as before.
    changed = write_run(tmp_path / "a", [result()], 2, datetime="2026-11-23T10:00:09+00:00")
    bucket.pipe_file("/bucket/runs/0002_run.json", changed.read_bytes())
    bucket.rm("/bucket/runs/0001_run.json")
    assert dates(ADDRESS) == (["03", "09"], ())
    assert fetched == ["0002_run.json"]


def test_a_file_system_that_tells_no_changes_is_read_anew(tmp_path, bucket, fetched, monkeypatch):
    upload(bucket, write_run(tmp_path / "a", [result()]).parent)
    listed = MemoryFileSystem.ls
    monkeypatch.setattr(
        MemoryFileSystem,
        "ls",
        lambda self, path, **_: [{**info, "created": None, "size": None} for info in listed(self, path, detail=True)],
    )
    assert [dates(ADDRESS) for _ in range(2)] == [(["01"], ())] * 2
    assert fetched == ["0001_run.json"] * 2


def test_addresses_have_indexes_of_their_own(tmp_path):
    assert len({Remote(address).index for address in ("s3://a/b", "s3://a/b/", "gs://a/b", "s3://a")}) == 3


@pytest.mark.parametrize("fault", ["a file in its place", "damaged", "nobody's home"])
def test_a_cache_that_cannot_be_used_costs_nothing_but_fetching(tmp_path, bucket, fetched, monkeypatch, fault):
    upload(bucket, write_run(tmp_path / "a", [result()]).parent)
    if fault == "a file in its place":
        (tmp_path / "cache").write_text("x")
    elif fault == "damaged":
        Remote(ADDRESS).index.parent.mkdir(parents=True)
        Remote(ADDRESS).index.write_bytes(b"not a database at all" * 500)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    for _ in range(2):
        found, problems = dates(ADDRESS)
        assert found == ["01"]
        assert [problem.endswith("stored runs are read without their index") for problem in problems] == [True] * (fault != "damaged")
    assert len(fetched) == (1 if fault == "damaged" else 2)


# What breaks


def broken(capsys, *places):
    """Exit status and standard error of the command."""
    status = main(["history", *map(str, places), "--json"])
    out, err = capsys.readouterr()
    assert (status == 0) == bool(out)
    return status, err


def planted(monkeypatch, method, error, after=0):
    """Have a method of the file system in memory raise from a call on."""
    calls, real = [], getattr(MemoryFileSystem, method)

    def raising(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) > after:
            raise error
        return real(self, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, method, raising)


def unknown_protocol(_monkeypatch):
    return "nosuch://bucket/runs", "unknown protocol; valid: a folder, or an address"


def missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    return "s3://bucket/runs", "its protocol needs a package that is not installed: Install s3fs"


def missing_folder(_monkeypatch):
    return "memory://bucket/nowhere", "does not exist: check the address"


def no_permission(monkeypatch):
    planted(monkeypatch, "ls", PermissionError("Access Denied"))
    return "memory://user:secret@bucket/runs", "no permission: Access Denied: check the credentials"


def no_connection(monkeypatch):
    planted(monkeypatch, "ls", RuntimeError("Could not connect\nto endpoint"))
    return ADDRESS, "RuntimeError: Could not connect to endpoint: check the address, the connection"


def no_folder(_monkeypatch):
    MemoryFileSystem().pipe_file("/bucket/runs.json", b"{}")
    return "memory://bucket/runs.json", "is no folder"


FAULTS = [unknown_protocol, missing_package, missing_folder, no_permission, no_connection, no_folder]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_place_that_cannot_be_read_is_named_in_one_line_and_others_are_read(tmp_path, capsys, monkeypatch, fault):
    write_run(tmp_path, [result()])
    address, words = fault(monkeypatch)
    shown = address.replace("user:secret", "***")
    for places, expected in ((("{address}",), 2), (("{address}", tmp_path), 0), ((tmp_path, "{address}"), 0)):
        status, err = broken(capsys, *(str(one).format(address=address) for one in places))
        assert status == expected
        assert err.count("\n") == 1
        assert err.startswith(f"sd history: {shown}: {words}")
        assert "secret" not in err


def test_a_missing_folder_leaves_the_others_theirs(tmp_path, capsys):
    write_run(tmp_path / "a", [result()])
    assert broken(capsys, tmp_path / "nowhere", tmp_path / "a") == (0, f"{tmp_path / 'nowhere'} does not exist\n")
    with pytest.raises(SystemExit, match="2"):
        main(["history", str(tmp_path / "nowhere"), str(tmp_path / "neither")])
    assert "nowhere does not exist; " in capsys.readouterr().err


def test_a_folder_without_permission_is_named_and_others_are_read(tmp_path, capsys, monkeypatch):
    write_run(tmp_path / "a", [result()])
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    line = f"{tmp_path / 'closed'}: Permission denied\n"
    assert broken(capsys, tmp_path / "closed", tmp_path / "a") == (0, f"sd history: {line}")
    assert broken(capsys, tmp_path / "closed") == (2, f"sd history: {line}")


def test_a_connection_that_drops_in_the_middle_loses_nothing_that_was_read(tmp_path, bucket, fetched, monkeypatch):
    for number in range(1, 6):
        write_run(tmp_path / "a", [result()], number)
    upload(bucket, tmp_path / "a")
    write_run(tmp_path / "b", [result()], 9)
    with monkeypatch.context() as patch:
        planted(patch, "cat_file", ConnectionResetError(104, "Connection reset by peer"), after=2)
        found, (problem,) = dates(ADDRESS, tmp_path / "b")
        assert found == ["01", "02", "09"]
        assert problem.startswith(f"sd history: {ADDRESS}: ConnectionResetError: [Errno 104] Connection reset by peer: check ")
        assert problem.endswith(": 3 of 5 files were not read")
    del fetched[:]
    assert dates(ADDRESS, tmp_path / "b") == (["01", "02", "03", "04", "05", "09"], ())
    assert fetched == ["0003_run.json", "0004_run.json", "0005_run.json"]


def test_a_listing_that_drops_in_the_middle_forgets_nothing(tmp_path, bucket, fetched, monkeypatch):
    write_run(tmp_path / "a" / "one", [result()], 1)
    write_run(tmp_path / "a" / "two", [result()], 2)
    upload(bucket, tmp_path / "a")
    assert dates(ADDRESS)[0] == ["01", "02"]
    with monkeypatch.context() as patch:
        planted(patch, "ls", ConnectionResetError("reset"), after=1)
        found = load_from([open_storage(ADDRESS)])
        assert (found.histories, found.read, len(found.problems)) == ((), False, 1)
    assert dates(ADDRESS)[0] == ["01", "02"]
    assert len(fetched) == 2


def test_a_file_and_a_folder_without_permission_are_passed_over_by_name(tmp_path, bucket, monkeypatch):
    write_run(tmp_path / "a", [result()], 1)
    write_run(tmp_path / "a" / "closed", [result()], 2)
    write_run(tmp_path / "a" / "closed", [result()], 3).rename(tmp_path / "a" / "0003_run.json")
    (tmp_path / "a" / "0009_x.json.77.part").write_text("{")
    upload(bucket, tmp_path / "a")
    listed, cat_file = MemoryFileSystem.ls, MemoryFileSystem.cat_file

    def denied(real, part):
        def asked(self, path, *arguments, **options):
            if part in path:
                raise PermissionError("Forbidden")
            return real(self, path, *arguments, **options)

        return asked

    monkeypatch.setattr(MemoryFileSystem, "ls", denied(listed, "closed"))
    monkeypatch.setattr(MemoryFileSystem, "cat_file", denied(cat_file, "0003"))
    found, problems = dates(ADDRESS)
    assert found == ["01"]
    assert problems[0] == f"sd history: {ADDRESS}/closed/: no permission"
    assert problems[1] == f"sd history: passed over {ADDRESS}/0003_run.json: cannot be read: Forbidden"
    assert problems[2].startswith(f"sd history: passed over {ADDRESS}/0009_x.json.77.part: left by a run")


@pytest.mark.parametrize("text", ["C:\\runs\\nightly", "C:/runs/nightly", "file://C:/runs", "\\\\server\\share\\runs", "runs"])
def test_a_path_of_windows_is_no_address(text):
    assert not is_address(text)
