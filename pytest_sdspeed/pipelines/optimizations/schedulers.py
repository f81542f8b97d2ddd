"""Another scheduler in the place of the recipe's, as those that need few steps."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.watching import watch_method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_sdspeed.model import Recipe

_MARK = "sdspeed_replaces"
"""Attribute of a scheduler that was put in the place of another: how it differs, or ""."""


def _apply_scheduler(pipeline: Any, recipe: Recipe, **options: Any) -> None:
    """Put a scheduler of another class, or with other settings, in the place of the pipeline's.

    Raises:
        RegistrationError: no class and no setting is given, or the class has no such setting.
        UnknownNameError: diffusers has no scheduler of that name.
    """
    from pytest_sdspeed.pipelines.schedulers import make_scheduler

    name, config, steps = options["class"], options["config"], options["steps"]
    if not (name or config or steps):
        raise RegistrationError(
            'scheduler: give it a class, settings or steps: {name = "scheduler", class ='
            ' "LCMScheduler", config = {...}, steps = 4}'
        )
    own = pipeline.scheduler
    made = make_scheduler(name or None, own)
    unknown = sorted(config.keys() - made.config.keys())
    if unknown:
        raise RegistrationError(
            f"scheduler: {type(made).__name__} has no setting {', '.join(unknown)}; valid:"
            f" {', '.join(sorted(one for one in made.config if not one.startswith('_')))}"
        )
    made = type(made).from_config(made.config, **config)
    setattr(made, _MARK, _describe_difference(own, made))
    if steps:
        _set_steps(made, steps, recipe.steps)
    pipeline.scheduler = made


def _describe_difference(own: Any, made: Any) -> str:
    """Say how a scheduler differs from that in whose place it is; "" if it does not."""
    if type(own) is not type(made):
        return f"in the place of {type(own).__name__}"
    before, after = _read_settings(own), _read_settings(made)
    changed = [f"{name}={value!r}" for name, value in after.items() if before.get(name) != value]
    return f"with {', '.join(changed)}" if changed else ""


def _read_settings(scheduler: Any) -> Mapping[str, Any]:
    return {name: value for name, value in scheduler.config.items() if not name.startswith("_")}


def _set_steps(scheduler: Any, steps: int, of_recipe: int) -> None:
    """Have a scheduler take as many steps, whatever number its pipeline asks for.

    As many as the recipe has make no difference.
    """
    original = scheduler.set_timesteps
    if steps != of_recipe:
        asked = f"{getattr(scheduler, _MARK)} " if getattr(scheduler, _MARK) else ""
        setattr(scheduler, _MARK, f"{asked}in {steps} steps")

    @wraps(original)
    def set_timesteps(num_inference_steps: Any = None, *args: Any, **kwargs: Any) -> Any:
        if num_inference_steps is None or any(
            kwargs.get(name) is not None for name in ("timesteps", "sigmas")
        ):
            raise RegistrationError(
                "scheduler: the pipeline gives its scheduler times of its own, for the steps of the"
                " recipe: state the steps there, in a table of its own"
            )
        return original(steps, *args, **kwargs)

    scheduler.set_timesteps = set_timesteps


@contextmanager
def _prove_scheduler(pipeline: Any, **_options: Any) -> Iterator[Callable[[], Finding]]:
    """Count the steps of the scheduler, if it differs from the one in whose place it is."""
    scheduler, calls = pipeline.scheduler, list[str]()
    kind, difference = type(scheduler).__name__, getattr(scheduler, _MARK, None)

    def look(name: str, call: Callable[[], Any]) -> Any:
        calls.append(name)
        return call()

    with watch_method(scheduler, "step", "step", look):
        yield lambda: _judge_scheduler(kind, difference, len(calls))


def _judge_scheduler(kind: str, difference: str | None, calls: int) -> Finding:
    if difference is None:
        return Finding(acted=False, text=f"{kind}, another one, stands in its place")
    if not difference:
        return Finding(
            acted=False, text=f"the pipeline's own is {kind} with the same settings and steps"
        )
    return Finding(calls > 0, f"{kind} {difference} took {calls} steps")


OPTIMIZATIONS = (
    Optimization(
        name="scheduler",
        summary="another scheduler, other settings of it, or fewer steps",
        options={"class": "", "config": {}, "steps": 0},
        apply=_apply_scheduler,
        prove=_prove_scheduler,
        relation="approximation",
    ),
)
