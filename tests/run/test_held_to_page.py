"""What a page says of a row is held to the row's account, and to its baseline's."""

from types import SimpleNamespace

import pytest

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.model import Account
from pytest_sdspeed.run.account_results import count_target
from pytest_sdspeed.run.setup_counts import SetupCounts
from pytest_sdspeed.run.targets import Target
from pytest_sdspeed.setups.catalog import Catalog
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.tables import open_tables

TABLE, ROW = "distillation", "distilled"  # its page promises 95% of its baseline's memory


@pytest.fixture
def count(monkeypatch):
    """A function that counts the row with these accounts, or exceptions, of itself and its baseline."""
    registry, tables = Registry(), open_tables()
    catalog = Catalog(tables, registry, gpu=True, device=lambda: "")
    resolved = catalog.choose(TABLE, ROW, "test")
    session = SimpleNamespace(
        tables=tables, catalog=catalog, registry=registry, counts=SetupCounts(registry),
        stack_of=lambda one: registry.stack(one.optimizations, "test", one.recipe),
    )  # fmt: skip
    setup = SimpleNamespace(name=ROW, resolved=resolved, precision="float32")

    def count(own, baseline):
        def find(one, _stack, _registry):
            found = own if one.setup == ROW else baseline
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr("pytest_sdspeed.run.accounting.count_setup", find)
        return count_target(Target(ROW, setup, None), session, {})

    return count


@pytest.mark.parametrize(("peak", "verdict"), [(90, None), (99, "fail")])
def test_the_memory_of_a_row_is_held_to_its_baselines(count, peak, verdict):
    result = count(Account(operations=1, peak_bytes=peak), Account(operations=1, peak_bytes=100))
    assert result.verdict == verdict


@pytest.mark.parametrize("error", [UnknownNameError("architecture", "a/b", []), RuntimeError("no such kernel")])
def test_a_row_whose_baseline_cannot_be_counted_keeps_its_account_and_a_note_says_why(count, error):
    result = count(Account(operations=7, peak_bytes=99), error)
    assert result.account.operations == 7
    assert result.verdict is None
    assert any("its memory was not held to the page, as its baseline: " in note and str(error)[:10] in note for note in result.notes)
