"""What two candidates have in common: what is described of them, and what is compared by identity."""

from __future__ import annotations

import gc
import itertools
import weakref
from functools import partial

import numpy as np
import pytest

from pytest_sdspeed.plugin.bodies import Itself, describe


class Pipe:
    """An object of a class made in Python."""

    def __init__(self, **given):
        self.__dict__.update(given)

    def draw(self):
        return None


def closure(value):
    return lambda: value


def circle():
    one = [1]
    one.append(one)
    return one


class Raises:
    """Raises whatever it is asked."""

    __slots__ = ()

    def __getattribute__(self, name):
        raise RuntimeError(name)


ALIKE = {
    "closures over figures": lambda: closure([1, "two", {"three": 3.0}]),
    "objects of figures": lambda: closure(Pipe(steps=4, size=(512, 512))),
    "objects of objects": lambda: closure(Pipe(inner=Pipe(steps=4))),
    "methods": lambda: Pipe(steps=4).draw,
    "partials": lambda: partial(closure(1), 2, three=3),
    "circles": lambda: closure(circle()),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_what_the_same_code_makes_of_the_same_figures_is_alike(kind):
    make = ALIKE[kind]
    assert describe(make()) == describe(make())


DIFFERENT = {
    "other figures": (lambda: closure(1), lambda: closure(2)),
    "attributes that are not plain": (lambda: Pipe(inner=Pipe(steps=4)), lambda: Pipe(inner=Pipe(steps=5))),
    "attributes of other names": (lambda: Pipe(steps=4), lambda: Pipe(size=4)),
    "arrays": (lambda: closure(np.zeros(3)),) * 2,
    "iterators": (lambda: closure(itertools.count()),) * 2,
    "objects alone": (lambda: closure(object()),) * 2,
    "objects that raise": (lambda: closure(Raises()),) * 2,
    "what lies too deep": (lambda: closure([[[[[[closure(1)]]]]]]),) * 2,
    "what is too long": (lambda: closure([*range(1001)]),) * 2,
    "classes": (lambda: closure(type("Made", (), {})),) * 2,
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_what_cannot_be_told_to_be_alike_is_different(kind):
    first, second = (make() for make in DIFFERENT[kind])
    assert describe(first) != describe(second)
    # Each is itself all the same.
    assert describe(first) == describe(first)


def test_what_is_compared_by_identity_is_not_kept_alive_and_equals_nothing_once_it_is_gone():
    one = Pipe()
    held, alive = Itself(one), weakref.ref(one)
    assert held == Itself(one)
    del one
    gc.collect()
    assert alive() is None
    assert held != Itself(None)
    assert held != held  # noqa: PLR0124 - it stands for nothing any more


def test_a_method_is_what_its_object_and_function_are():
    one, other = Pipe(), Pipe()
    assert Itself(one.draw) == Itself(one.draw)
    assert Itself(one.draw) != Itself(other.draw)
    assert Itself(one.draw) != Itself(None)
    assert Itself(None) == Itself(None)
