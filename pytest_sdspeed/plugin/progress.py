"""The progress line of a campaign, on a terminal that somebody watches."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import pytest

    from pytest_sdspeed.measure.campaign_data import Progress, Watcher


def shorten(campaign: str, most: int) -> str:
    """Return a campaign's name, or its end if it is long: a test's id ends with what is its own."""
    return campaign if len(campaign) <= most else f"...{campaign[len(campaign) - most + 3 :]}"


def _keep_streams(
    uncaptured: Callable[[], AbstractContextManager[None]],
) -> Callable[[], AbstractContextManager[None]]:
    """Give a test back the streams that it has put in the place of pytest's, as a doctest does."""

    @contextmanager
    def kept() -> Iterator[None]:
        streams = sys.stdout, sys.stderr
        try:
            with uncaptured():
                yield
        finally:
            sys.stdout, sys.stderr = streams

    return kept


def _forget(_line: str) -> None:
    """Keep no line."""


def make_watcher(config: pytest.Config, keep: Callable[[str], None] = _forget) -> Watcher:
    """Return what opens a progress line: none under ``-q``, or if the output is no terminal.

    Args:
        config: the run's configuration.
        keep: takes what each campaign will cost, in words, for the end of the run.
    """

    @contextmanager
    def watch(campaign: str) -> Iterator[Callable[[Progress], None]]:
        from pytest_sdspeed.report.prospect import describe_plan
        from pytest_sdspeed.report.text import format_progress

        def keep_plan(progress: Progress) -> None:
            if progress.plan is not None:
                keep(describe_plan(campaign, progress.plan))

        capture = config.pluginmanager.getplugin("capturemanager")
        uncaptured = _keep_streams(capture.global_and_fixture_disabled if capture else nullcontext)
        with uncaptured():
            # Without the terminal's plugin older versions of pytest know no verbosity.
            watched = (
                config.pluginmanager.hasplugin("terminalreporter")
                and config.get_verbosity() >= 0
                and sys.stdout.isatty()
            )
        if not watched:
            yield keep_plan
            return
        writer = config.get_terminal_writer()
        short = shorten(campaign, writer.fullwidth // 2)

        def show(text: str) -> None:
            with uncaptured():
                writer.write(
                    f"\r{text[: writer.fullwidth - 1].ljust(writer.fullwidth - 1)}", flush=True
                )

        def follow(progress: Progress) -> None:
            if progress.plan is not None:
                planned = describe_plan(campaign, progress.plan)
                keep(planned)
                # A line that stays, however long it is.
                show("")
                with uncaptured():
                    writer.write(f"\r{planned}\n", flush=True)
                return
            show(
                format_progress(
                    short,
                    progress.phase,
                    progress.arm,
                    block=progress.block,
                    blocks=progress.blocks,
                    left_s=progress.left_s,
                )
            )

        show(f"{short}: building")
        try:
            yield follow
        finally:
            show("")

    return watch
