"""Which tables the catalog reads for an answer, and that it gives the answer it would give with all of them."""

import pytest
from builtin_tables import FIRST, load_later

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.model import TableSet
from pytest_sdspeed.setups.catalog import Catalog
from pytest_sdspeed.setups.names import BUILTIN_SETUPS
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.tables import load_tables

TABLES = {table.name: table for table in load_tables()}
LATER = {row.setup: table.name for table in load_later() for row in table.rows}


class Unread:
    """A catalog of tables that nobody has read yet, and the names of those that it reads."""

    def __init__(self, *, gpu=True, added=()):
        self.read = []
        readers = {name: lambda name=name: self.read.append(name) or TABLES[name] for name in TABLES}
        self.catalog = Catalog(TableSet(readers, added), Registry(), gpu=gpu, device=lambda: "NVIDIA H200")


def test_a_table_that_is_named_is_read_alone():
    for name in ("inference", "attention", next(reversed(TABLES))):
        found = Unread()
        row = TABLES[name].rows[-1]
        assert found.catalog.choose(name, row.setup, "").row is row
        assert found.catalog.list_setups(name, "")[-1] == row.setup
        assert found.catalog.find_campaign(name, row.setup) == (name, row.baseline)
        assert found.catalog.is_setup(row.setup)
        assert found.read == [name]


def test_a_test_that_names_no_table_needs_the_default_one():
    for gpu, name in ((True, "inference"), (False, "miniature")):
        found = Unread(gpu=gpu)
        assert found.catalog.choose(None, "baseline", "").table is TABLES[name]
        assert found.catalog.list_setups(None, "")[0] == "baseline"
        assert found.read == [name]


def test_an_unknown_table_is_explained_without_reading_any():
    found = Unread()
    with pytest.raises(
        UnknownNameError, match=r"unknown table 'inferense'; did you mean 'inference'\? valid: animatediff_casting, .*xdit_"
    ):
        found.catalog.find_tables("inferense", "")
    assert found.read == []


def test_a_setup_that_the_default_table_lacks_is_looked_for_in_all():
    found = Unread()
    assert found.catalog.choose(None, "bf16", "").table is TABLES["stack"]
    assert set(found.read) == set(TABLES)


@pytest.mark.parametrize("gpu", [True, False])
def test_every_setup_is_found_as_if_all_tables_had_been_read(gpu):
    whole = Catalog(TableSet({}, TABLES.values()), Registry(), gpu=gpu, device=lambda: "NVIDIA H200")
    for setup in (*BUILTIN_SETUPS, *LATER, "nobody"):
        assert Unread(gpu=gpu).catalog.choose_table(setup) == whole.choose_table(setup), setup
    for setup in BUILTIN_SETUPS:
        for name in (None, *FIRST):
            unread = Unread(gpu=gpu).catalog.choose(name, setup, "", undocumented=True)
            assert unread == whole.choose(name, setup, "", undocumented=True), (name, setup)


def test_names_of_fixtures_are_told_from_setups_without_reading_other_tables():
    for setup, name in LATER.items():
        found = Unread()
        assert found.catalog.is_setup(setup)
        assert name in found.read
        assert all(setup.startswith(f"{one}_") for one in found.read)
    found = Unread()
    assert all(map(found.catalog.is_setup, BUILTIN_SETUPS))
    assert not any(map(found.catalog.is_setup, ("my_engine", "nobody", "", "inference", "fp16_", "wan")))
    assert found.read == []


def test_the_row_of_a_users_table_is_a_setup_whatever_its_name_is():
    mine = TABLES["inference"]
    row = TABLES["tome_v100"].rows[-1]
    found = Unread(added=[type(mine)(name="mine", title="", source="", device="NVIDIA A100", rows=(row,))])
    assert found.catalog.is_setup(row.setup)
    assert found.read == []
