"""Code that every pipeline runs stays what it is: who replaces it fails by its name, and the baseline draws as before."""

from __future__ import annotations

import functools
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from merging import optimization

from pytest_sdspeed.errors import ChangedPartError

pytestmark = pytest.mark.slow


def scale(function):
    @functools.wraps(function)
    def scaled(*arguments, **named):
        found = function(*arguments, **named)
        return found * 0.9 if isinstance(found, torch.Tensor) else found

    return scaled


def replace_step(pipeline, _recipe):
    kind = type(pipeline.scheduler)
    step = kind.step
    kind.step = lambda self, output, *more, **named: step(self, output * 0.9, *more, **named)


def replace_encoding(pipeline, _recipe):
    kind = type(pipeline)
    kind.encode_prompt = scale(kind.encode_prompt)


def replace_static(pipeline, _recipe):
    kind = type(pipeline.image_processor)
    kind.denormalize = staticmethod(lambda images: images * 0 + 0.25)


def replace_function(_pipeline, _recipe):
    torch.nn.functional.silu = scale(torch.nn.functional.silu)


def add_method(pipeline, _recipe):
    type(pipeline.scheduler).__call__ = lambda self: self


REPLACED = {
    "Scheduler.step": replace_step,
    "Pipeline.encode_prompt": replace_encoding,
    "Processor.denormalize": replace_static,
    "torch.nn.functional.silu": replace_function,
    "Scheduler.__call__": add_method,
}


@pytest.mark.parametrize("named", REPLACED)
def test_code_that_building_replaces_for_all_is_named_and_put_back(named, make, drawn):
    with pytest.raises(ChangedPartError, match=rf"building setup 'tested' replaced code .*{named}.* It is put back"):
        make(extra=[optimization(REPLACED[named])]).build()
    assert np.array_equal(make().generate(0), drawn)


def test_code_that_a_slot_leaves_replaced_is_named_and_put_back(make, drawn):
    @contextmanager
    def slot():
        replace_function(None, None)
        yield

    row = make(extra=[optimization(slot=slot)])
    with pytest.raises(ChangedPartError, match=r"setup 'tested' replaced code .*silu"):
        row.generate(0)
    assert np.array_equal(make().generate(0), drawn)


def test_code_that_is_replaced_on_the_pipeline_alone_or_only_inside_of_a_slot_is_fine(make, drawn):
    def own(pipeline, _recipe):
        step = pipeline.scheduler.step
        pipeline.scheduler.step = lambda output, *more, **named: step(output * 0.9, *more, **named)

    @contextmanager
    def slot():
        was = torch.nn.functional.silu
        torch.nn.functional.silu = scale(was)
        yield
        torch.nn.functional.silu = was

    row = make(extra=[optimization(own, slot=slot)])
    assert not np.array_equal(row.generate(0), drawn)
    assert np.array_equal(make().generate(0), drawn)
