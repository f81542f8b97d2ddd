"""Results on their way between processes: whatever a test's parameters and extra info are, they arrive, and can be stored."""

import json
from types import SimpleNamespace

import execnet
import pytest
from fakes import result

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.store.records import to_json
from pytest_sdspeed.store.spool import Spool
from pytest_sdspeed.store.transfer import pack, unpack
from pytest_sdspeed.store.whole import WholeStorage


class Engine:
    """An object that JSON cannot hold."""

    def __repr__(self):
        return "<engine of 7 layers>"


class Silent:
    """An object that does not even tell what it is."""

    def __repr__(self):
        raise RuntimeError("no words")


def looped():
    """A list that holds itself."""
    values = [1]
    values.append(values)
    return values


@pytest.fixture
def spool():
    kept = Spool(pytest.fail)
    yield kept
    kept.close()


def arrived(spool, params=None, **extra_info):
    """What arrives of a test: sent as execnet sends it, and as a report log keeps it."""
    one = result()
    item = SimpleNamespace(name="test_row[x]", funcargs={"benchmark": SimpleNamespace(extra_info={"sdspeed": to_json(one), **extra_info})})
    if params is not None:
        item.callspec = SimpleNamespace(id="x", params=params)
    message = pack(one, item, "t.py::test_row[x]")
    assert execnet.loads(execnet.dumps(message)) == message
    back = unpack(json.loads(json.dumps(message)), spool)
    assert to_json(back.result) == to_json(one)
    return back.test


def stored(tmp_path, test):
    """The same once it was written as pytest-benchmark's file is."""
    from pytest_benchmark.logger import Logger
    from pytest_benchmark.storage.file import FileStorage

    lost = []
    storage = FileStorage(tmp_path, Logger(), default_machine_id="Linux")
    WholeStorage(storage, lambda *what: lost.append(what)).save({"benchmarks": [dict(test)]}, "x")
    assert lost == []
    (file,) = tmp_path.glob("Linux/*.json")
    return json.loads(file.read_text())["benchmarks"][0]


def test_a_parameter_that_is_an_object_is_sent_as_pytest_benchmark_would_store_it(spool, tmp_path):
    test = arrived(spool, {"engine": Engine(), "steps": 4, "nested": {"sizes": [512, None]}})
    assert test["params"] == {"engine": "UNSERIALIZABLE[<engine of 7 layers>]", "steps": 4, "nested": {"sizes": [512, None]}}
    assert stored(tmp_path, test)["params"] == stored(tmp_path / "here", {"params": {**test["params"], "engine": Engine()}})["params"]


def test_an_object_that_cannot_be_told_spoils_nothing(spool):
    params = arrived(spool, {"engine": Silent(), "steps": 4})["params"]
    assert params["steps"] == 4
    assert "Silent" in params["engine"]


@pytest.mark.parametrize("text", ["\ud800", "half a \udcff name", "\x00", "é 猫"])
def test_any_text_is_sent(spool, tmp_path, text):
    test = arrived(spool, {"prompt": text}, note=text)
    assert (test["params"]["prompt"], test["extra_info"]["note"]) == (text, text)
    assert stored(tmp_path, test)["extra_info"]["note"] == text


def test_a_list_that_holds_itself_is_sent_in_short(spool, tmp_path):
    test = arrived(spool, {"values": looped()}, seen=looped(), count=2)
    assert test["params"] == {"values": "[1, [1, [1, [1, [1, [1, [...]]]]]]]"}
    assert (test["extra_info"]["seen"], test["extra_info"]["count"]) == (test["params"]["values"], 2)
    assert stored(tmp_path, test)["params"] == test["params"]


def test_a_test_without_parameters_and_names_that_are_no_text_are_sent(spool):
    assert arrived(spool)["params"] is None
    assert arrived(spool, {3: "three"})["params"] == {"3": "three"}


def test_a_record_that_could_not_be_sent_is_said_to_be_none(spool):
    test = {"name": "test_row", "fullname": "t.py::test_row", "id": None, "params": None, "extra_info": {"sdspeed": "<a repr>"}}
    with pytest.raises(StoredRunError, match="schema None is not 1"):
        unpack({"test": json.dumps(test), "exhibits": []}, spool)
