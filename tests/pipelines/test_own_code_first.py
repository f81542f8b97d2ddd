"""An optimization of the user's own may be what draws first: what the libraries leave in shared modules then is not its doing."""

import pytest
from small_pipelines import maker
from tiny_pipelines import tiny_recipe

from pytest_sdspeed import Optimization
from pytest_sdspeed.errors import ChangedPartError
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines.pool import Pool

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def set_attribute(pipeline, _recipe):
    def leave(module, _args):
        module._conv_number = 1

    part = getattr(pipeline, "transformer", None) or pipeline.unet
    part.register_forward_pre_hook(leave)


@pytest.fixture(scope="module", params=["sdxl", "sd3", "flux", "wan", "ltx", "img2img", "inpaint"])
def make(request, tmp_path_factory, source, cpu):
    return maker(tiny_recipe(request.param, tmp_path_factory.mktemp("tiny")), Pool(source), cpu)


def draw(setup):
    setup.build()
    with setup.slot():
        setup.draw(Case(0))
    setup.check()


def test_what_the_libraries_leave_is_nobodys_fault(make):
    draw(make(extra=[Optimization(name="own", summary="does nothing")]))


def test_what_an_own_hook_leaves_is(make):
    changing = Optimization(name="own", summary="leaves something", apply=set_attribute)
    with pytest.raises(ChangedPartError):
        draw(make(extra=[changing]))
