"""Names of optimizations and setups: the built-in ones and those that users add.

Every run makes a registry, so that its methods import what they need only when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.setups.names import BUILTIN_SETUPS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_sdspeed.model import Recipe, RegisteredSetup
    from pytest_sdspeed.pipelines.optimization import Optimization


class Registry:
    """What ``pytest_sdspeed_register(registry)`` adds to.

    Attributes:
        setups: the registered setups by name.
        listener: called with every setup when it is added.
    """

    def __init__(self) -> None:
        self.listener: Callable[[RegisteredSetup], object] = lambda _setup: None
        self._optimizations: dict[str, Optimization] = {}
        self.setups: dict[str, RegisteredSetup] = {}

    def add_optimization(self, optimization: Optimization) -> None:
        """Make an optimization available to tables and setups by its name.

        Raises:
            RegistrationError: the name is malformed or taken.
        """
        from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS

        taken = {part.name for part in OPTIMIZATIONS} | self._optimizations.keys()
        _check_name("optimization", optimization.name, taken)
        self._optimizations[optimization.name] = optimization

    def add_setup(
        self,
        name: str,
        optimizations: Sequence[str],
        *,
        recipe: Recipe | None = None,
        doc: str = "",
    ) -> None:
        """Make a setup, and with it the fixture ``sd_<name>``.

        Args:
            name: lower case letters, digits and underscores.
            optimizations: names of the stack, in order; built-in or added before.
            recipe: what is generated, or None for the recipe of the table in use.
            doc: one line for ``pytest --fixtures``.

        Raises:
            RegistrationError: the name is malformed or taken, or the stack is one string.
        """
        from pytest_sdspeed.errors import RegistrationError
        from pytest_sdspeed.model import RegisteredSetup

        if isinstance(optimizations, str):
            raise RegistrationError(
                f"setup {name!r}: optimizations are a list of names, not {optimizations!r}:"
                f" [{optimizations!r}]"
            )
        _check_name("setup", name, BUILTIN_SETUPS.keys() | self.setups.keys() | RESERVED)
        self.setups[name] = setup = RegisteredSetup(
            name=name, optimizations=tuple(optimizations), recipe=recipe, doc=doc
        )
        self.listener(setup)

    def optimizations(self) -> dict[str, Optimization]:
        """Return every optimization by name."""
        from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS

        return {part.name: part for part in OPTIMIZATIONS} | self._optimizations

    def stack(self, names: Iterable[str], where: str, recipe: Recipe) -> tuple[Optimization, ...]:
        """Return the optimizations of a stack, in order.

        Args:
            names: names of optimizations, from a row or a registered setup.
            where: what asks for them, for messages.
            recipe: recipe that names the models of which replacements are taken.

        Raises:
            UnknownNameError: no optimization has that name.
            RegistrationError: the recipe lacks a model that a part of the stack needs.
        """
        from pytest_sdspeed.errors import RegistrationError, UnknownNameError

        known = self.optimizations()
        found = []
        for name in names:
            if name not in known:
                raise UnknownNameError("optimization", name, known, where)
            for field in known[name].replaces.values():
                if getattr(recipe, field) is None:
                    raise RegistrationError(
                        f"{where}: optimization {name!r} needs a model: the recipe has no {field!r}"
                    )
            found.append(known[name])
        return tuple(found)


def _check_name(kind: str, name: str, taken: Iterable[str]) -> None:
    from pytest_sdspeed.errors import RegistrationError

    if not (name.isascii() and name.isidentifier() and name.islower() and name[0] != "_"):
        raise RegistrationError(
            f"{kind} name {name!r}: lower case letters, digits and underscores, a letter first"
        )
    if name in taken:
        raise RegistrationError(f"{kind} {name!r} exists already: choose another name")
