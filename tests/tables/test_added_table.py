"""One more table for those that are loaded, and the tolerance in seconds of a table and of its rows."""

import pytest
from tables_text import VALID

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import TableSet
from pytest_sdspeed.tables import add_table, dumps_table, load_table, load_tables, open_tables
from pytest_sdspeed.tables.parser import parse_table

NONE = TableSet({})
OWN = VALID.replace("image = {psnr = 28", "image = {sharpness = 3, psnr = 28")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(VALID)
    return file


def test_it_comes_after_those_that_are_loaded(path):
    tables, table = add_table(open_tables(), path)
    assert tuple(tables) == (*load_tables(), table)
    assert table == load_table(path)
    tables, again = add_table(NONE, path)
    assert (tuple(tables), again) == ((table,), table)


def test_a_file_that_is_loaded_is_not_read_again_however_it_is_named(path, tmp_path, monkeypatch):
    tables, table = add_table(open_tables(), path)
    path.write_text("broken")
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    (tmp_path / "a").mkdir()
    for name in (path, path.relative_to(tmp_path), tmp_path / "a" / ".." / "mine.toml", link):
        again, found = add_table(tables, name)
        assert again is tables
        assert found is table


def test_one_that_was_loaded_by_another_name_is_known_too(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables, table = add_table(NONE, path.relative_to(tmp_path))
    assert add_table(tables, path) == (tables, table)


def test_another_file_of_its_name_is_refused(path, tmp_path):
    tables, _ = add_table(open_tables(), path)
    other = tmp_path / "other.toml"
    other.write_text(VALID)
    with pytest.raises(TableError, match=r"other.toml: name: 'mine' for device 'NVIDIA A100' is also in .*mine.toml"):
        add_table(tables, other)


def test_its_gates_may_have_bounds_on_the_metrics_that_are_registered(path):
    path.write_text(OWN)
    with pytest.raises(TableError, match="sharpness"):
        add_table(NONE, path)
    with pytest.raises(TableError, match="sharpness"):
        add_table(NONE, path, ("other",))
    for metrics in (("sharpness",), None):
        _, table = add_table(NONE, path, metrics)
        assert table.row("tf32").image.bounds["sharpness"] == 3


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(TableError, match=r"nowhere\.toml: cannot be read"):
        add_table(NONE, tmp_path / "nowhere.toml")


# Seconds


def seconds(text):
    return [row.tolerance_s for row in parse_table(text, "mine.toml").rows]


HEAD = VALID.replace('device = "NVIDIA A100"\n', 'device = "NVIDIA A100"\ntolerance_s = 0.002\n')


def test_a_row_has_its_own_seconds_or_its_tables_or_none():
    own = 'setup = "tf32"\ntolerance_s = 0.003\n'
    assert seconds(VALID) == [None] * 4
    assert seconds(HEAD) == [0.002] * 4
    assert seconds(HEAD.replace('setup = "tf32"\n', own)) == [0.002, 0.003, 0.002, 0.002]
    assert seconds(VALID.replace('setup = "tf32"\n', own)) == [None, 0.003, None, None]
    assert seconds(HEAD.replace('setup = "tf32"\n', own.replace("0.003", "0"))) == [0.002, 0, 0.002, 0.002]
    assert all(isinstance(one, float) for one in seconds(HEAD))


def test_they_are_written_as_they_were_read():
    for text in (VALID, HEAD, HEAD.replace('setup = "tf32"\n', 'setup = "tf32"\ntolerance_s = 0\nmemory = 0.5\n')):
        table = parse_table(text, "mine.toml")
        written = dumps_table(table)
        assert parse_table(written, "mine.toml").rows == table.rows
        assert written.count("tolerance_s") == len([one for one in seconds(text) if one is not None])


@pytest.mark.parametrize(("given", "said"), [("-0.1", "0 or greater"), ('"1 ms"', "a number"), ("inf", "finite"), ("nan", "finite")])
def test_what_is_no_number_of_seconds_is_refused(given, said):
    with pytest.raises(TableError, match=f"tolerance_s: .*{said}"):
        seconds(HEAD.replace("tolerance_s = 0.002", f"tolerance_s = {given}"))
    with pytest.raises(TableError, match=rf"rows\[1\].tolerance_s: .*{said}"):
        seconds(VALID.replace('setup = "tf32"\n', f'setup = "tf32"\ntolerance_s = {given}\n'))
