"""What setups and callables ask of a GPU, held to what their tests and tables say."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import UsageMistakeError, explain
from pytest_sdspeed.judge.accounts import judge_account
from pytest_sdspeed.judge.documented import DocumentedJudgement, judge_documented
from pytest_sdspeed.model import AccountResult
from pytest_sdspeed.run import accounting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Account, Row, TableSet
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.setups.setup import Setup


class NotBuilt:
    """Stands for the models of a setup that is to be counted: it is built while it is."""

    def build(self, name: str, *_: Any) -> Any:
        """Refuse to build.

        Raises:
            UsageMistakeError: always.
        """
        raise UsageMistakeError(
            f"setup {name!r} is built while it is counted, and has no pipeline before: call"
            f" sd_account(sd_{name})"
        )


def make_dry_setup(session: Session, resolved: ResolvedSetup) -> Setup:
    """Make a setup that is to be counted, with full-size models that have no weights.

    Args:
        session: has the optimizations, and the seed of the run.
        resolved: what the setup's name means.
    """
    from pytest_sdspeed.setups.setup import Setup

    if session.options.seed is not None:
        resolved = replace(resolved, recipe=replace(resolved.recipe, seed=session.options.seed))
    return Setup(
        resolved.setup,
        resolved.recipe,
        session.stack_of(resolved),
        machine=accounting.describe_counting_device(),
        pool=NotBuilt(),  # type: ignore[arg-type]
        resolved=resolved,
    )


def takes_device(call: Callable[..., Any]) -> bool:
    """Tell whether a callable takes the name of a device: it needs one argument, or has ``device``.

    Args:
        call: any callable; one whose signature Python does not know takes none.
    """
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):
        return False
    needed = [one for one in parameters.values() if one.default is one.empty and _is_place(one)]
    return len(needed) == 1 or (not needed and "device" in parameters)


def _is_place(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


class RowBounds(NamedTuple):
    """What the tables hold the account of a row to.

    Attributes:
        bounds: name of a bound -> the most that passes.
        notes: which tables have bounds that are not asked, and why, in words.
    """

    bounds: Mapping[str, int]
    notes: tuple[str, ...] = ()


def find_bounds(resolved: ResolvedSetup, tables: TableSet) -> RowBounds:
    """Find what the tables hold the account of a row to; recorded ones take precedence.

    Args:
        resolved: the row.
        tables: all tables; another one of the same name counts if its row is of the same stack and
            recipe, whatever its device is: an account is of no device.
    """
    if resolved.row is None:
        return RowBounds({})
    found = [
        (row, table)
        for table in sorted(tables.find(resolved.table.name), key=lambda one: not one.recorded)
        if (row := table.row(resolved.setup)) is not None and row.account
    ]
    same = [row.account for row, _ in found if _is_same_work(row, resolved)]
    notes = [
        f"{table.path} holds the account of another recipe or stack under this name, which is no"
        " bound here: record it again, or take it out"
        for row, table in found
        if not _is_same_work(row, resolved)
    ]
    return RowBounds(same[0] if same else {}, tuple(notes))


def _is_same_work(row: Row, resolved: ResolvedSetup) -> bool:
    """Tell whether a row is of the stack and the recipe that are counted; seeds change no count."""
    ours, theirs = (replace(recipe, repeats=1, seed=0) for recipe in (resolved.recipe, row.recipe))
    return row.optimizations == resolved.optimizations and ours == theirs


def count_target(
    target: Target, session: Session, bounds: Mapping[str, int], test: str = ""
) -> AccountResult:
    """Count what a target asks of a GPU, and hold it to its bounds.

    Args:
        target: a setup, or a callable that takes the name of the device.
        session: has the tables, and the optimizations.
        bounds: those of the test, which take precedence over those of the table.
        test: id of the test that asks.

    Raises:
        UnsupportedError: this build of torch, or the device, cannot do it.
        UsageMistakeError: a callable takes no device.
        SdSpeedError: it could not be counted; the message says why.
    """
    from pytest_sdspeed.device.machine import describe_cpu
    from pytest_sdspeed.run.criteria import find_dry_weights

    resolved = target.setup.resolved if target.setup else None
    try:
        account = _count(target, session)
    except Exception as error:  # noqa: BLE001 - a pipeline of anybody's may raise anything
        raise explain(target.name, error) from None
    recorded = find_bounds(resolved, session.tables) if resolved else RowBounds({})
    documented = _hold_to_page(target.setup, account, session) if target.setup else _NO_PAGE
    held_to = {**recorded.bounds, **bounds}
    verdict, reasons = judge_account(account, held_to)
    if documented.errors:
        verdict, reasons = "fail", (*reasons, *documented.errors)
    return AccountResult(
        table=resolved.table.name if resolved else None,
        setup=target.name,
        account=account,
        bounds=held_to,
        verdict=verdict,
        reasons=reasons,
        recipe=resolved.recipe if resolved else None,
        weights=find_dry_weights(resolved.recipe) if resolved else None,
        optimizations=resolved.optimizations if resolved else None,
        versions=describe_cpu().versions,
        counted_as=accounting.describe_counting_device().device,
        test=test or None,
        notes=(*recorded.notes, *documented.notes, *account.notes),
        documented_on=resolved.table.device if resolved else None,
        documented_share=documented.share,
    )


_NO_PAGE = DocumentedJudgement(latency_s=None, share=None)


def _hold_to_page(setup: Setup, account: Account, session: Session) -> DocumentedJudgement:
    """Hold what the page of a row says of its latency and memory to the row's account.

    A table that was recorded, or is for the CPU, is no page about a GPU.
    """
    from pytest_sdspeed.dry.limits import compute_limit

    resolved = setup.resolved
    row, table = resolved.row, resolved.table
    if row is None or table.recorded or table.on_cpu:
        return _NO_PAGE
    limit = compute_limit(account, table.device, setup.precision)
    if row.memory is None or row.is_baseline:
        return judge_documented(row, account, limit)
    base = session.catalog.find_baseline(resolved)
    try:
        baseline = session.counts.count(base, session.stack_of(base))
    except Exception as error:  # noqa: BLE001 - the row was counted, and its baseline has a test
        judged = judge_documented(row, account, limit)
        said = f"its memory was not held to the page, as its baseline: {explain(base.setup, error)}"
        return replace(judged, notes=(*judged.notes, said))
    return judge_documented(row, account, limit, baseline)


def _count(target: Target, session: Session) -> Account:
    if target.setup is not None:
        resolved = target.setup.resolved
        return session.counts.count(resolved, session.stack_of(resolved))
    from pytest_sdspeed.device.flags import guard

    draw = _check_callable(target)
    with guard(f"callable {target.name!r}"):
        return accounting.count_callable(draw)


def _check_callable(target: Target) -> Callable[..., Any]:
    assert target.call is not None  # noqa: S101 - a target is one or the other
    if not takes_device(target.call):
        raise UsageMistakeError(
            f"sd_account({target.name}): it takes no device, so that nothing of it can be counted;"
            " valid: a setup fixture (sd_fp16, ...), or a callable that takes the name of the"
            " device: sd_account(lambda device: ...)"
        )
    return target.call
