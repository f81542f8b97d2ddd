"""Process-global flags of torch and diffusers: read, held for a while, and checked for leaks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.switches import (
    DEFAULT,
    UNREADABLE,
    Flag,
    ModuleHook,
    count_autocasts,
    leave_autocasts,
    list_flags,
    read_configurations,
    write_configuration,
)
from pytest_sdspeed.errors import LeakedFlagError, UsageMistakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_TWIN = "fp32_precision"
_IN_SLOT = (
    "An optimization may hold flags only inside its slot: set them in the context manager of"
    " Optimization.slot and restore them there."
)


def snapshot() -> Mapping[str, Any]:
    """Return every flag and its value, ``UNREADABLE`` included."""
    return {
        **{name: _read(flag) for name, flag in list_flags().items()},
        **read_configurations(),
    }


def _read(flag: Flag) -> Any:
    try:
        return flag.read()
    except RuntimeError:
        return UNREADABLE


def _write(flag: Flag, value: Any) -> None:
    # Writing even the same value to a legacy flag would undo what its newer twin says.
    if not _is_same(_read(flag), value):
        flag.write(value)


@contextmanager
def guard(owner: str, advice: str = _IN_SLOT) -> Iterator[None]:
    """Check that every flag is after the block what it was before.

    Without torch there is nothing to check, and nothing is imported for it.

    Args:
        owner: what the message blames, such as "setup 'tf32'".
        advice: what the message says should be done instead.

    Raises:
        LeakedFlagError: a flag was left changed. It is restored first, so that nothing measured
            later is affected. An exception from inside the block takes precedence.
    """
    entered = count_autocasts()
    with _watch_torch() as before:
        try:
            yield
        except BaseException:
            _clear_casts(restore(before()), entered)
            raise
        leaked = restore(before())
    if leaked:
        _clear_casts(leaked, entered)
        raise LeakedFlagError(
            f"{owner} left process-global flags behind: {'; '.join(leaked)}. They are restored."
            f" {advice}"
        )


def _clear_casts(leaked: list[str], entered: int) -> None:
    """Have torch forget its casts of weights if autocast was entered for good.

    It would take them for those of every later autocast, whatever that casts to.
    """
    if any(name.startswith("torch.autocast(") for name in leaked):
        leave_autocasts(entered)


@contextmanager
def _watch_torch() -> Iterator[Callable[[], Mapping[str, Any]]]:
    """Read the flags, or, if torch is imported inside the block only, read them right then."""
    if "torch" in sys.modules:
        read = snapshot()
        yield lambda: read
        return
    finder = _TorchFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield lambda: finder.flags
    finally:
        sys.meta_path.remove(finder)


class _TorchFinder(MetaPathFinder):
    """Reads the flags right after torch was imported, before anybody can set them.

    Attributes:
        flags: what they were; empty if torch was not imported.
    """

    def __init__(self) -> None:
        self.flags: Mapping[str, Any] = {}
        self._busy = False

    def find_spec(
        self, fullname: str, _path: object = None, _target: object = None
    ) -> ModuleSpec | None:
        """Find torch as everybody else does, and have its loader followed by a look."""
        if fullname != "torch" or self._busy:
            return None
        self._busy = True
        try:
            spec = find_spec("torch")
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_look(module: ModuleType) -> None:
                execute(module)
                self.flags = snapshot()

            spec.loader.exec_module = execute_and_look  # type: ignore[method-assign]
        return spec


def restore(before: Mapping[str, Any]) -> list[str]:
    """Put every flag back, and return in words which were changed.

    Args:
        before: what ``snapshot`` returned; empty if there is nothing to compare with.
    """
    if not before:
        return []
    flags, now = list_flags(), snapshot()
    leaked = {
        name: (value, was)
        for name, value, was in _compare(flags, before, now)
        if not _is_same(value, was)
    }
    for name, (_, was) in leaked.items():
        if name not in flags:
            write_configuration(name, was)
        elif was != UNREADABLE:
            _write(flags[name], was)
    _put_back_twins(before)
    return [f"{name} is {_show(value)}, was {_show(was)}" for name, (value, was) in leaked.items()]


def _put_back_twins(before: Mapping[str, Any]) -> None:
    """Make the newer switches of TF32 say exactly what they said.

    Setting a legacy flag sets them too, and the other way round.
    """
    for name, flag in list_flags().items():
        was = before.get(name, UNREADABLE)
        if name.endswith(_TWIN) and was != UNREADABLE and _read(flag) != was:
            flag.write(was)


def _compare(
    flags: Mapping[str, Flag], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Return name, value and former value of every flag that has both."""
    for name, flag in flags.items():
        if name in before:
            yield name, now[name], before[name]
        elif flag.initial is not None:
            yield name, now[name], flag.initial()
    for name in (before.keys() | now.keys()) - flags.keys():
        yield name, now.get(name, DEFAULT), before.get(name, DEFAULT)


def _is_same(value: Any, was: Any) -> bool:
    """Tell whether two values of a flag mean the same.

    A newer twin that says nothing of its own means what it says after its legacy flag was set and
    set back.
    """
    return bool(value == was) or {"none", "ieee"} >= {str(value), str(was)}


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_name_entry, value)) or "none"
    return str(value)


def _name_entry(entry: Any) -> str:
    """Name a mode by its class, and a hook by its function."""
    if isinstance(entry, ModuleHook):
        return getattr(entry.hook, "__qualname__", type(entry.hook).__name__)
    return type(entry).__name__


@contextmanager
def hold(values: Mapping[str, Any]) -> Iterator[None]:
    """Set flags inside the block and restore them after it.

    Args:
        values: public name -> value, ``{"torch.backends.cudnn.benchmark": True}``.

    Raises:
        UsageMistakeError: torch refuses to read a flag, so that it could not be restored.
    """
    flags = {name: flag for name, flag in list_flags().items() if name in values}
    before = {name: _read(flag) for name, flag in flags.items()}
    for name, value in before.items():
        if value == UNREADABLE:
            raise UsageMistakeError(
                f"{name} cannot be held: its newer twin (fp32_precision) was set in this process."
                " Set one of the two, not both."
            )
    twins = {name: _read(flag) for name, flag in list_flags().items() if name.endswith(_TWIN)}
    try:
        for name, flag in flags.items():
            _write(flag, values[name])
        yield
    finally:
        for name, flag in flags.items():
            _write(flag, before[name])
        _put_back_twins(twins)


@contextmanager
def ignore_default_device() -> Iterator[None]:
    """Make tensors inside the block on the CPU if no device is named, whatever the default is.

    Libraries make some tensors without a device, and move them after.
    """
    import torch

    with hold({"torch default device": None}):
        if torch.empty(0).device.type == "cpu":
            yield
        else:  # a ``with torch.device(...)`` around
            with torch.device("cpu"):
                yield


@contextmanager
def collect(name: str) -> Iterator[dict[str, Any]]:
    """Put one flag back after the block, and tell what the block had set it to.

    Args:
        name: public name of the flag.

    Yields:
        What ``hold`` takes: empty while the block runs, and after it if the flag was left alone.
    """
    before = {one: _read(flag) for one, flag in list_flags().items() if one == name}
    set_to: dict[str, Any] = {}
    try:
        yield set_to
    finally:
        for one, flag in list_flags().items():
            was = before.get(one, flag.initial and flag.initial())
            if one == name and flag.read() != was:
                set_to[one] = flag.read()
                flag.write(was)
