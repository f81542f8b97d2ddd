"""The files at the end of a run: written whole, or the ones that were there stay."""

import errno
import os
from pathlib import Path

import pytest

from pytest_sdspeed.plugin.summary import _write


def full_disk(*_arguments):
    raise OSError(28, "No space left on device")


class HalfFile:
    """A file that takes half of what is written to it, as a full disk does."""

    def __init__(self, file):
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._file.close()

    def write(self, content):
        self._file.write(content[: len(content) // 2])
        full_disk()


def test_a_report_is_written_over_the_old_one(tmp_path):
    report = tmp_path / "report.html"
    report.write_text("old, and much longer than the new one")
    assert _write("sd report", report, lambda: "new \ud800") == f"sd report: {report}"
    assert report.read_text() == "new \\ud800"
    assert list(tmp_path.iterdir()) == [report]


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_report_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch, step):
    report = tmp_path / "report.html"
    report.write_text("old")
    opened = Path.open
    if step == "write":
        monkeypatch.setattr(Path, "open", lambda path, *mode: HalfFile(opened(path, *mode)))
    else:
        monkeypatch.setattr(Path, "replace", full_disk)
    said = _write("sd report", report, lambda: "new" * 1000)
    monkeypatch.undo()
    assert said == f"sd report: {report} could not be written: No space left on device"
    assert report.read_text() == "old"
    assert list(tmp_path.iterdir()) == [report]


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path):
    report = tmp_path / "report.html"
    report.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _write("sd report", report, lambda: str(1 / 0))
    assert report.read_text() == "old"


def test_a_link_stays_one_and_a_summary_is_added_to(tmp_path):
    target, link = tmp_path / "target.html", tmp_path / "link.html"
    target.write_text("old")
    link.symlink_to(target)
    _write("sd report", link, lambda: "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    _write("sd summary", target, lambda: ", more", mode="a")
    assert target.read_text() == "new, more"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert _write("sd report", pipe, lambda: "new") == f"sd report: {pipe}"
        assert os.read(reader, 100) == b"new"
        assert pipe.is_fifo()
    finally:
        os.close(reader)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EBUSY])
def test_a_file_in_a_folder_that_takes_no_other_is_written_in_place(tmp_path, monkeypatch, number):
    report = tmp_path / "report.html"
    report.write_text("old, and much longer than the new one")

    def refused(*_arguments):
        raise OSError(number, "not beside this one")

    monkeypatch.setattr(Path, "replace", refused)
    assert _write("sd report", report, lambda: "new") == f"sd report: {report}"
    assert (report.read_text(), list(tmp_path.iterdir())) == ("new", [report])
    report.unlink()
    assert _write("sd report", report, lambda: "new") == f"sd report: {report} could not be written: not beside this one"
    assert list(tmp_path.iterdir()) == []
