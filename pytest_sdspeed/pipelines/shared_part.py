"""A component that setups share: what it was when it was loaded, what changed, and the way back."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import ChangedPartError, read_first_line
from pytest_sdspeed.pipelines.call_traces import is_left_by_call
from pytest_sdspeed.pipelines.digest import Digest, digest_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

STRICT: frozenset[str] = frozenset()
CACHES = frozenset({"cache"})
ATTRIBUTES = frozenset({"cache", "attribute"})
"""Kinds of changes that are let pass: none; tensors that a call keeps for the next one; whatever
a call leaves in attributes."""

_PLAIN = (str, int, float, bool, type(None))
_NO_STATE = (type, types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinMethodType)
_DEPTH = 2
_SHOWN = 3
_ABSENT = object()
_TABLES = {"_modules", "_parameters", "_buffers"}


class _Change(NamedTuple):
    """A change: in words, ``cache``, ``attribute`` or ``structure``, and what puts it back."""

    text: str
    kind: str
    undo: Callable[[], object]


@dataclass(slots=True)
class _Held:
    """A live dictionary, list or set, and a copy of what was in it."""

    label: str
    live: Any
    kept: Any
    table: bool


@dataclass(slots=True)
class _Tensor:
    """A parameter or buffer, an alias of its memory, and what its bytes came to."""

    path: str
    live: Any
    alias: Any
    trains: bool
    digest: Digest = None


class SharedPart:
    """A module that setups share, as it was when it was loaded.

    Args:
        name: name of the component, ``unet``, with which all names of its parts begin.
        module: the module.
        reload: loads its tensors again: name -> tensor, as ``list_tensors`` does.
        twin: a part whose module has memory in common with this one, as its copy in another memory
            format has; what one of them puts back is no change of the other.

    Attributes:
        name, module: as given.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        reload: Callable[[], Mapping[str, Any]],
        twin: SharedPart | None = None,
    ) -> None:
        self.name, self.module, self._reload = name, module, reload
        self._family: list[SharedPart] = twin._family if twin else []  # noqa: SLF001 - its own class's
        self._family.append(self)
        self._exposed = False
        self._lost = ""
        self._objects: list[tuple[str, Any]] = []
        self._held: list[_Held] = []
        self._seen: set[int] = set()
        for path, one in module.named_modules():
            self._hold(self._label(path), one, 0)
        self._tensors = [
            _Tensor(path, tensor, tensor.detach(), tensor.requires_grad)
            for path, tensor in list_tensors(module).items()
        ]
        self._kinds = [type(one) for _, one in self._objects]
        self._methods = [*_list_methods(self._kinds)]
        self._calls = [vars(kind)[name] for kind, name in self._methods]
        self._prepare_look()

    def expose(self) -> None:
        """Note the bytes of all tensors, before code that is not this project's gets the module."""
        if not self._exposed:
            self._exposed = True
            digests = digest_all([one.alias for one in self._tensors])
            for one, digest in zip(self._tensors, digests, strict=True):
                one.digest = digest

    def is_as_loaded(self) -> bool:
        """Tell whether nothing changed that torch or Python counts, without reading any tensor."""
        try:
            return (
                not self._lost
                and not any(self._empty)
                and self._lives == self._kepts
                and [type(one) for _, one in self._objects] == self._kinds
                and not any(self._list_replaced())
                and self._count() == self._counts
            )
        except Exception:  # noqa: BLE001 - tensors refuse to be compared
            return False

    def verify(self, allowed: frozenset[str] = STRICT, *, thorough: bool = False) -> list[str]:
        """Find what changed, and put it back.

        Args:
            allowed: kinds of changes that are let pass, and from then on are what was.
            thorough: whether to read the bytes of all tensors, if they were noted before.

        Returns:
            What changed, beginning with the name of the part; empty if nothing did.

        Raises:
            ChangedPartError: it could not be put back.
        """
        self.raise_if_lost()
        thorough = thorough and self._exposed
        unchanged = self.is_as_loaded()
        if unchanged and not thorough:
            return []
        found = [] if unchanged else [*self._find_changes()]
        real = [change for change in found if change.kind not in allowed]
        try:
            for change in real:
                change.undo()
            texts = [change.text for change in real]
            texts += self._restore_tensors(thorough=thorough)
        except Exception as error:  # whatever it raises, nobody may draw with this module again
            self._lost = (
                f"{self.name} was changed and could not be put back:"
                f" {read_first_line(error, type(error).__name__)}. Nothing that shares it can be"
                " measured until it is loaded again"
            )
            raise ChangedPartError(self._lost) from error
        if unchanged and not texts:
            return []
        for held in self._held:
            held.kept = _copy(held.live)
        self._prepare_look()
        return texts

    def raise_if_lost(self) -> None:
        """Raise what once could not be put back, if anything could not."""
        if self._lost:
            raise ChangedPartError(self._lost)

    def _label(self, path: str) -> str:
        return f"{self.name}.{path}" if path else self.name

    def _hold(self, label: str, one: Any, depth: int) -> None:
        """Note the attributes of an object, and those of the objects among them."""
        if id(one) in self._seen:
            return
        self._seen.add(id(one))
        self._objects.append((label, one))
        state = vars(one)
        self._held.append(_Held(label, state, dict(state), table=False))
        for name, value in [*state.items()]:
            if isinstance(value, dict | list | set):
                table = name in _TABLES
                where = label if table else f"{label} {name}"
                self._held.append(_Held(where, value, _copy(value), table))
            elif depth < _DEPTH and _has_state(value):
                self._hold(f"{label} {name}", value, depth + 1)

    def _prepare_look(self) -> None:
        """Lay out what is compared, so that a look is a handful of comparisons of lists."""
        self._empty = [held.live for held in self._held if not held.kept]
        self._lives = [held.live for held in self._held if held.kept]
        self._kepts = [held.kept for held in self._held if held.kept]
        self._countable = [one.live for one in self._tensors if _is_countable(one.live)]
        self._counts = self._count()

    def _count(self) -> list[tuple[int, int, bool]]:
        return [
            (tensor._version, tensor.data_ptr(), tensor.requires_grad)  # noqa: SLF001 - the counter has no public name
            for tensor in self._countable
        ]

    def _list_replaced(self) -> Iterator[tuple[type, str, Any]]:
        """Yield class, name and former function of methods that others than torch replaced.

        Its compiler wraps methods of ``torch.nn.Module`` for good when it is first used.
        """
        for (kind, name), call in zip(self._methods, self._calls, strict=True):
            now = vars(kind).get(name)
            if now is not call and not str(getattr(now, "__module__", "")).startswith("torch."):
                yield kind, name, call

    def _find_changes(self) -> Iterator[_Change]:
        for (label, one), kind in zip(self._objects, self._kinds, strict=True):
            if type(one) is not kind:
                text = f"{label} is of class {type(one).__name__}, was {kind.__name__}"
                yield _Change(text, "structure", partial(setattr, one, "__class__", kind))
        for kind, name, call in self._list_replaced():
            text = f"{self.name}: method {kind.__name__}.{name} was replaced"
            yield _Change(text, "structure", partial(setattr, kind, name, call))
        for held in self._held:
            if isinstance(held.live, dict):
                yield from _compare_entries(held)
            elif not _is_equal(_copy(held.live), held.kept):
                yield _Change(f"{held.label} changed", "attribute", partial(_refill, held))

    def _restore_tensors(self, *, thorough: bool) -> list[str]:
        """Put every tensor back, in place, and return what was changed.

        Graphs and compiled code keep addresses: new tensors would not do.
        """
        import torch

        counts = {
            id(tensor): count for tensor, count in zip(self._countable, self._counts, strict=True)
        }
        texts, suspects, touched = [], [], set()
        with torch.inference_mode(mode=False), torch.no_grad():
            for one in self._tensors:
                one.live.requires_grad_(one.trains)  # it decides nothing but what autocast caches
                version, address, _ = counts.get(id(one.live), (None, None, None))
                if address is None:
                    suspects += [one] if thorough else []
                    continue
                if one.live.data_ptr() != address or one.live.dtype != one.alias.dtype:
                    one.live.data = one.alias
                    texts.append(f"{self._label(one.path)} was moved, cast or replaced")
                    suspects.append(one)
                    touched.add(id(one))
                elif one.live._version != version:  # noqa: SLF001 - as above
                    suspects.append(one)
                    touched.add(id(one))
                elif thorough:
                    suspects.append(one)
            changed = self._find_changed(suspects, touched)
            if changed:
                self._write_again(changed)
        settled = {one.alias.data_ptr() for one in suspects}
        for part in self._family:
            part._settle(settled)  # noqa: SLF001 - its own class's
        return [*(self._label(one.path) for one in changed), *texts]

    def _settle(self, addresses: AbstractSet[int]) -> None:
        """Take memory for what it was, whose bytes another part has looked at or put back."""
        self._counts = [
            now if now[1] in addresses else count
            for now, count in zip(self._count(), self._counts, strict=True)
        ]

    def _find_changed(
        self, suspects: list[_Tensor], touched: AbstractSet[int] = frozenset()
    ) -> list[_Tensor]:
        """Return those whose bytes are not what they were; all whose bytes were not noted.

        Args:
            suspects: the tensors to look at.
            touched: ids of those that something wrote to: they changed if their bytes cannot be
                told, as those of quantized tensors.
        """
        digests = digest_all([one.alias for one in suspects])
        return [
            one
            for one, digest in zip(suspects, digests, strict=True)
            if digest != one.digest
            or (digest is None and (id(one) in touched or not self._exposed))
        ]

    def _write_again(self, changed: list[_Tensor]) -> None:
        fresh = self._reload()
        for one in changed:
            one.alias.copy_(fresh[one.path])
        if self._exposed and self._find_changed(changed):
            raise ValueError("its source gives other weights than before")


def list_tensors(module: Any) -> dict[str, Any]:
    """Return the parameters and buffers of a module by name, each once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def describe_changes(owner: str, texts: Iterable[str], component: str) -> ChangedPartError:
    """Make the error of who changed shared parts.

    Args:
        owner: what the message begins with, such as "building setup 'fused'".
        texts: what changed.
        component: the first component that changed.
    """
    found = [*texts]
    shown = "; ".join(found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ChangedPartError(
        f"{owner} changed what setups share: {shown}{more}. It is put back, so that nothing else is"
        f" held to a changed baseline. Name what an optimization changes:"
        f" Optimization(changes={{{component!r}}}) gives it a copy whose modules are its own and"
        f" whose weights are shared, rewrites={{{component!r}}} a copy whose weights are its own"
        " too, for what is written into weights (a fused LoRA, pruning, folding)."
    )


def _compare_entries(held: _Held) -> Iterator[_Change]:
    live, kept = held.live, held.kept
    for name in [*dict.fromkeys([*kept, *live])]:
        value, was = live.get(name, _ABSENT), kept.get(name, _ABSENT)
        if value is was or _is_equal(value, was):
            continue
        undo = partial(live.pop, name) if was is _ABSENT else partial(live.__setitem__, name, was)
        if held.table:
            words = {id(value): "is gone", id(was): "is new"}.get(id(_ABSENT), "was replaced")
            yield _Change(f"{held.label}.{name} {words}", "structure", undo)
        else:
            what = "attribute" if isinstance(name, str) else "entry"
            was_shown = "was not there" if was is _ABSENT else f"was {_show(was)}"
            text = f"{held.label} {what} {name} is {_show(value)}, {was_shown}"
            by_call = is_left_by_call(name, value)
            yield _Change(text, "cache" if by_call else "attribute", undo)


def _is_equal(value: Any, was: Any) -> bool:
    try:
        return type(value) is type(was) and bool(value == was)
    except Exception:  # noqa: BLE001 - tensors refuse to be compared
        return False


def _is_countable(tensor: Any) -> bool:
    """Tell whether torch counts changes of a tensor, and tells where it is."""
    try:
        _ = tensor._version, tensor.data_ptr()  # noqa: SLF001 - the counter has no public name
    except RuntimeError:
        return False
    return True


def _has_state(value: Any) -> bool:
    import torch

    known = (*_PLAIN, *_NO_STATE, torch.Tensor, torch.nn.Module)
    return hasattr(value, "__dict__") and not isinstance(value, known)


def _list_methods(kinds: Iterable[type]) -> Iterator[tuple[type, str]]:
    """Return class and name of every function of classes and what they inherit from."""
    for kind in dict.fromkeys(base for one in dict.fromkeys(kinds) for base in one.__mro__[:-1]):
        for name, value in [*vars(kind).items()]:
            if isinstance(value, types.FunctionType):
                yield kind, name


def _copy(value: Any) -> Any:
    kind = next(kind for kind in (dict, list, set) if isinstance(value, kind))
    return kind(value)


def _refill(held: _Held) -> None:
    held.live.clear()
    (held.live.update if isinstance(held.live, set) else held.live.extend)(held.kept)


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "gone"
    return repr(value)[:60] if isinstance(value, _PLAIN) else f"a {type(value).__name__}"
