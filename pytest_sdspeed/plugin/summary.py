"""What ends a run: a table for each campaign, and the files that were asked for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.plugin.options import STEP_SUMMARY
from pytest_sdspeed.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_sdspeed.model import AccountResult, ClaimResult, History, Machine, Result
    from pytest_sdspeed.run.run import Run


def table_lines(results: Iterable[Result]) -> Iterator[str]:
    """Yield the lines of every campaign's table, and what else a reader should know of it."""
    from pytest_sdspeed.report.by_stage import list_stage_lines

    for group in text.group_by_campaign(results):
        yield from text.format_table(group)
        yield from (f"by stages: {setup}: {words}" for setup, words in list_stage_lines(group))
        yield from (f"seen to act: {setup}: {words}" for setup, words in text.list_proofs(group))
        yield from (f"note: {remark}" for remark in text.collect_remarks(group))


def account_lines(results: Iterable[AccountResult]) -> Iterator[str]:
    """Yield the lines of every table of accounts, and what else a reader should know of it."""
    from pytest_sdspeed.report import accounts

    for group in accounts.group_accounts(results):
        yield from accounts.format_accounts(group)
        yield from (f"note: {note}" for note in accounts.collect_account_notes(group))


def claim_lines(results: Iterable[ClaimResult]) -> Iterator[str]:
    """Yield the lines of every table's claims, and what else a reader should know of them."""
    from pytest_sdspeed.report import claims

    for group in claims.group_claims(results):
        yield from claims.format_claims(group)


def history_lines(run: Run) -> Iterator[str]:
    """Yield a line for each row that was measured before, and for each run that cannot be read."""
    if run.lookup is None:
        return
    from pytest_sdspeed.report import account_history, history
    from pytest_sdspeed.report.devices import describe_splits

    for counted in {one.history.key: one.history for one in run.accounts if one.history}.values():
        if len(counted.runs) > 1 or counted.follows:
            lines = account_history.describe_history(counted, advise=False)
            yield from (f"history: {line.removeprefix('  ')}" for line in lines)
    yield from (
        f"history: {history.write_line(found)}"
        for found in histories(run)
        if len(found.runs) > 1 or found.follows
    )
    yield from run.lookup.problems
    known = [one for found in histories(run) for one in (found, *run.lookup.list_elsewhere(found))]
    yield from (f"history: split: {line}" for line in describe_splits(known))


def histories(run: Run) -> list[History]:
    """List the histories of the rows that were measured, each once."""
    found = {
        result.history.key: result.history for result in run.results if result.history is not None
    }
    return list(found.values())


def write_files(run: Run, config: Any) -> bool:
    """Write the report, the tables and the step summary that were asked for, and note each.

    A file that cannot be written does not keep the others from being written.

    Returns:
        False if a table is missing, though the run was to record and had tests that measure.
    """
    whole = _write_reference_files(run, config)
    if run.options.report:
        run.written.append(_write("sd report", run.options.report, lambda: _make_page(run, config)))
    run.written += run.recorded
    target = os.environ.get(STEP_SUMMARY)
    if target and (run.results or run.accounts):
        from pytest_sdspeed.report.markdown import write_addition, write_recorded

        log = "the log of this step"
        elsewhere = f"{run.options.report} and {log}" if run.options.report else log
        added = write_addition(Path(target), run.results, histories(run), elsewhere, run.accounts)
        added += write_recorded(run.recorded) if added and run.recorded else ""
        run.written.append(
            _write("sd summary", Path(target), lambda: added, mode="a")
            if added
            else f"sd summary: {target} is full, and nothing was added to it"
        )
    return whole


def tell_unsummarized(config: Any, lines: Sequence[str]) -> None:
    """Write lines that the summary of the terminal would have, if this run is to have none.

    Before pytest 9.2 ``--no-summary`` leaves the summaries of plugins out, too.
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and config.option.no_summary and pytest.version_tuple < (9, 2):
        for line in ("", *lines) if lines else ():
            reporter.write_line(line)


def _write_reference_files(run: Run, config: Any) -> bool:
    """Write what was measured as a table, if that was asked for.

    Returns:
        False if a file is missing, though the run was to record and had tests that measure.
    """
    if run.options.record is None or config.option.collectonly:
        return True
    from pytest_sdspeed.run.recording import write_reference

    facts = _find_facts(config) if run.results or run.accounts else {}
    if run.options.dry:
        from pytest_sdspeed.run.recording_accounts import write_accounts

        tables = run.session.tables.find(*(one.table for one in run.accounts))
        counted = write_accounts(run.options.record, run.accounts, tables, facts)
        run.recorded += counted.lines
        return counted.complete or not run.plan.tests
    tables = run.session.tables.find(*(one.table for one in run.results))
    made = [
        write_reference(
            path,
            [result for result in run.results if result.device == device],
            tables,
            machine,
            facts,
        )
        for path, device, machine in _list_devices(run.options.record, run)
    ]
    run.recorded += [line for one in made for line in one.lines]
    return all(one.complete for one in made) or not run.plan.tests


def _list_devices(path: Path, run: Run) -> Iterator[tuple[Path, str, Machine]]:
    """Yield file, name and machine of every device: workers may measure on several kinds."""
    if len(run.machines) < 2:  # noqa: PLR2004
        yield path, run.machine.device, run.machine
        return
    for device, machine in run.machines.items():
        yield (
            path.with_stem(f"{path.stem}-{re.sub('[^a-z0-9]+', '-', device.lower())}"),
            device,
            machine,
        )


def _make_page(run: Run, config: Any) -> str:
    from pytest_sdspeed.judge.pictures.exhibits import add_error_maps
    from pytest_sdspeed.report.page.html import render_page

    # Workers of pytest-xdist send results without their error maps.
    results = [add_error_maps(result) for result in run.results] if run.machines else run.results
    return render_page(results, _find_facts(config), histories(run), run.accounts, run.claims)


def _find_facts(config: Any) -> dict[str, str]:
    """Return the facts of the run as a whole, label -> text."""
    from pytest_sdspeed.history.stored_run import describe_run
    from pytest_sdspeed.store.benchmark import PLUGIN, collect_run_info

    return describe_run(collect_run_info(config)) if config.pluginmanager.hasplugin(PLUGIN) else {}


def _write(what: str, path: Path, make: Callable[[], str], mode: str = "w") -> str:
    from pytest_sdspeed.store.atomic import write_file

    content = make().encode(errors="backslashreplace")
    try:
        if mode == "w":
            write_file(path, content, lasting=False)
        else:
            with path.open(f"{mode}b") as file:
                file.write(content)
    except OSError as error:
        return f"{what}: {path} could not be written: {error.strerror}"
    return f"{what}: {path}"
