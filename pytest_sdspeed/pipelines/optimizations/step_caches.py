"""Caches of diffusers, which skip layers of a transformer at some steps."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.named_modules import explain, find_modules
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.casting import find_dtype
from pytest_sdspeed.pipelines.parts import DENOISERS
from pytest_sdspeed.pipelines.skipping import count_skipped, find_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Finding, Machine, Recipe

    MakeConfig = Callable[..., Any]

_HOOKS = "diffusers.hooks"
_PICTURES = 4
"""Dimensions of a batch of pictures (N, C, H, W); videos have one more."""


def _check(name: str, config: str) -> Callable[..., str | None]:
    def supported(_machine: Machine, **_options: Any) -> str | None:
        import diffusers

        if hasattr(diffusers, config):
            return None
        return (
            f"{name} needs {config}, which diffusers {diffusers.__version__} does not have: pip"
            " install --upgrade diffusers"
        )

    return supported


def _make_cache(
    name: str,
    summary: str,
    *,
    config: str,
    home: str,
    options: dict[str, Any],
    make: MakeConfig,
    nothing: str,
    by_context: bool = True,
) -> Optimization:
    """Make the optimization of one of diffusers' caches.

    Args:
        name: what tables call it.
        summary: what it does, one line.
        config: name of its configuration in diffusers.
        home: module below ``diffusers.hooks`` that defines its hooks.
        options: fields of the configuration, as tables give them.
        make: makes the configuration of ``pipeline``, ``recipe``, ``module`` and the options.
        nothing: what to say if it skips nothing.
        by_context: whether it keeps apart what the pipeline names by ``cache_context``.
    """

    def apply(pipeline: Any, recipe: Recipe, **given: Any) -> None:
        import diffusers

        _check_values(name, options, given)
        for part, module in find_modules(name, [DENOISERS], pipeline).items():
            what = f"{part}, of {type(module).__name__}"
            if not hasattr(module, "enable_cache"):
                raise RegistrationError(
                    f"{name} cannot be applied to {what}, which has no enable_cache:"
                    f" {_advise(module)}"
                )
            if by_context:
                _check_context(name, pipeline)
            fields = make(pipeline=pipeline, recipe=recipe, module=module, **given)
            try:
                module.enable_cache(getattr(diffusers, config)(**fields))
            except IndexError:
                raise RegistrationError(
                    f"{name} cannot be applied to {what}: it needs two blocks or more"
                ) from None
            except (ValueError, TypeError, AttributeError) as error:
                raise explain(name, what, error) from error
            if not any(find_hooks(module, f"{_HOOKS}.{home}")):
                raise RegistrationError(
                    f"{name} cannot be applied to {what}: no layer of it has a name or a class"
                    " that this cache is for"
                )

    @contextmanager
    def prove(pipeline: Any, **_options: Any) -> Iterator[Callable[[], Finding]]:
        """Count the calls of layers, and those that compute something."""
        denoisers = find_modules(name, [DENOISERS], pipeline)
        with count_skipped(denoisers, f"{_HOOKS}.{home}") as tally:
            yield lambda: tally.judge(nothing)

    return Optimization(
        name=name,
        summary=summary,
        options=options,
        supported=_check(name, config),
        changes=frozenset({DENOISERS}),
        apply=apply,
        prove=prove,
        relation="approximation",
        depends_on_size=True,
    )


def _advise(module: Any) -> str:
    """Say what a denoiser without the caches of diffusers can have."""
    import diffusers

    if isinstance(module, diffusers.UNet2DConditionModel):
        return "feature_cache_2, deepcache and tome are for UNets"
    return f"diffusers {diffusers.__version__} has no caches for this class"


def _check_values(name: str, options: dict[str, Any], given: dict[str, Any]) -> None:
    for option, value in given.items():
        if option.endswith("_timestep_skip_range") and not (
            isinstance(value, list) and len(value) == 2  # noqa: PLR2004 - from, to
        ):
            raise RegistrationError(
                f"{name}: option {option!r} is {value!r}; valid: two timesteps, such as"
                f" {options[option]!r}"
            )
        whole = option.endswith(("_skip_range", "_interval", "_steps")) and value is not None
        if whole and not isinstance(value, list) and (not isinstance(value, int) or value < 1):
            raise RegistrationError(
                f"{name}: option {option!r} is {value!r}; valid: a whole number, 1 or more"
            )


def _check_context(name: str, pipeline: Any) -> None:
    """Refuse pipelines that do not say which of their calls is conditional.

    Raises:
        RegistrationError: no ``cache_context`` stands in the code of its call.
    """
    for kind in type(pipeline).__mro__:
        try:
            code = inspect.getsource(vars(kind)["__call__"]) if "__call__" in vars(kind) else ""
        except (OSError, TypeError):
            return
        if "cache_context" in code:
            return
    raise RegistrationError(
        f"{name} cannot be applied to {type(pipeline).__name__}: its call enters no cache_context"
        " of its denoiser, which keeps the conditional and the unconditional call apart"
    )


def _read_timestep(name: str, pipeline: Any) -> Callable[[], Any]:
    if not hasattr(type(pipeline), "current_timestep"):
        raise RegistrationError(
            f"{name} cannot be applied to {type(pipeline).__name__}, which tells no"
            " current_timestep"
        )
    return lambda: pipeline.current_timestep


def _drop_unset(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not given, and make ranges tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value is not None
    }


def _make_first_block(*, threshold: float, **_made: Any) -> dict[str, Any]:
    return {"threshold": threshold}


def _make_taylorseer(
    *, taylor_factors_dtype: str, pipeline: Any, recipe: Recipe, module: Any, **options: Any
) -> dict[str, Any]:
    del pipeline, recipe, module
    dtype = find_dtype("taylorseer", "taylor_factors_dtype", taylor_factors_dtype)
    return {"taylor_factors_dtype": dtype, **options}


def _make_mag(
    *,
    mag_ratios: list[float] | None,
    num_inference_steps: int | None,
    pipeline: Any,
    recipe: Recipe,
    module: Any,
    **options: Any,
) -> dict[str, Any]:
    del pipeline
    if mag_ratios is None and not type(module).__name__.startswith("FluxTransformer"):
        raise RegistrationError(
            f"mag_cache has no mag_ratios of {type(module).__name__}: give them as an option."
            " MagCacheConfig(calibrate=True) of diffusers measures them"
        )
    ratios = mag_ratios or import_module(f"{_HOOKS}.mag_cache").FLUX_MAG_RATIOS
    steps = num_inference_steps or recipe.steps
    return {"mag_ratios": ratios, "num_inference_steps": steps, **options}


def _make_pyramid(*, pipeline: Any, recipe: Recipe, module: Any, **options: Any) -> dict[str, Any]:
    del recipe, module
    callback = _read_timestep("pyramid_attention_broadcast", pipeline)
    return {"current_timestep_callback": callback, **_drop_unset(options)}


def _make_faster(
    *, attention_weight: float, pipeline: Any, recipe: Recipe, module: Any, **options: Any
) -> dict[str, Any]:
    del recipe
    if not options["is_guidance_distilled"]:
        module.register_forward_pre_hook(_refuse_single, with_kwargs=True)
    return {
        "current_timestep_callback": _read_timestep("faster_cache", pipeline),
        "attention_weight_callback": lambda _module: attention_weight,
        **_drop_unset(options),
    }


def _refuse_single(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse calls that have no unconditional half, or whose latents are no pictures.

    Raises:
        RegistrationError: the denoiser is called in another way than this cache can skip.
    """
    shape = (args[0] if args else kwargs["hidden_states"]).shape
    if len(shape) < _PICTURES or shape[0] % 2:
        raise RegistrationError(
            f"faster_cache approximates the unconditional half of a batch of pictures or videos,"
            f" and {type(module).__name__} is called with latents {tuple(shape)}: give it"
            " is_guidance_distilled=true, which skips attention only"
        )


OPTIMIZATIONS = (
    _make_cache(
        "first_block_cache",
        "the other blocks are skipped if the first block's change differs little from the last"
        " step's",
        config="FirstBlockCacheConfig",
        home="first_block_cache",
        options={"threshold": 0.05},
        make=_make_first_block,
        nothing="raise threshold",
    ),
    _make_cache(
        "taylorseer",
        "outputs of layers extrapolated from earlier steps",
        config="TaylorSeerCacheConfig",
        home="taylorseer_cache",
        options={
            "cache_interval": 5,
            "disable_cache_before_step": 3,
            "disable_cache_after_step": None,
            "max_order": 1,
            "taylor_factors_dtype": "bfloat16",
            "skip_predict_identifiers": None,
            "cache_identifiers": None,
            "use_lite_mode": False,
        },
        make=_make_taylorseer,
        nothing="raise cache_interval, lower disable_cache_before_step, or take more steps",
    ),
    _make_cache(
        "mag_cache",
        "steps are skipped as long as the expected error of their magnitude is small",
        config="MagCacheConfig",
        home="mag_cache",
        options={
            "threshold": 0.06,
            "max_skip_steps": 3,
            "retention_ratio": 0.2,
            "num_inference_steps": None,
            "mag_ratios": None,
        },
        make=_make_mag,
        nothing="raise threshold or lower retention_ratio",
    ),
    _make_cache(
        "pyramid_attention_broadcast",
        "outputs of attention layers used again at some steps",
        config="PyramidAttentionBroadcastConfig",
        home="pyramid_attention_broadcast",
        options={
            "spatial_attention_block_skip_range": 2,
            "temporal_attention_block_skip_range": None,
            "cross_attention_block_skip_range": None,
            "spatial_attention_timestep_skip_range": [100, 800],
            "temporal_attention_timestep_skip_range": [100, 800],
            "cross_attention_timestep_skip_range": [100, 800],
            "spatial_attention_block_identifiers": None,
            "temporal_attention_block_identifiers": None,
            "cross_attention_block_identifiers": None,
        },
        make=_make_pyramid,
        nothing="raise the skip range, or widen the range of timesteps",
        by_context=False,
    ),
    _make_cache(
        "faster_cache",
        "attention extrapolated, and the unconditional call approximated, at some steps",
        config="FasterCacheConfig",
        home="faster_cache",
        options={
            "spatial_attention_block_skip_range": 2,
            "temporal_attention_block_skip_range": None,
            "spatial_attention_timestep_skip_range": [-1, 681],
            "temporal_attention_timestep_skip_range": [-1, 681],
            "unconditional_batch_skip_range": 5,
            "unconditional_batch_timestep_skip_range": [-1, 641],
            "spatial_attention_block_identifiers": None,
            "temporal_attention_block_identifiers": None,
            "attention_weight": 0.5,
            "tensor_format": "BCFHW",
            "is_guidance_distilled": False,
        },
        make=_make_faster,
        nothing="raise the skip ranges, or widen the ranges of timesteps",
        by_context=False,
    ),
)
