"""What a worker of a comparison sends, and when it sends it again."""

import numpy as np

from pytest_sdspeed.plugin.settings import read_options
from pytest_sdspeed.run.session import Session
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.versions.server import WorkerServer

PICTURE = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)


def draw():
    return PICTURE


def test_the_pictures_of_a_new_campaign_are_sent_though_an_earlier_one_had_the_same(request):
    """A test that runs again has a new arm, which has nothing of what the worker sent before."""
    server = WorkerServer(Session(read_options(request.config), Registry()), None)
    asked = ("call", f"{__name__}:draw")

    def drawn():
        kind, told = server.answer("draw", asked, 0, "", 0)
        assert kind == "ok", told
        return told["pictures"]

    server.answer("build", asked)
    assert drawn() != "same"
    assert drawn() == "same"
    server.answer("build", asked)
    assert drawn() != "same"
