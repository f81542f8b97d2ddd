"""Schedulers of any class, with the noise schedule of the model's own."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SHORT_NAMES = {"ddim": "DDIMScheduler", "pndm": "PNDMScheduler"}
_FLOW = "FlowMatch"
_BACKWARDS = "Inverse"
_SCHEDULES = ("beta_schedule", "sigma_data")
"""Settings of which either tells how a class says the noise schedule."""
_TRAINED = {
    "prediction_type": "epsilon",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "snr_shift_scale": 1.0,
}
"""Settings that a model was trained with -> what they are in classes that do not have them."""
_FLOW_FLAG = "use_flow_sigmas"
"""Setting by which schedulers of diffusion follow the straight paths of flow matching."""


def make_scheduler(name: str | None, own: Any) -> Any:
    """Make a scheduler of a class of diffusers with the noise schedule of the model's own.

    Args:
        name: ``ddim``, ``pndm``, the name of a class, or None for the model's own class.
        own: the model's own scheduler.

    Raises:
        UnknownNameError: diffusers has no scheduler of that name.
        RegistrationError: the class cannot draw with a model that was trained for the own one:
            it would draw something, and nothing would say that it is wrong.
    """
    import diffusers

    if name is None:
        return type(own).from_config(own.config)
    kinds = {kind for kind in dir(diffusers) if kind.endswith("Scheduler")}
    kind_name = SHORT_NAMES.get(name, name)
    if kind_name not in kinds:
        raise UnknownNameError("scheduler", name, {*SHORT_NAMES, *kinds}, "recipe")
    kind = getattr(diffusers, kind_name)
    if not _fits(kind, own):
        valid = ", ".join(sorted(one for one in kinds if _fits(getattr(diffusers, one), own)))
        trained = "flow matching" if _is_flow(own) else "steps of diffusion"
        raise RegistrationError(
            f"recipe: scheduler {name!r} does not fit the model: its own is"
            f" {type(own).__name__}, of {trained}; valid: {valid}"
        )
    return kind.from_config(own.config, **_translate(kind, own))


def _fits(kind: Any, own: Any) -> bool:
    """Tell whether a class can take the place of a model's own scheduler.

    Both have to say the noise schedule that the model was trained for in the same words: straight
    paths of flow matching, a schedule of betas, or the data's deviation. What has no such words
    stands for itself; a class that walks from pictures to noise draws none.
    """
    if kind is type(own):
        return True
    if _BACKWARDS in kind.__name__:
        return False
    if _is_flow(own):
        return _FLOW in kind.__name__ or _takes(kind, _FLOW_FLAG)
    said = next((word for word in _SCHEDULES if word in own.config), None)
    return said is not None and _takes(kind, said) and not any(_find_lost(kind, own))


def _find_lost(kind: Any, own: Any) -> Iterator[str]:
    """Yield the settings that a model was trained with and a class does not have, or has others."""
    taken = inspect.signature(kind.__init__).parameters
    for word, neutral in _TRAINED.items():
        trained = own.config.get(word, neutral)
        kept = word in taken and word in own.config
        drawn = trained if kept else taken[word].default if word in taken else neutral
        if drawn != trained:
            yield word


def _is_flow(own: Any) -> bool:
    return _FLOW in type(own).__name__ or bool(
        own.config.get(_FLOW_FLAG) or own.config.get("prediction_type") == "flow_prediction"
    )


def _takes(kind: Any, name: str) -> bool:
    try:
        return name in inspect.signature(kind.__init__).parameters
    except (TypeError, ValueError):
        return False


def _translate(kind: Any, own: Any) -> Mapping[str, Any]:
    """Return what says flow matching to a class, if the own scheduler says it otherwise."""
    if not _is_flow(own) or kind is type(own):
        return {}
    shift = own.config.get("shift", own.config.get("flow_shift"))
    if _FLOW in kind.__name__:
        said = {"shift": shift}
    else:
        said = {"prediction_type": "flow_prediction", _FLOW_FLAG: True, "flow_shift": shift}
    return {name: value for name, value in said.items() if value is not None}


def call_first(first: Callable[[], None], then: Callable[..., None]) -> Callable[..., None]:
    """Return a function that calls another one before it does its own."""

    @wraps(then)
    def both(*args: Any, **kwargs: Any) -> None:
        first()
        then(*args, **kwargs)

    return both
