"""Open a comparison: from ``--sd-against`` to two workers that are ready before the first test."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.plugin.child import arguments_of_child
from pytest_sdspeed.plugin.state import run_of
from pytest_sdspeed.run.plan import Plan
from pytest_sdspeed.versions import environments
from pytest_sdspeed.versions.accounts import AccountComparison
from pytest_sdspeed.versions.comparison import Comparison
from pytest_sdspeed.versions.workers import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_sdspeed.setups.catalog import ResolvedSetup

CACHE = "sdspeed-against"
"""Folder of pytest's cache that holds what was installed for ``--sd-against=REQUIREMENT``."""


def open_comparison(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Start the workers of both versions, and let the run measure with them.

    Args:
        config: config of the run; the workers end when it is unconfigured.
        items: the tests that will run.

    Raises:
        pytest.UsageError: the other version is unavailable, does not start, does not import, or
            lacks a setup.
    """
    run = run_of(config)
    spec = run.options.against
    assert spec is not None  # noqa: S101 - the caller asked
    with ExitStack() as held:
        try:
            temporary = Path(
                held.enter_context(
                    tempfile.TemporaryDirectory(prefix="sdspeed-", ignore_cleanup_errors=True)
                )
            )
            old = held.enter_context(
                environments.open_environment(
                    spec,
                    root=config.rootpath,
                    cache=_find_cache(config),
                    tests=_list_test_files(config, items),
                )
            )
            told = WorkerConfig(
                arguments=arguments_of_child(config, temporary / "cache"),
                folder=config.invocation_params.dir,
                temporary=temporary,
                program=(files(__package__) / "bootstrap.py").read_text(encoding="utf-8"),
            )
            new = environments.current_environment(root=config.rootpath)
            if run.options.dry:
                counted = AccountComparison(spec, new=new, old=old, told=told)
                held.callback(counted.close)
                counted.open()
                run.counting = counted.count
            else:
                comparison = Comparison(run, spec, new=new, old=old, told=told)
                held.callback(comparison.close)
                comparison.open(_list_setups(config))
                run.against = comparison
        except SdSpeedError as error:
            raise pytest.UsageError(str(error)) from None
        config.add_cleanup(held.pop_all().close)


def _find_cache(config: pytest.Config) -> Path | None:
    cache = getattr(config, "cache", None)
    return Path(cache.mkdir(CACHE)) if cache is not None else None


def _list_test_files(config: pytest.Config, items: Iterable[pytest.Item]) -> list[Path]:
    """List the files of the tests and their conftest files."""
    conftests = [
        Path(name)
        for name, _ in config.pluginmanager.list_name_plugin()
        if name.endswith("conftest.py")
    ]
    return sorted({*conftests, *(item.path for item in items)})


def _list_setups(config: pytest.Config) -> list[ResolvedSetup]:
    """List the setups that will be asked for, and that this machine can run."""
    plan = run_of(config).plan
    return [one for one in plan.resolve_selected() if plan.skip_reason(one, Plan()) is None]
