"""Run pytest inside a run of pytest, without a trace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.plugin.options import STEP_SUMMARY
from pytest_sdspeed.plugin.state import own_id
from pytest_sdspeed.store.benchmark import save_nothing

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_WRITE_NOTHING = {
    "xmlpath": None,
    "htmlpath": None,
    "report_log": None,
    "pastebin": None,
    "log_file": os.devnull,
}
"""Options of pytest and of plugins that write a file for each run, and the value that writes
none."""
_ALONE = {
    "sd_confirm": False,
    "sd_history": "off",
    "sd_report": "",
    "sd_record": "",
    "usepdb": False,
    "trace": False,
    "color": "no",
}
"""Options that are meant for the outer run, which a user watches and can type to."""


def arguments_of_child(config: pytest.Config, cache: Path) -> list[str]:
    """Repeat the arguments of this run with another cache and without workers.

    Paths are included: they decide which conftest files and which ini file hold.
    """
    given = [str(argument) for argument in config.invocation_params.args]
    end = given.index("--") if "--" in given else len(given)
    # A worker has the arguments of the run that has the workers.
    alone = ["-n0"] if hasattr(config, "workerinput") else []
    elsewhere = (
        ["-o", f"cache_dir={cache}"] if config.pluginmanager.hasplugin("cacheprovider") else []
    )
    return [*given[:end], *alone, *elsewhere, *given[end:]]


def write_nothing(option: Any, temporary: Path) -> None:
    """Let a run inside another one write nothing that outlives it, and prompt for nothing.

    Args:
        option: its parsed command line, before plugins read it.
        temporary: its ``--basetemp``, since that of the run that waits for it would be emptied.
    """
    os.environ.pop(STEP_SUMMARY, None)
    save_nothing(option)
    for name, value in (_WRITE_NOTHING | _ALONE | {"basetemp": temporary}).items():
        if hasattr(option, name):
            setattr(option, name, value)


def name_test(item: pytest.Item) -> str:
    """Name the test as an argument of pytest.

    A folder above the working directory may have brackets in its name, which an argument may not.
    """
    here = item.config.invocation_params.dir
    path = item.path.relative_to(here) if item.path.is_relative_to(here) else item.path
    return "::".join((str(path), *own_id(item).split("::")[1:]))
