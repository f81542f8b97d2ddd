"""Options and marker, read as frozen facts; a wrong value is an error that names the valid ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import DOCUMENTATION, MarkerError, UsageMistakeError
from pytest_sdspeed.history.aliases import parse_aliases
from pytest_sdspeed.model import ImageGate
from pytest_sdspeed.plugin.budget_option import find_total_budget
from pytest_sdspeed.plugin.options import (
    CLIP,
    FLAGS,
    HISTORY,
    INCONCLUSIVE,
    MARKER,
    NO_OTHER_VERSION,
    UNIT_CHOICES,
    WEIGHTS,
    flag,
)
from pytest_sdspeed.run.settings import REHEARSED, MarkerOptions, Options

if TYPE_CHECKING:
    from _pytest.mark import Mark

    from pytest_sdspeed.history.aliases import Alias

_MARKER_KEYS = ("table", "speedup", "tolerance", "tolerance_s", "image")
_PAGE = f"{DOCUMENTATION}/reference/options/"
_VALID = {
    "weights": ", ".join(WEIGHTS),
    "tables": "a table file, or a folder of them",
    "tolerance": "a fraction from 0 to below 1",
    "budget": "seconds, more than 0",
    "total_budget": "seconds, more than 0",
    "max_blocks": "a whole number, 2 or more",
    "inconclusive": ", ".join(INCONCLUSIVE),
    "seed": "a whole number from 0 to 2**62",
    "unit": ", ".join(UNIT_CHOICES),
    "clip": "a folder, or a hub id",
    "history": ", ".join(HISTORY),
    "history_alias": "OLD=NEW, what was called so before and what it is called today",
    "against": (
        "requirements (diffusers==0.41.0), a checkout, a Python interpreter, or a git reference"
    ),
}
"""What the value of an option may be, in words; an empty one means something for none of them."""
_CHOICES = {
    "weights": WEIGHTS,
    "inconclusive": INCONCLUSIVE,
    "history": HISTORY,
    "unit": UNIT_CHOICES,
}
"""Option -> the values that it may have."""
_NUMBERS: Mapping[str, tuple[Callable[[str], Any], Callable[[Any], bool]]] = {
    "tolerance": (float, lambda x: 0 <= x < 1),
    "budget": (float, lambda x: x > 0 and math.isfinite(x)),
    "total_budget": (float, lambda x: x > 0 and math.isfinite(x)),
    "max_blocks": (int, lambda x: x >= 2),  # noqa: PLR2004 - as ``_VALID`` says
    "seed": (int, lambda x: 0 <= x <= 2**62),
}
"""Option -> what reads its value, and which numbers are valid."""
_EMPTY_HINTS = {
    "against": " (a $(git merge-base ...) that finds no common commit comes out empty: fetch the"
    " history, as with fetch-depth: 0)"
}


def read_options(config: pytest.Config) -> Options:
    """Read the options: the command line takes precedence over the ini file, that over defaults.

    Raises:
        pytest.UsageError: a value is not valid; the message names the valid ones.
    """
    against, record = _find_given(config, "against"), _read_output(config, "record")
    if against == NO_OTHER_VERSION:
        against = None
    dry, weights = flag(config, "dry"), _read_choice(config, "weights", "pretrained")
    if weights == REHEARSED:
        _refuse_beside_rehearsal(config, against=against, record=record)
    if dry:
        _refuse_beside_dry(config)
    if against and record:
        raise pytest.UsageError(
            "--sd-against and --sd-record: a reference is recorded against a table's baseline: give"
            " one of them"
        )
    # Versions are held to smaller differences than setups of a table are, which takes more blocks;
    # and a block by stages costs about a sixth of one by calls.
    many = "200"
    return Options(
        gpu=flag(config, "gpu"),
        weights=weights,
        tables=_find_tables(config),
        tolerance=_read_number(config, "tolerance"),
        budget_s=_read_number(config, "budget", "300") or 0.0,
        max_blocks=_read_number(config, "max_blocks", many if against else "20") or 0,
        max_staged_blocks=_read_number(config, "max_blocks", many) or 0,
        inconclusive=_read_choice(config, "inconclusive", "fail"),
        seed=_read_number(config, "seed"),
        report=_read_output(config, "report"),
        record=record,
        clip=_find_given(config, "clip", CLIP) or "",
        history=_read_choice(config, "history", "warn"),
        confirm=flag(config, "confirm"),
        against=against,
        against_control=flag(config, "against_control"),
        aliases=_read_aliases(config),
        dry=dry,
        unit=_read_choice(config, "unit", "table"),
        total_budget_s=find_total_budget(
            config, _read_number(config, "total_budget"), against=against
        ),
    )


def _refuse_beside_dry(config: pytest.Config) -> None:
    """Refuse what needs a time or a GPU beside ``--sd-dry``, which has neither."""
    beside = {
        "--sd-gpu": (flag(config, "gpu"), "counts on the CPU, as if there were a GPU"),
        "--sd-confirm": (flag(config, "confirm"), "counts exactly, and there is nothing to repeat"),
        "--sd-against-control": (
            flag(config, "against_control"),
            "counts exactly, and needs no control",
        ),
        # What the configuration file says of slots is meant for other runs.
        "--sd-unit": (config.getoption("sd_unit") not in (None, "table"), "times no call"),
    }
    _refuse_beside("--sd-dry", beside)


def _refuse_beside_rehearsal(
    config: pytest.Config, *, against: str | None, record: Path | None
) -> None:
    """Refuse what needs a GPU, a time or another version beside ``--sd-weights=tiny``."""
    timeless = "measures no time"
    beside: dict[str, tuple[object, str]] = {
        "--sd-gpu": (flag(config, "gpu"), "rehearses a run on a GPU, on the CPU"),
        "--sd-dry": (flag(config, "dry"), "draws at toy size, and --sd-dry counts at full size"),
        "--sd-record": (record, f"{timeless} that could be a reference"),
        "--sd-against": (against, f"{timeless} by which versions could be compared"),
        "--sd-against-control": (
            flag(config, "against_control"),
            f"{timeless}, and needs no control",
        ),
        "--sd-confirm": (flag(config, "confirm"), f"{timeless} that could be confirmed"),
        # What the configuration file says of these is meant for other runs.
        "--sd-history": (
            config.getoption("sd_history") not in (None, "off"),
            f"{timeless}, and is in no history",
        ),
        "--sd-unit": (config.getoption("sd_unit") not in (None, "table"), timeless),
    }
    _refuse_beside(f"--sd-weights={REHEARSED}", beside)


def _refuse_beside(mode: str, beside: Mapping[str, tuple[object, str]]) -> None:
    """Refuse the first option that is given and cannot be beside another one.

    Args:
        mode: the other one.
        beside: option -> whether it is given, and why it cannot be.
    """
    for option, (given, why) in beside.items():
        if given:
            name = option.removeprefix("--sd-").replace("-", "_")
            ini = f" (-o sdspeed_{name}= takes it out of the configuration file)"
            told = ini if name in (*FLAGS, "record") else ""
            raise pytest.UsageError(f"{mode} and {option}: {mode} {why}: give one of them{told}")


def _read_aliases(config: pytest.Config) -> tuple[Alias, ...]:
    listed, given = _find_lists(config, "history_alias")
    try:
        return parse_aliases([*listed, *given])
    except UsageMistakeError as error:
        raise pytest.UsageError(f"{error}. See {DOCUMENTATION}/guides/history/") from None


def _name_option(name: str) -> str:
    return f"--sd-{name.replace('_', '-')}"


def _find_given(config: pytest.Config, name: str, default: str | None = None) -> str | None:
    """Return what the command line, or else the ini file, or else nobody gives an option.

    Raises:
        pytest.UsageError: it is empty, which means something only for files that are written: none.
    """
    option, given = _name_option(name), config.getoption(f"sd_{name}")
    if given is None:
        option, given = f"sdspeed_{name}", config.getini(f"sdspeed_{name}")
    if given is None:
        return default
    if given.strip():
        return str(given)
    _refuse_empty(option, name)
    return ""


def _find_tables(config: pytest.Config) -> tuple[Path, ...]:
    """Return the table files and folders that the ini file and the command line name."""
    listed, given = _find_lists(config, "tables")
    return (*(config.rootpath / entry for entry in listed), *map(Path, given))


def _find_lists(config: pytest.Config, name: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return what the ini file and the command line list for an option that may be repeated.

    Raises:
        pytest.UsageError: one of the entries is empty, or the ini file lists none.
    """
    listed, given = config.getini(f"sdspeed_{name}"), config.getoption(f"sd_{name}") or ()
    if listed is not None and not all(map(str.strip, listed or [""])):
        _refuse_empty(f"sdspeed_{name}", name)
    if not all(map(str.strip, given)):
        _refuse_empty(_name_option(name), name)
    return listed or (), given


def _refuse_empty(option: str, name: str) -> None:
    if name in _VALID:
        raise pytest.UsageError(
            f"{option}=: the value is empty{_EMPTY_HINTS.get(name, '')}; valid: {_VALID[name]}. See"
            f" {_PAGE}"
        )


def _read_choice(config: pytest.Config, name: str, default: str) -> str:
    given = _find_given(config, name, default)
    if given not in _CHOICES[name]:
        raise _invalid_value(name, given)
    return given


def _read_number(config: pytest.Config, name: str, default: str | None = None) -> Any:
    given, (read, holds) = _find_given(config, name, default), _NUMBERS[name]
    if given is None:
        return None
    try:
        number = read(given)
    except ValueError:
        number = math.nan
    if math.isnan(number) or not holds(number):
        raise _invalid_value(name, given)
    return number


def _invalid_value(name: str, given: str | None) -> pytest.UsageError:
    return pytest.UsageError(f"{_name_option(name)}={given}: valid: {_VALID[name]}. See {_PAGE}")


def _read_output(config: pytest.Config, name: str) -> Path | None:
    given = _find_given(config, name)
    if not given:
        return None
    # The controller writes the files for a worker of pytest-xdist, perhaps on another host.
    if hasattr(config, "workerinput"):
        return Path(given)
    return _check_output(_name_option(name), given)


def _check_output(option: str, given: str) -> Path:
    """Check, before anything is measured, that a file can be written."""
    path = Path(given)
    if path.is_dir():
        raise pytest.UsageError(f"{option}={given}: is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise pytest.UsageError(
            f"{option}={given}: the folder {path.absolute().parent} does not exist"
        )
    try:
        _try_to_write(path)
    except OSError as error:
        raise pytest.UsageError(f"{option}={given}: cannot be written: {error.strerror}") from None
    return path


def _try_to_write(path: Path) -> None:
    """Open a file as it will be written, and leave it as it was.

    Its permissions alone do not tell: a file system may be read-only.
    """
    if path.exists():
        with path.open("a", encoding="utf-8"):
            return
    with path.open("x", encoding="utf-8"):
        pass
    path.unlink()


def read_marker(mark: Mark | None, where: str, metrics: Collection[str] = ()) -> MarkerOptions:
    """Read and check a marker's arguments.

    Args:
        mark: the closest ``sd_latency`` marker, or None for a test without one.
        where: id of the test, for messages.
        metrics: names of the registered metrics of pictures.

    Raises:
        MarkerError: an argument is unknown or its value not valid; the message names the valid
            ones.
    """
    if mark is None:
        return MarkerOptions()
    given = dict(mark.kwargs)
    if len(mark.args) > 1 or (mark.args and "table" in given):
        raise MarkerError(
            f"{where}: marker sd_latency takes one positional argument, the table: {MARKER}"
        )
    if mark.args:
        given["table"] = mark.args[0]
    unknown = given.keys() - set(_MARKER_KEYS)
    if unknown:
        raise MarkerError(
            f"{where}: marker sd_latency has no argument {', '.join(map(repr, sorted(unknown)))};"
            f" valid: {MARKER}"
        )
    if not isinstance(given.get("table"), str | None):
        raise MarkerError(
            f"{where}: marker sd_latency: table={given['table']!r}; valid: the name of a table"
        )
    return MarkerOptions(
        table=given.get("table"),
        speedup=_check_number(
            where, "speedup", given.get("speedup"), "a ratio above 0", lambda x: x > 0
        ),
        tolerance=_check_number(
            where,
            "tolerance",
            given.get("tolerance"),
            "a fraction from 0 to below 1",
            lambda x: 0 <= x < 1,
        ),
        tolerance_s=_check_number(
            where, "tolerance_s", given.get("tolerance_s"), "seconds, 0 or more", lambda x: x >= 0
        ),
        image=_read_image_gate(where, given.get("image"), metrics),
    )


def _check_number(
    where: str, name: str, given: Any, valid: str, holds: Callable[[float], bool]
) -> float | None:
    if given is None:
        return None
    if (
        isinstance(given, bool)
        or not isinstance(given, int | float)
        or not math.isfinite(given)
        or not holds(given)
    ):
        raise MarkerError(f"{where}: marker sd_latency: {name}={given!r}; valid: {valid}")
    return float(given)


def _read_image_gate(where: str, given: Any, metrics: Collection[str]) -> ImageGate | None:
    if given is None:
        return None
    valid = (*_BOUNDS, *sorted(metrics))
    bounds = [*given.values()] if isinstance(given, Mapping) else []
    # A bound of None bounds nothing: a gate of no bound would pass whatever is drawn.
    if all(bound is None for bound in bounds) or given.keys() - set(valid):
        raise MarkerError(
            f"{where}: marker sd_latency: image={given!r}; valid: a dict with bounds for"
            f" {', '.join(valid)}"
        )
    return ImageGate.of(
        {
            key: _check_number(
                where, f"image[{key!r}]", value, *_BOUNDS.get(key, ("a number", _is_any))
            )
            for key, value in given.items()
        }
    )


def _is_any(_value: float) -> bool:
    return True


_BOUNDS: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "psnr": ("decibels, more than 0", lambda x: x > 0),
    "ssim": ("from -1 to 1", lambda x: -1 <= x <= 1),
    "mae": ("a fraction of the full range, more than 0", lambda x: x > 0),
    "flip": ("more than 0, at most 1", lambda x: 0 < x <= 1),
    "clip_drop": ("a difference of cosines, more than 0", lambda x: x > 0),
    "temporal": ("a share of the baseline's motion, more than 0", lambda x: x > 0),
    "max_abs": ("an absolute difference, more than 0", lambda x: x > 0),
    "mean_abs": ("an absolute difference, more than 0", lambda x: x > 0),
    "cosine": ("from -1 to 1", lambda x: -1 <= x <= 1),
}
"""Bound -> which numbers are valid, in words and as a rule."""
