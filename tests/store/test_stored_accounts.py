"""The stored form of an account: it reads back, is told from latencies, and a damaged one costs itself alone."""

import json
from dataclasses import replace

import pytest

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.history.parsing import parse_file
from pytest_sdspeed.history.stored_run import read_run
from pytest_sdspeed.model import Account, AccountResult, Place, Recipe, Work
from pytest_sdspeed.store.accounts import StoredAccount, account_from_json, account_to_json, is_account

PLACE = Place("host_sync", "diffusers/loop.py", 12, "t.item()", 4)
STEP = Account(operations=10, host_syncs=1, flops=100, places=(replace(PLACE, count=1),))
ACCOUNT = Account(operations=55, host_syncs=4, flops=500, peak_bytes=80, weight_bytes=None, steps=4, per_step=STEP, uneven_steps=("casts",),
                  stages={"decoding": Account(operations=5)}, places=(PLACE,), work=(Work("aten::mm", "float16", 100, 64, 4),), notes=("differs",))  # fmt: skip
RECIPE = Recipe(model="miniature", prompt="a vase", height=16, width=16, steps=4, scheduler="ddim", more_prompts=("a ship",))
RESULT = AccountResult(table="mine", setup="fp16", account=ACCOUNT, bounds={"host_syncs": 3}, verdict="fail", reasons=("host_syncs is 4, at most 3",),
                       recipe=RECIPE, weights="embedded", optimizations=("fp16",), versions={"torch": "2"}, counted_as="NVIDIA", test="test_x", notes=("n",))  # fmt: skip


def through_json(result, **options):
    return account_from_json(json.loads(json.dumps(account_to_json(result, **options), allow_nan=False)))


def test_it_reads_back_as_it_was_but_for_its_operations_by_size():
    assert through_json(RESULT, work=True) == RESULT
    assert through_json(RESULT) == replace(RESULT, account=replace(ACCOUNT, work=()))


def test_what_is_not_known_is_null_and_reads_back_as_such():
    plain = AccountResult(table=None, setup="engine", account=Account(operations=1))
    stored = account_to_json(plain)
    assert stored["account"]["recompilations"] is None
    assert stored["verdict"] is None
    assert stored["recipe"] is None
    assert through_json(plain) == plain


def test_a_record_of_a_later_version_loads_and_one_of_another_schema_does_not():
    stored = account_to_json(RESULT) | {"later": 1}
    stored["account"] = stored["account"] | {"launches": 3, "per_step": stored["account"]["per_step"] | {"launches": 1}}
    assert account_from_json(stored).account.host_syncs == 4
    with pytest.raises(StoredRunError, match="schema 2 is not 1"):
        account_from_json(stored | {"schema": 2})


@pytest.mark.parametrize(
    "damage", [{"account": None}, {"account": {"places": [3]}}, {"verdict": "good"}, {"recipe": {"model": "m"}}, {"recipe": 3}]
)
def test_a_damaged_record_is_an_error_of_its_own(damage):
    with pytest.raises(StoredRunError, match="not an account of this plugin"):
        account_from_json(account_to_json(RESULT) | damage)


def stored_run(*records):
    tests = [{"fullname": f"test_{place}", "extra_info": {"sdspeed": record}} for place, record in enumerate(records)]
    return json.dumps({"machine_info": {}, "commit_info": {}, "datetime": "2026-01-01", "benchmarks": tests}).encode()


def test_histories_pass_it_over_without_a_word():
    contents = parse_file(stored_run(account_to_json(RESULT)), 0.0)
    assert contents.results == ()
    assert contents.wrong == ()


def test_a_stored_run_has_its_accounts_and_names_the_damaged_one(tmp_path):
    (tmp_path / "run.json").write_bytes(stored_run(account_to_json(RESULT), account_to_json(RESULT) | {"account": 3}))
    run = read_run(tmp_path / "run.json")
    assert [one.setup for one in run.accounts] == ["fp16"]
    assert run.results == ()
    assert "test_1: not an account of this plugin" in run.damaged[0]


def test_it_is_told_from_everything_else_that_may_stand_there():
    assert is_account(account_to_json(RESULT))
    assert not any(map(is_account, [None, 3, "account", {}, {"schema": 1}, {"kind": "latency"}, ["kind"]]))


def test_what_stands_among_the_benchmarks_is_stored_and_not_shown():
    facts = {"group": "g", "name": "n", "fullname": "f", "params": None, "param": None, "extra_info": {"sdspeed": 1}}
    stands = StoredAccount(facts)
    assert not stands
    assert not stands.has_error
    assert stands.as_dict(include_data=True)["stats"]["data"] == []
    assert "data" not in stands.as_dict(include_data=False)["stats"]
    assert stands.as_dict(include_data=False, flat=True)["fullname"] == "f"
