"""Results on their way between processes: builtins only, and stored at the end as if the process that stores them had measured them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.history import pictures
from pytest_sdspeed.history.records import result_of
from pytest_sdspeed.history.saving import EXTRA, ReplayClock, play

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.history.spool import Spool
    from pytest_sdspeed.model import Result


class Received(NamedTuple):
    """What came of one test.

    Attributes:
        test: what pytest-benchmark keeps of it: ``name``, ``fullname``, ``id`` and ``params`` of its parameters, ``extra_info``.
        result: without the full pictures.
    """

    test: Mapping[str, Any]
    result: Result


def packed(result: Result, item: Any, fullname: str) -> dict[str, Any]:
    """A result and its test as strict builtins, pictures in base64.

    Args:
        result: of the test.
        item: the test, with its ``benchmark`` fixture, which has been through ``saving.store``.
        fullname: its id.
    """
    from pytest_benchmark.utils import safe_dumps

    callspec = getattr(item, "callspec", None)
    test = {
        "name": item.name,
        "fullname": fullname,
        "id": callspec.id if callspec else None,
        "params": dict(callspec.params) if callspec else None,
        "extra_info": item.funcargs["benchmark"].extra_info,
    }
    # Through JSON, as the file will be: a parameter may be any object, and neither execnet nor a report log takes those.
    unpacked: dict[str, Any] = json.loads(safe_dumps({"test": test, "exhibits": [pictures.packed(one) for one in result.exhibits]}))
    return unpacked


def received(sent: Mapping[str, Any], spool: Spool) -> Received:
    """What ``packed`` made, unpacked.

    Args:
        sent: what arrived.
        spool: where its pictures are until they are stored.

    Raises:
        StoredRunError: it is of another version of this plugin.
    """
    test = sent["test"]
    stored = test["extra_info"][EXTRA]
    result = result_of({**stored, "pictures": ()}, Path())
    return Received(test, replace(result, exhibits=tuple(pictures.unpacked(one, spool) for one in sent["exhibits"])))


def store_received(session: Any, one: Received) -> None:
    """Give pytest-benchmark's session the benchmark that the test would have left in this process.

    Args:
        session: the plugin ``storage.SESSION``.
        one: what came of the test.
    """
    from pytest_benchmark.fixture import BenchmarkFixture
    from pytest_benchmark.utils import NameWrapper

    test, clock = one.test, ReplayClock()
    node = SimpleNamespace(name=test["name"], nodeid=test["fullname"])
    if test["id"] is not None:
        node.callspec = SimpleNamespace(id=test["id"], params=test["params"])
    benchmark = BenchmarkFixture(
        node,
        add_stats=session.benchmarks.append,
        logger=session.logger,
        warner=None,
        disabled=False,
        **{**session.options, "timer": NameWrapper(clock)},
    )
    play(benchmark, clock, one.result)
    benchmark.extra_info.update(test["extra_info"])


def without_warning(session: Any) -> None:
    """Keep pytest-benchmark from warning that it measures nothing under pytest-xdist.

    Args:
        session: the plugin ``storage.SESSION``.
    """
    session.xdist_benchmark_found = False
