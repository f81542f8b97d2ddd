"""Names of optimizations, setups and metrics: the built-in ones and those that users add.

Every run makes a registry, so that its methods import what they need only when they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.setups.names import BUILTIN_SETUPS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_sdspeed.model import PictureMetric, Recipe, RegisteredSetup
    from pytest_sdspeed.pipelines.architectures import Architecture
    from pytest_sdspeed.pipelines.optimization import Optimization


class Registry:
    """What ``pytest_sdspeed_register(registry)`` adds to.

    Attributes:
        setups: the registered setups by name.
        metrics: the registered metrics of pictures by name.
        pipelines: the registered classes of pipelines by name.
        architectures: the registered architectures by the names of their models.
        listener: called with every setup when it is added.
    """

    def __init__(self) -> None:
        self.listener: Callable[[RegisteredSetup], object] = lambda _setup: None
        self._optimizations: dict[str, Optimization] = {}
        self.setups: dict[str, RegisteredSetup] = {}
        self.metrics: dict[str, PictureMetric] = {}
        self.pipelines: dict[str, type] = {}
        self.architectures: dict[str, Architecture] = {}

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
        optimizations: Sequence[str | Mapping[str, Any]],
        *,
        recipe: Recipe | None = None,
        doc: str = "",
    ) -> None:
        """Make a setup, and with it the fixture ``sd_<name>``.

        Args:
            name: lower case letters, digits and underscores.
            optimizations: the stack, in order, built-in or added before: names, or dictionaries of
                a name and options, ``{"name": "first_block_cache", "threshold": 0.08}``.
            recipe: what is generated, or None for the recipe of the table in use.
            doc: one line for ``pytest --fixtures``.

        Raises:
            RegistrationError: the name is malformed or taken, or the stack is one string or one
                dictionary, or has an entry that is neither a name nor one with options.
        """
        from pytest_sdspeed.errors import RegistrationError
        from pytest_sdspeed.model import RegisteredSetup

        if isinstance(optimizations, (str, Mapping)):
            raise RegistrationError(
                f"setup {name!r}: optimizations are a list of names, not {optimizations!r}:"
                f" [{optimizations!r}]"
            )
        _check_name("setup", name, BUILTIN_SETUPS.keys() | self.setups.keys() | RESERVED)
        self.setups[name] = setup = RegisteredSetup(
            name=name,
            optimizations=tuple(_make_label(entry, name) for entry in optimizations),
            recipe=recipe,
            doc=doc,
        )
        self.listener(setup)

    def add_metric(
        self,
        name: str,
        function: Callable[[Any, Any], float],
        *,
        more_is_better: bool = False,
        format: str | None = None,  # noqa: A002 - what it is called by users
    ) -> None:
        """Make a metric of pictures, on which ``image`` may put a bound by its name.

        It is computed for rows whose gate has that bound, in markers and tables. A table file is
        read at the start of a run: what it names has to be registered by then, by a plugin or the
        ``conftest.py`` of the tests' root.

        Args:
            name: lower case letters, digits and underscores.
            function: called with a picture of the candidate and the baseline's, float32 arrays
                (H, W, 3) in [0, 1]; returns a number. Of several pictures the worst counts. What it
                needs it may import when it is called. If it raises or returns NaN, the row fails.
            more_is_better: whether a bound is the least that passes; else it is the most.
            format: how a value is said, with one pair of braces: ``LPIPS {:.3f}``; by default the
                name and four digits.

        Raises:
            RegistrationError: the name is malformed or taken, the function cannot be called, or the
                format shows no number.
        """
        from pytest_sdspeed.errors import RegistrationError
        from pytest_sdspeed.model import BOUNDS, PictureMetric

        _check_name("metric", name, {*BOUNDS, *_MADE_METRICS, *self.metrics})
        if name.startswith(_CONTROL_PREFIX):
            raise RegistrationError(
                f"metric {name!r}: names with {_CONTROL_PREFIX!r} are those of negative controls:"
                " choose another name"
            )
        if not callable(function):
            raise RegistrationError(
                f"metric {name!r}: {function!r} is no function (candidate, baseline) -> number"
            )
        shown = f"{name} {{:.4f}}" if format is None else format
        _check_format(name, shown)
        self.metrics[name] = PictureMetric(
            name=name, function=function, more_is_better=more_is_better, format=shown
        )

    def add_pipeline(self, kind: type) -> None:
        """Make a pipeline class of your own available by its name.

        A recipe may name it, ``pipeline = "MyPipeline"``, and so may the ``model_index.json`` of a
        folder that the class saved. It takes precedence over a class of diffusers of that name.

        Args:
            kind: a class with ``from_pretrained``, best a ``diffusers.DiffusionPipeline``.

        Raises:
            RegistrationError: it is no such class, or another one has its name.
        """
        from pytest_sdspeed.errors import RegistrationError

        missing = [
            name
            for name in ("from_pretrained", "__call__", "components", "config")
            if not hasattr(kind, name)
        ]
        if not isinstance(kind, type) or missing:
            raise RegistrationError(
                f"pipeline {kind!r}: valid: a class, best one that inherits from"
                f" diffusers.DiffusionPipeline; it has no {', '.join(missing) or 'name'}"
            )
        if self.pipelines.get(kind.__name__, kind) is not kind:
            raise RegistrationError(
                f"pipeline {kind.__name__!r} is registered already, as another class: choose"
                " another name"
            )
        self.pipelines[kind.__name__] = kind

    def add_architecture(self, model: str, files: str | Path | Mapping[str, Any]) -> None:
        """Make a model known, by its configuration, to random and tiny weights and to dry runs.

        Args:
            model: name of the model in recipes and tables, such as its id on the hub.
            files: folder that holds ``model_index.json`` and the configuration of each component,
                as diffusers saves them, without weights; or the path of each file in such a folder
                -> its content.

        Raises:
            RegistrationError: the name is taken.
            ModelUnavailableError: what is missing or broken in the configuration.
        """
        from pytest_sdspeed.errors import RegistrationError
        from pytest_sdspeed.pipelines.architectures import (
            ARCHITECTURES,
            make_architecture,
            read_architecture,
        )

        made = (
            make_architecture(model, files)
            if isinstance(files, Mapping)
            else read_architecture(Path(files))
        )
        if model in ARCHITECTURES or self.architectures.get(model, made) != made:
            raise RegistrationError(
                f"architecture {model!r} exists already: choose another name for the model"
            )
        self.architectures[model] = made

    register_architecture = add_architecture

    def optimizations(self) -> dict[str, Optimization]:
        """Return every optimization by name."""
        from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS

        return {part.name: part for part in OPTIMIZATIONS} | self._optimizations

    def stack(self, names: Iterable[str], where: str, recipe: Recipe) -> tuple[Optimization, ...]:
        """Return the optimizations of a stack, in order.

        Args:
            names: labels of optimizations, from a row or a registered setup.
            where: what asks for them, for messages.
            recipe: recipe that names the models of which replacements are taken.

        Raises:
            UnknownNameError: no optimization has that name, or not that option.
            RegistrationError: an option is of another type, or the recipe lacks a model that a part
                of the stack needs.
        """
        known = self.optimizations()
        return tuple(_find_entry(label, known, where, recipe) for label in names)


_MADE_METRICS = ("clip", "clip_baseline", "further")
_CONTROL_PREFIX = "control_"


def _make_label(entry: object, setup: str) -> str:
    """Return the label of an entry of a registered setup's stack."""
    from pytest_sdspeed.errors import RegistrationError
    from pytest_sdspeed.model import StackEntry

    if not isinstance(entry, (str, Mapping)):
        raise RegistrationError(
            f"setup {setup!r}: {entry!r} is no optimization; valid: a name, or a dictionary of a"
            " name and options"
        )
    try:
        return StackEntry.of(entry).label
    except ValueError as error:
        raise RegistrationError(f"setup {setup!r}: {entry!r}: {error}") from None


def _find_entry(
    label: str, known: Mapping[str, Optimization], where: str, recipe: Recipe
) -> Optimization:
    """Return the optimization of a label, with the label's options."""
    from pytest_sdspeed.errors import RegistrationError, UnknownNameError
    from pytest_sdspeed.model import StackEntry

    try:
        entry = StackEntry.parse(label)
    except ValueError as error:
        raise RegistrationError(f"{where}: {error}") from None
    if entry.name not in known:
        raise UnknownNameError("optimization", entry.name, known, where)
    found = known[entry.name].with_options(entry.options, where)
    for role in (*found.replaces.values(), *sorted(found.needs)):
        if recipe.part(role) is None:
            raise RegistrationError(
                f"{where}: optimization {entry.name!r} needs a model: the recipe has no {role!r}"
            )
    return found


def _check_format(name: str, template: object) -> None:
    from pytest_sdspeed.errors import RegistrationError

    try:
        said = (
            {template.format(value) for value in (0.25, 0.75)} if isinstance(template, str) else ()
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        said = ()
    if len(said) != 2:  # noqa: PLR2004 - two numbers read differently
        raise RegistrationError(
            f"metric {name!r}: format={template!r}; valid: text with one pair of braces for the"
            " number, 'LPIPS {:.3f}'"
        )


def _check_name(kind: str, name: str, taken: Iterable[str]) -> None:
    from pytest_sdspeed.errors import RegistrationError

    if not (name.isascii() and name.isidentifier() and name.islower() and name[0] != "_"):
        raise RegistrationError(
            f"{kind} name {name!r}: lower case letters, digits and underscores, a letter first"
        )
    if name in taken:
        raise RegistrationError(f"{kind} {name!r} exists already: choose another name")
