"""The tree of exceptions in the docstring of ``pytest_sdspeed.errors`` is that of its classes."""

import inspect
import re

import pytest

from pytest_sdspeed import errors

LINE = re.compile(r"^( {4,})(\w+)(?: {2,}(.+))?$")


def documented():
    """Return the tree of the docstring: name -> (name of the base, what it means for a user)."""
    found, above = {}, {}
    for indent, name, meaning in (line.groups() for line in map(LINE.match, errors.__doc__.splitlines()) if line):
        depth = len(indent) // 4
        above[depth] = name
        found[name] = (above.get(depth - 1, "Exception"), meaning)
    return found


def test_the_documented_tree_is_that_of_the_classes():
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, Exception)]
    assert {name: base for name, (base, _) in documented().items()} == {found.__name__: found.__base__.__name__ for found in classes}


@pytest.mark.parametrize("name", sorted(documented().keys() - {"SdSpeedError"}))
def test_each_says_what_it_means_for_a_user(name):
    assert re.search(r"exit code|test|note", documented()[name][1])
