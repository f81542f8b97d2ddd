"""Watching the parts of a pipeline work, with nothing that torch compiles them anew for.

Hooks of modules are compiled with the modules, and not called if they are added afterwards. Calls
are met before they reach a module instead, on the way that ``Module.compile`` uses.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.parts import DENOISERS, find_parts, list_components

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Around = Callable[[str, Callable[[], Any]], Any]

_WAY = "_compiled_call_impl"
_NOTHING = partial(len)
"""Stands for a call that is the class's own."""


class _Interceptor:
    """Stands on the way to a module, and hands every call to somebody who makes it."""

    def __init__(self, name: str, call: Callable[..., Any], around: Around) -> None:
        self._name, self._call, self._around = name, call, around

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._around(self._name, partial(self._call, *args, **kwargs))


@contextmanager
def watch_calls(modules: Mapping[str, Any], around: Around) -> Iterator[None]:
    """Have the calls of modules made by somebody who looks.

    Args:
        modules: name -> a module.
        around: gets the name and the call; returns what the call returns.
    """
    with ExitStack() as undo:
        for name, module in modules.items():
            call = getattr(module, _WAY, None) or module._call_impl  # noqa: SLF001 - what calling it calls
            _put(undo, module, _WAY, _Interceptor(name, call, around))
        yield


@contextmanager
def watch_method(owner: Any, method: str, name: str, around: Around) -> Iterator[None]:
    """Have the calls of a method made by somebody who looks; see ``watch_calls``."""
    with ExitStack() as undo:
        _put(undo, owner, method, _Interceptor(name, getattr(owner, method), around))
        yield


def _put(undo: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute of one object, whatever its class does about that, and take it back."""
    own = vars(owner)
    if name in own:
        undo.callback(own.__setitem__, name, own[name])
    else:
        undo.callback(own.pop, name, None)
    own[name] = value


def find_denoisers(pipeline: Any) -> dict[str, Any]:
    """Return the denoisers of a pipeline: name -> module, or what stands in its place."""
    components = list_components(pipeline)
    return {name: components[name] for name in find_parts(DENOISERS, components)}


def is_opaque(part: Any) -> bool:
    """Tell whether what a part computes is not seen at its modules.

    It is compiled, traced, or replayed from a graph.
    """
    return _is_replaced(part) or any(_is_compiled(module) for module in part.modules())


def _is_replaced(part: Any) -> bool:
    passes = getattr(part, "passes", ())
    return (
        # Hooks of diffusers, as of offloading, are partial functions: modules are seen below them.
        not isinstance(vars(part).get("forward", _NOTHING), partial)
        or hasattr(part, "traced")
        or not all(hasattr(one, "parameters") for one in passes)
    )


def _is_compiled(module: Any) -> bool:
    way = vars(module).get(_WAY)
    return type(module).__name__ == "OptimizedModule" or (
        way is not None and not isinstance(way, _Interceptor)
    )


def list_names(names: Iterable[str]) -> str:
    """Join names: ``transformer, vae``; ``no part`` if there is none."""
    return ", ".join(names) or "no part"
