"""Decoding in tiles, and one picture after the other, which saves memory."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from math import prod
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import explain, find_modules, is_compiled
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.parts import AUTOENCODER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_sdspeed.model import Recipe

_WAYS = {"encode": "encoder", "decode": "decoder"}
"""What a pipeline calls of an autoencoder -> the module that computes it."""
_SIDES = ("tile_sample_min_height", "tile_sample_min_width")
_TILE_OPTIONS: dict[str, Any] = dict.fromkeys(
    (*_SIDES, "tile_sample_stride_height", "tile_sample_stride_width", "tile_sample_min_num_frames")
)


@dataclass
class _Watched:
    """Shapes that went in: of calls of the autoencoder, and of the modules that compute them.

    Attributes:
        outer: shape of each tensor that was given to the autoencoder.
        inner: shapes that the encoder or decoder got for each of them.
    """

    outer: list[tuple[int, ...]] = field(default_factory=list)
    inner: list[list[tuple[int, ...]]] = field(default_factory=list)


@contextmanager
def _watch(module: Any) -> Iterator[_Watched]:
    """Watch what an autoencoder is given, and in which pieces it computes it."""
    seen = _Watched()
    own = {way: vars(module)[way] for way in _WAYS if way in vars(module)}
    compiled = is_compiled(module)

    def note(call: Callable[..., Any], given: Any, *args: Any, **kwargs: Any) -> Any:
        seen.outer.append(tuple(given.shape))
        seen.inner.append([])
        return call(given, *args, **kwargs)

    def note_piece(_module: Any, args: tuple[Any, ...]) -> None:
        if seen.inner and args:
            seen.inner[-1].append(tuple(args[0].shape))

    hooks = [
        getattr(module, inside).register_forward_pre_hook(note_piece)
        for inside in _WAYS.values()
        if hasattr(module, inside) and not compiled
    ]
    for way in _WAYS:
        if hasattr(module, way):
            setattr(module, way, partial(note, getattr(module, way)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for way in _WAYS:
            vars(module).pop(way, None)
        for way, call in own.items():
            setattr(module, way, call)


@contextmanager
def _watch_all(owner: str, pipeline: Any) -> Iterator[list[tuple[str, Any, _Watched]]]:
    """Watch every autoencoder of a pipeline: of a video with sound there are two."""
    with ExitStack() as held:
        yield [
            (name, module, held.enter_context(_watch(module)))
            for name, module in find_modules(owner, [AUTOENCODER], pipeline).items()
        ]


def _find_best(findings: list[Finding]) -> Finding:
    """Return the finding of an autoencoder in which the optimization acted, or else the first."""
    return next((one for one in findings if one.acted), findings[0])


def _enable(owner: str, pipeline: Any, enable: Callable[[Any], object]) -> None:
    """Enable something in every autoencoder that has it.

    Raises:
        RegistrationError: none has it.
    """
    refused = []
    found = find_modules(owner, [AUTOENCODER], pipeline)
    for name, module in found.items():
        try:
            enable(module)
        except (NotImplementedError, AttributeError) as error:
            refused.append(explain(owner, f"{name}, of {type(module).__name__}", error))
    if len(refused) == len(found):
        raise refused[0]


def _apply_tiling(pipeline: Any, _recipe: Recipe, **options: Any) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise RegistrationError(
                f"vae_tiling: option {name!r} is {value!r}; valid: a number of pixels or frames"
            )
    _enable("vae_tiling", pipeline, lambda module: _enable_tiling(module, given))


def _enable_tiling(module: Any, given: Mapping[str, Any]) -> None:
    taken = [name for name in signature(module.enable_tiling).parameters if name in _TILE_OPTIONS]
    square = hasattr(module, "tile_latent_min_size") and not taken
    unknown = [name for name in given if name not in (_SIDES if square else taken)]
    if unknown:
        valid = ", ".join(_SIDES if square else taken) or "none"
        raise RegistrationError(
            f"vae_tiling: {type(module).__name__} takes no {', '.join(unknown)}; valid: {valid}"
        )
    if not square:
        module.enable_tiling(**given)
        _check_strides(module, given)
        return
    module.enable_tiling()
    sides = {*given.values()}
    if len(sides) > 1:
        raise RegistrationError(
            f"vae_tiling: tiles of {type(module).__name__} are squares: give"
            " tile_sample_min_height and tile_sample_min_width the same value"
        )
    if sides:
        scale = module.tile_sample_min_size / module.tile_latent_min_size
        module.tile_sample_min_size = int(sides.pop())
        module.tile_latent_min_size = max(1, int(module.tile_sample_min_size / scale))


def _check_strides(module: Any, given: Mapping[str, Any]) -> None:
    """Refuse tiles with gaps between them, of which pictures come out too small.

    What a model has by itself is left to it: only what is given is looked at.

    Raises:
        RegistrationError: tiles are shorter than the way from one to the next.
    """
    for side in ("height", "width", "num_frames"):
        size, stride = f"tile_sample_min_{side}", f"tile_sample_stride_{side}"
        if given.keys() & {size, stride} and getattr(module, size) < getattr(module, stride, 0):
            long, short = getattr(module, stride), getattr(module, size)
            narrow = f" or {stride} to {short} or less" if stride in _TILE_OPTIONS else ""
            raise RegistrationError(
                f"vae_tiling: tiles of {type(module).__name__} would leave gaps: one begins every"
                f" {long} ({stride}), and they have {short} ({size}): set {size} to {long} or"
                f" more{narrow}"
            )


@contextmanager
def _prove_tiling(pipeline: Any, **_options: Any) -> Iterator[Callable[[], Finding]]:
    """Compare what the autoencoder is given with the pieces that it computes."""
    with _watch_all("vae_tiling", pipeline) as watched:
        yield lambda: _find_best([_judge_tiling(*one) for one in watched])


def _judge_tiling(name: str, module: Any, seen: _Watched) -> Finding:
    if not seen.outer:
        return Finding(acted=False, text=f"{name} neither encoded nor decoded anything")
    if is_compiled(module):
        tile = _find_tile(module)
        sides = max(max(shape[-2:]) for shape in seen.outer)
        if tile is None:
            return Finding(acted=True, text=f"tiles of {name} are not counted in compiled code")
        return Finding(
            acted=sides > tile,
            text=f"{name} was given {sides} latents a side, and tiles have {tile} (compiled)",
        )
    tiles = [
        sum(_is_tile(piece, shape) for piece in pieces)
        for shape, pieces in zip(seen.outer, seen.inner, strict=True)
    ]
    if any(tiles):
        return Finding(acted=True, text=f"{name} computed {max(tiles)} tiles")
    height, width = seen.outer[-1][-2:]
    return Finding(
        acted=False,
        text=f"{name} was given {height}x{width} at once: no side is longer than a tile. Draw"
        " larger pictures or set tile_sample_min_height and tile_sample_min_width",
    )


def _is_tile(piece: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Tell whether a piece has shorter sides, and not because they were folded into channels."""
    sides, of_whole = prod(piece[-2:]), prod(whole[-2:])
    return sides < of_whole and piece[1] * sides < whole[1] * of_whole


def _find_tile(module: Any) -> int | None:
    """Return the side of a tile in latents, if the autoencoder tells it."""
    if hasattr(module, "tile_latent_min_size"):
        return int(module.tile_latent_min_size)
    ratio = getattr(module, "spatial_compression_ratio", None)
    side = getattr(module, "tile_sample_min_height", None)
    return int(side // ratio) if side and ratio else None


def _apply_slicing(pipeline: Any, _recipe: Recipe) -> None:
    _enable("vae_slicing", pipeline, lambda module: module.enable_slicing())


@contextmanager
def _prove_slicing(pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Compare the pictures that the autoencoder is given with those that it computes at once."""
    with _watch_all("vae_slicing", pipeline) as watched:
        yield lambda: _find_best([_judge_slicing(*one) for one in watched])


def _judge_slicing(name: str, module: Any, seen: _Watched) -> Finding:
    if not seen.outer:
        return Finding(acted=False, text=f"{name} neither encoded nor decoded anything")
    most = max(shape[0] for shape in seen.outer)
    if most == 1:
        return Finding(
            acted=False,
            text=f"{name} was given one picture at a time: there is nothing to slice. Set images"
            " of the recipe to 2 or more",
        )
    if is_compiled(module):
        return Finding(acted=True, text=f"{name} was given {most} pictures at once (compiled)")
    slices = [
        len(pieces)
        for shape, pieces in zip(seen.outer, seen.inner, strict=True)
        if shape[0] > 1 and pieces and all(piece[0] == 1 for piece in pieces)
    ]
    if slices:
        return Finding(acted=True, text=f"{name} computed {most} pictures in {max(slices)} slices")
    return Finding(acted=False, text=f"{name} computed {most} pictures at once")


OPTIMIZATIONS = (
    Optimization(
        name="vae_tiling",
        summary="the autoencoder works in overlapping tiles, which saves memory on large pictures",
        options=_TILE_OPTIONS,
        changes=frozenset({AUTOENCODER}),
        apply=_apply_tiling,
        prove=_prove_tiling,
        relation="approximation",
        depends_on_size=True,
    ),
    Optimization(
        name="vae_slicing",
        summary="the autoencoder works on one picture of a batch after the other",
        changes=frozenset({AUTOENCODER}),
        apply=_apply_slicing,
        prove=_prove_slicing,
    ),
)
