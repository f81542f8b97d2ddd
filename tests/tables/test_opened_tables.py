"""Built-in tables are read when they are asked for, and not before; those of users at once."""

import pytest
from builtin_tables import FIRST
from tables_text import VALID

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.tables import add_table, list_builtin_names, load_table, load_tables, loader, open_tables

NAMES = list_builtin_names()


@pytest.fixture
def read(monkeypatch):
    """Name the tables whose files are read, in the order in which they are."""
    names = []

    def load(path, metrics=()):
        table = load_table(path, metrics)
        names.append(table.name)
        return table

    monkeypatch.setattr(loader, "load_table", load)
    return names


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(VALID)
    return path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package with two tables, of which one is broken."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "good.toml").write_text(VALID.replace('"mine"', '"good"'))
    (folder / "bad.toml").write_text(VALID.replace("steps = 50", "steps = 0"))
    monkeypatch.setattr(loader, "_BUILTIN", folder)
    return folder


def test_no_table_is_read_until_one_is_asked_for(read):
    tables = open_tables()
    assert (tables.names, len(tables), tables.added, read) == (NAMES, len(NAMES), (), [])
    assert [table.name for table in tables.find("inference")] == ["inference"]
    assert tables.find("nobody", None) == ()
    assert read == ["inference"]


def test_each_is_read_once_in_the_order_of_the_names_asked_or_not(read):
    tables = open_tables()
    assert [table.name for table in tables.find("legacy", "attention")] == ["attention", "legacy"]
    (attention,) = tables.find("attention")
    assert attention in tables
    assert sorted(read) == ["attention", "legacy"]
    assert [table.name for table in tables] == list(NAMES)
    assert sorted(read) == list(NAMES)
    assert next(table for table in tables if table.name == "attention") is attention


def test_all_of_them_are_what_load_tables_reads(mine):
    assert tuple(open_tables([mine])) == load_tables([mine])
    assert load_table(mine) in open_tables([mine])
    assert load_table(mine) not in open_tables()


def test_a_users_table_is_read_at_once_and_no_built_in_one(mine, read):
    tables = open_tables([mine.parent])
    assert [table.name for table in tables.added] == read == ["mine"]
    assert tables.names == (*NAMES, "mine")


def test_a_users_table_that_is_broken_is_told_at_once(mine):
    mine.write_text(VALID.replace("steps = 50", "steps = 0"))
    with pytest.raises(TableError, match=r"mine\.toml: recipe\.steps: must be at least 1, not 0"):
        open_tables([mine.parent])


def test_a_table_with_the_name_of_a_built_in_one_is_refused_which_reads_that_one_alone(mine, read):
    mine.write_text(VALID.replace('"mine"', '"inference"'))
    with pytest.raises(TableError, match=r"mine\.toml: name: 'inference' for device 'NVIDIA A100' is also in .*inference\.toml"):
        open_tables([mine])
    with pytest.raises(TableError, match=r"mine\.toml: name: 'inference' for device 'NVIDIA A100' is also in .*inference\.toml"):
        add_table(open_tables(), mine)
    assert set(read) == {"inference"}


def test_the_file_of_a_built_in_table_is_that_table_however_it_is_named(tmp_path, read):
    link = tmp_path / "link.toml"
    link.symlink_to(loader.list_builtin_files()[0])
    for path in (loader.list_builtin_files()[0], link):
        tables = open_tables([path])
        assert (tables.added, read) == ((), [])
        again, table = add_table(tables, path)
        assert again is tables
        assert (table,) == tables.find(NAMES[0])
        assert read == [NAMES[0]]
        read.clear()


def test_a_table_that_is_added_shares_what_is_read(mine, read):
    tables = open_tables()
    more, _ = add_table(tables, mine)
    for one in (more, tables):
        assert [table.name for table in one.find(*FIRST, "mine")] == [*FIRST, *(["mine"] if one is more else [])]
    assert sorted(read) == sorted([*FIRST, "mine"])


def test_a_broken_built_in_table_is_told_whenever_it_is_needed_and_only_then(package, mine):
    tables = open_tables([mine])
    assert [table.name for table in tables.find("good", "mine")] == ["good", "mine"]
    said = rf"^{package / 'bad.toml'}: recipe\.steps: must be at least 1, not 0$"
    for ask in (lambda: tables.find("bad"), lambda: tables.find("bad"), lambda: list(tables), load_tables):
        with pytest.raises(TableError, match=said):
            ask()


def test_a_gate_of_a_built_in_table_has_the_metrics_that_were_registered_when_it_was_found(package):
    (package / "good.toml").write_text(VALID.replace('"mine"', '"good"').replace("{psnr = 28", "{sharpness = 3, psnr = 28"))
    metrics = {"sharpness": None}
    tables, fewer = open_tables((), metrics), open_tables()
    metrics.clear()
    assert tables.find("good")[0].row("tf32").image.bounds["sharpness"] == 3
    with pytest.raises(TableError, match="sharpness"):
        fewer.find("good")
