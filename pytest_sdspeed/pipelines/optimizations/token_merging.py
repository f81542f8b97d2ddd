"""Token merging in the attention of a UNet, by the package tomesd."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import explain, is_compiled
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.deep_cache import require_unet
from pytest_sdspeed.pipelines.optimizations.support import require_package
from pytest_sdspeed.pipelines.parts import DENOISERS
from pytest_sdspeed.pipelines.schedulers import call_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Machine, Recipe

_NAME = "tome"
_MERGING = {"merge_attn": "attn1", "merge_crossattn": "attn2", "merge_mlp": "ff"}
"""Option -> the part of a block whose tokens it merges."""


def _check(_machine: Machine, **_options: Any) -> str | None:
    return require_package("tomesd", install="'pytest-sdspeed[tome]'")


def _apply(pipeline: Any, recipe: Recipe, *, ratio: float, **options: Any) -> None:
    import torch

    most = 1 - 1 / (options["sx"] * options["sy"])
    if not 0 <= ratio <= most:
        raise RegistrationError(f"{_NAME}: option 'ratio' is {ratio}; valid: from 0 to {most:g}")
    unet = require_unet(_NAME, pipeline)
    import tomesd

    try:
        tomesd.apply_patch(unet, ratio=ratio, **options)
    except Exception as error:
        from diffusers import __version__

        what = f"diffusers {__version__} by tomesd {version('tomesd')}"
        raise explain(_NAME, what, error) from error
    arguments = unet._tome_info["args"]  # noqa: SLF001 - tomesd's own, without a public name

    def restart() -> None:
        """Draw the same tokens in every generation; tomesd goes on with one generator."""
        device = pipeline._execution_device  # noqa: SLF001 - it has no public name
        arguments["generator"] = torch.Generator(device).manual_seed(recipe.seed)

    pipeline.scheduler.set_timesteps = call_first(restart, pipeline.scheduler.set_timesteps)


@contextmanager
def _prove(pipeline: Any, **options: Any) -> Iterator[Callable[[], Finding]]:
    """Count the tokens that blocks are given, and those that their attention is given."""
    unet = pipeline.unet
    if is_compiled(unet):
        yield lambda: Finding(acted=None, text="merged tokens are not counted in compiled code")
        return
    seen: list[tuple[int, int]] = []
    given: list[int] = []
    hooks = []
    for block in unet.modules():
        if type(block).__name__ == "ToMeBlock":
            hooks.append(_watch(block, lambda tokens: given.__setitem__(slice(None), [tokens])))
            hooks += [
                _watch(getattr(block, part), lambda tokens: seen.append((given[0], tokens)))
                for option, part in _MERGING.items()
                if options[option]
            ]
    try:
        yield lambda: _judge(seen)
    finally:
        for hook in hooks:
            hook.remove()


def _watch(module: Any, note: Callable[[int], object]) -> Any:
    """Note how many tokens a module is given (N, tokens, channels)."""

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        note(int((args[0] if args else kwargs["hidden_states"]).shape[1]))

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _judge(seen: list[tuple[int, int]]) -> Finding:
    merged = [(before, after) for before, after in seen if after < before]
    if not merged:
        return Finding(
            acted=False,
            text=f"no tokens were merged in {len(seen)} calls: raise ratio, or max_downsample,"
            " since a UNet may have no attention at its largest resolution",
        )
    before, after = merged[0]
    return Finding(
        acted=True,
        text=f"merged tokens in {len(merged)} of {len(seen)} calls, {before} to {after}",
    )


OPTIMIZATIONS = (
    Optimization(
        name=_NAME,
        summary="similar tokens merged before attention, by tomesd",
        options={
            "ratio": 0.5,
            "max_downsample": 1,
            "sx": 2,
            "sy": 2,
            "use_rand": True,
            "merge_attn": True,
            "merge_crossattn": False,
            "merge_mlp": False,
        },
        supported=_check,
        changes=frozenset({DENOISERS}),
        apply=_apply,
        prove=_prove,
        relation="approximation",
        depends_on_size=True,
    ),
)
