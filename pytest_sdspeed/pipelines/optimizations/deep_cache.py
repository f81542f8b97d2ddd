"""DeepCache: deep features of a UNet used again, by the package of its authors."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import explain, is_compiled
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_package
from pytest_sdspeed.pipelines.parts import DENOISERS, list_components
from pytest_sdspeed.pipelines.skipping import Call, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Machine, Recipe

_NAME = "deepcache"


def require_unet(name: str, pipeline: Any) -> Any:
    """Return a pipeline's UNet, if it is one of diffusers and nothing wraps it.

    Raises:
        RegistrationError: it has none.
    """
    from diffusers import UNet2DConditionModel

    unet = list_components(pipeline).get("unet")
    if isinstance(unet, UNet2DConditionModel):
        return unet
    has = type(unet).__name__ if unet is not None else "no unet"
    raise RegistrationError(
        f"{name} cannot be applied to {type(pipeline).__name__} with {has}: it takes a"
        " UNet2DConditionModel. List it before what wraps the UNet; transformers have"
        " first_block_cache"
    )


def _check(_machine: Machine, **_options: Any) -> str | None:
    return require_package("DeepCache", install="'pytest-sdspeed[deepcache]'")


def _apply(pipeline: Any, _recipe: Recipe, *, interval: int, branch: int) -> None:
    if interval < 1 or branch < 0:
        raise RegistrationError(
            f"{_NAME}: interval {interval}, branch {branch}; valid: 1 or more, 0 or more"
        )
    unet = require_unet(_NAME, pipeline)
    if unet.mid_block is None:
        raise RegistrationError(f"{_NAME} cannot be applied to a UNet without a middle block")
    from DeepCache import DeepCacheSDHelper

    helper = DeepCacheSDHelper(pipe=pipeline)
    try:
        helper.set_params(cache_interval=interval, cache_branch_id=branch)
        helper.enable()
    except Exception as error:
        from diffusers import __version__

        what = f"diffusers {__version__} by DeepCache {version('DeepCache')}"
        raise explain(_NAME, what, error) from error
    pipeline.deep_cache_helper = helper


@contextmanager
def _prove(pipeline: Any, *, interval: int, **_others: Any) -> Iterator[Callable[[], Finding]]:
    """Count the calls of the UNet's layers, and those that compute something."""
    helper, unet = pipeline.deep_cache_helper, pipeline.unet
    nothing = "an interval of 2 or more uses features again at the steps between"
    if is_compiled(unet):
        yield lambda: _judge_steps(helper, interval, nothing)
        return
    tally = Tally()
    before = dict(helper.function_dict)
    hooks = [unet.register_forward_pre_hook(lambda *_args: tally.calls.append(Call()))]
    hooks += [
        module.register_forward_pre_hook(partial(_count_called, tally))
        for module in _find_wrapped(unet)
    ]
    for key, call in before.items():
        if key != "unet_forward":
            helper.function_dict[key] = partial(_count_computed, tally, call)
    try:
        yield lambda: tally.judge(nothing)
    finally:
        helper.function_dict.update(before)
        for hook in hooks:
            hook.remove()


def _find_wrapped(unet: Any) -> Iterator[Any]:
    """Yield the modules whose ``forward`` DeepCache replaced."""
    for module in unet.modules():
        if module is not unet and getattr(module.forward, "__module__", "").startswith("DeepCache"):
            yield module


def _count_called(tally: Tally, *_args: Any) -> None:
    tally.latest.called += 1


def _count_computed(tally: Tally, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    tally.latest.computed += 1
    return call(*args, **kwargs)


def _judge_steps(helper: Any, interval: int, nothing: str) -> Finding:
    """Tell by the steps that the helper saw, since compiled code cannot be counted."""
    steps = helper.cur_timestep - (helper.start_timestep or 0) + 1
    skipped = steps - -(-steps // interval)
    return Finding(
        acted=skipped > 0,
        text=f"skipped something in {skipped} of {steps} steps" if skipped else nothing,
    )


OPTIMIZATIONS = (
    Optimization(
        name=_NAME,
        summary="deep features of the UNet computed at every third step only, by DeepCache",
        options={"interval": 3, "branch": 0},
        supported=_check,
        changes=frozenset({DENOISERS}),
        apply=_apply,
        prove=_prove,
        relation="approximation",
        depends_on_size=True,
    ),
)
