"""A worker whose answer nobody waited for is not asked again."""

import pytest

from pytest_sdspeed.errors import WorkerLostError
from pytest_sdspeed.versions.environments import Environment
from pytest_sdspeed.versions.workers import Worker, WorkerConfig


class Interrupted(BaseException):
    """As pytest-timeout raises it: no ``Exception``."""


class Channel:
    RemoteError = ConnectionError

    def __init__(self):
        self.sent = []

    def send(self, request):
        self.sent.append(request)

    def receive(self):
        raise Interrupted


def test_after_a_time_limit_the_next_request_does_not_take_the_answer_of_the_one_before(tmp_path):
    told = WorkerConfig(arguments=[], folder=tmp_path, temporary=tmp_path, program="")
    worker = Worker("old", Environment.__new__(Environment), told)
    ended = []
    worker.environment = type("Named", (), {"label": "main"})()
    worker._group = type("Group", (), {"terminate": lambda _self, timeout: ended.append(timeout)})()
    worker._channel = channel = Channel()
    with pytest.raises(Interrupted):
        worker.ask("draw", 1)
    assert ended
    assert not worker.alive
    with pytest.raises(WorkerLostError, match="the process of main has ended"):
        worker.ask("draw", 2)
    assert channel.sent == [("draw", 1)]
