"""What stands at the end of a run: one table per campaign, and the files that were asked for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.plugin.options import STEP_SUMMARY
from pytest_sdspeed.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_sdspeed.model import History, Machine, Result
    from pytest_sdspeed.run.session import Session


def table_lines(results: Iterable[Result]) -> Iterator[str]:
    """Every campaign's table, and what else a reader should know of it, as lines."""
    for group in text.group_by_campaign(results):
        yield from text.format_table(group)
        yield from (f"note: {remark}" for remark in text.collect_remarks(group))


def history_lines(session: Session) -> Iterator[str]:
    """A line for each row that was measured before, and what of the stored runs could not be read."""
    if session.past is None:
        return
    from pytest_sdspeed.report import history

    yield from (
        f"history: {history.write_line(found)}"
        for found in histories(session)
        if len(found.runs) > 1
    )
    yield from session.past.problems


def histories(session: Session) -> list[History]:
    """Of the rows that were measured, each once."""
    found = {}
    for result in session.results:
        if result.history is not None:
            key = (
                result.history.table,
                result.history.setup,
                result.history.baseline,
                result.history.device,
                result.history.recipe,
            )
            found[key] = result.history
    return list(found.values())


def file_lines(session: Session, config: Any) -> Iterator[str]:
    """Write report, record and step summary where asked for, with a line on each. One that cannot be written leaves the others theirs."""
    yield from session.problems
    if session.options.report:
        yield _written("sd report", session.options.report, lambda: _page(session, config))
    yield from session.recorded
    target = os.environ.get(STEP_SUMMARY)
    if target and session.results:
        from pytest_sdspeed.report.markdown import write_summary

        yield _written(
            "sd summary",
            Path(target),
            lambda: write_summary(session.results, histories(session)),
            mode="a",
        )


def write_reference_files(session: Session, config: Any) -> bool:
    """Write what was measured as a table, where that was asked for.

    Returns:
        False where a run that was to record, and had tests that measure, lacks a file.
    """
    if session.options.record is None or config.option.collectonly:
        return True
    from pytest_sdspeed.run.recording import write_reference

    facts = _facts(config) if session.results else {}
    made = [
        write_reference(
            path,
            [result for result in session.results if result.device == device],
            session.tables,
            machine,
            facts,
        )
        for path, device, machine in _recorded_devices(session.options.record, session)
    ]
    session.recorded += [line for one in made for line in one.lines]
    return all(one.complete for one in made) or not (session.selected or session.own_campaigns)


def _recorded_devices(path: Path, session: Session) -> Iterator[tuple[Path, str, Machine]]:
    """File, name and machine of every device that was measured: a file for each where workers of pytest-xdist have several kinds."""
    if len(session.machines) < 2:  # noqa: PLR2004
        yield path, session.machine.device, session.machine
        return
    for device, machine in session.machines.items():
        yield (
            path.with_stem(f"{path.stem}-{re.sub('[^a-z0-9]+', '-', device.lower())}"),
            device,
            machine,
        )


def _page(session: Session, config: Any) -> str:
    from pytest_sdspeed.judge.pictures.exhibits import add_error_maps
    from pytest_sdspeed.report.page.html import render_page

    # What workers of pytest-xdist sent comes without its error maps.
    results = (
        [add_error_maps(result) for result in session.results]
        if session.machines
        else session.results
    )
    return render_page(results, _facts(config), histories(session))


def _facts(config: Any) -> dict[str, str]:
    """Of the run as a whole, label -> text."""
    from pytest_sdspeed.history.stored_run import facts_of
    from pytest_sdspeed.store.benchmark import PLUGIN, run_info

    return facts_of(run_info(config)) if config.pluginmanager.hasplugin(PLUGIN) else {}


def _written(what: str, path: Path, make: Callable[[], str], mode: str = "w") -> str:
    from pytest_sdspeed.store.atomic import write_whole

    content = make().encode(errors="backslashreplace")
    try:
        if mode == "w" and (path.is_file() or not path.exists()):
            write_whole(path.resolve(), content, lasting=False)
        else:
            with path.open(f"{mode}b") as file:
                file.write(content)
    except OSError as error:
        return f"{what}: {path} could not be written: {error.strerror}"
    return f"{what}: {path}"
