"""The progress line of a campaign, on a terminal that somebody watches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from pytest_sdspeed.measure.facts import Progress
    from pytest_sdspeed.session import Watcher


def watcher(config: pytest.Config) -> Watcher:
    """Opens a progress line, or nothing where nobody watches: under ``-q``, or when the output is no terminal."""

    @contextmanager
    def watching(campaign: str) -> Iterator[Callable[[Progress], None]]:
        from pytest_sdspeed.report.progress import line

        writer = config.get_terminal_writer()
        capture = config.pluginmanager.getplugin("capturemanager")
        if not writer.hasmarkup or config.get_verbosity() < 0:
            yield lambda _progress: None
            return

        def show(text: str) -> None:
            text = text[: writer.fullwidth - 1]
            if capture is None:
                writer.write(f"\r{text.ljust(writer.fullwidth - 1)}", flush=True)
                return
            with capture.global_and_fixture_disabled():
                writer.write(f"\r{text.ljust(writer.fullwidth - 1)}", flush=True)

        show(f"{campaign}: building")
        try:
            yield lambda progress: show(
                line(campaign, progress.phase, progress.arm, block=progress.block, blocks=progress.blocks, left_s=progress.left_s)
            )
        finally:
            show("")

    return watching
