"""Results on their way between processes, as builtins.

At the end they are stored as if the process that stores them had measured them.
"""

from __future__ import annotations

import json
import reprlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.compatibility import make_node
from pytest_sdspeed.store import pictures
from pytest_sdspeed.store.accounts import (
    StoredAccount,
    account_from_json,
    account_to_json,
    describe_test,
)
from pytest_sdspeed.store.benchmark import ACCOUNT_SUFFIX, EXTRA, ReplayClock, play
from pytest_sdspeed.store.records import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model import AccountResult, Result
    from pytest_sdspeed.store.spool import Spool


class Received(NamedTuple):
    """What one test brought.

    Attributes:
        test: what pytest-benchmark keeps of it: ``name``, ``fullname``, ``id`` and ``params`` of
            its parameters, ``extra_info``.
        result: without the full pictures.
    """

    test: Mapping[str, Any]
    result: Result


def pack(result: Result, item: Any, fullname: str) -> dict[str, Any]:
    """Return a result and its test as strict builtins.

    The test is JSON, in which any text can be sent, and pictures are base64. A parameter or extra
    info that JSON cannot hold is kept as text.

    Args:
        result: result of the test.
        item: the test, with its ``benchmark`` fixture, which ``benchmark.store`` has filled.
        fullname: id of the test.
    """
    from pytest_benchmark.utils import safe_dumps

    callspec = getattr(item, "callspec", None)
    test = {
        "name": item.name,
        "fullname": fullname,
        "id": callspec.id if callspec else None,
        "params": _make_writable(callspec.params) if callspec else None,
        "extra_info": _make_writable(item.funcargs["benchmark"].extra_info),
        "group": getattr(item.funcargs["benchmark"], "group", None),
    }
    # Through JSON, as the file will be: a parameter may be any object, and neither execnet nor a
    # report log takes those.
    return {
        "test": safe_dumps(test),
        "exhibits": json.loads(safe_dumps([pictures.pack(one) for one in result.exhibits])),
    }


class ReceivedAccount(NamedTuple):
    """What one test counted.

    Attributes:
        facts: what pytest-benchmark stores of it, see ``accounts.describe_test``.
        result: what was counted.
    """

    facts: Mapping[str, Any]
    result: AccountResult


def pack_account(result: AccountResult, item: Any, fullname: str) -> str:
    """Return an account and its test as JSON.

    Args:
        result: what the test counted.
        item: the test, with its ``benchmark`` fixture.
        fullname: id of the test.
    """
    from pytest_benchmark.utils import safe_dumps

    facts = describe_test(item.funcargs["benchmark"], result)
    params = None if facts["params"] is None else _make_writable(facts["params"])
    extra = _make_writable(facts["extra_info"])
    facts |= {"fullname": fullname + ACCOUNT_SUFFIX, "params": params, "extra_info": extra}
    packed: str = safe_dumps({"facts": facts, "account": account_to_json(result, work=True)})
    return packed


def unpack_account(sent: str) -> ReceivedAccount:
    """Return what ``pack_account`` was given.

    Args:
        sent: what arrived.

    Raises:
        StoredRunError: it is of another version of this plugin.
    """
    packed = json.loads(sent)
    return ReceivedAccount(packed["facts"], account_from_json(packed["account"]))


def store_received_account(session: Any, one: ReceivedAccount) -> None:
    """Give pytest-benchmark's session what the test would have left in this process.

    Args:
        session: the plugin ``whole.SESSION``.
        one: what the test brought.
    """
    session.benchmarks.append(StoredAccount(one.facts))


def _make_writable(values: Mapping[Any, Any]) -> dict[str, Any]:
    from pytest_benchmark.utils import safe_dumps

    found = {}
    for name, value in values.items():
        try:
            safe_dumps(value)
        except Exception:  # noqa: BLE001 - the repr of any object is asked for, and may raise anything
            found[str(name)] = reprlib.repr(value)
        else:
            found[str(name)] = value
    return found


def unpack(sent: Mapping[str, Any], spool: Spool) -> Received:
    """Return what ``pack`` was given.

    Args:
        sent: what arrived.
        spool: where its pictures are until they are stored.

    Raises:
        StoredRunError: it is of another version of this plugin.
    """
    test = json.loads(sent["test"])
    stored = test["extra_info"][EXTRA]
    result = from_json({**stored, "pictures": ()} if isinstance(stored, dict) else stored, Path())
    return Received(
        test,
        replace(result, exhibits=tuple(pictures.unpack(one, spool) for one in sent["exhibits"])),
    )


def store_received(session: Any, one: Received) -> None:
    """Give pytest-benchmark's session the benchmark that the test would have left in this process.

    Args:
        session: the plugin ``whole.SESSION``.
        one: what the test brought.
    """
    from pytest_benchmark.fixture import BenchmarkFixture
    from pytest_benchmark.utils import NameWrapper

    test, clock = one.test, ReplayClock()
    node = make_node(test["name"], test["fullname"])
    if test["id"] is not None:
        node.callspec = SimpleNamespace(id=test["id"], params=test["params"])
    benchmark = BenchmarkFixture(
        node,
        add_stats=session.benchmarks.append,
        logger=session.logger,
        warner=None,
        disabled=False,
        group=test.get("group"),
        **{**session.options, "timer": NameWrapper(clock), "cprofile": False},
    )
    play(benchmark, clock, one.result)
    benchmark.extra_info.update(test["extra_info"])


def silence_warning(session: Any) -> None:
    """Keep pytest-benchmark from warning that it measures nothing under pytest-xdist.

    Args:
        session: the plugin ``whole.SESSION``.
    """
    session.xdist_benchmark_found = False
