"""The report as one self-contained page: no network, opens from disk."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.report import by_stage, text
from pytest_sdspeed.report.accounts import describe_account, list_faults
from pytest_sdspeed.report.claims import (
    describe_claim,
    format_heading,
    group_claims,
    list_remarks,
    select_claim_faults,
)
from pytest_sdspeed.report.costs import list_known_columns
from pytest_sdspeed.report.devices import describe_splits
from pytest_sdspeed.report.history import (
    describe_change,
    find_cause,
    select_slower,
    select_unsteady,
)
from pytest_sdspeed.report.messages import describe_result, select_attention
from pytest_sdspeed.report.page import history_section
from pytest_sdspeed.report.page.account_section import make_account_groups
from pytest_sdspeed.report.page.gallery import CaseShown, Gallery
from pytest_sdspeed.report.page.parts import make_environment, make_head
from pytest_sdspeed.report.page.recipe import describe_recipe
from pytest_sdspeed.report.page.thumbnails import make_thumbnails
from pytest_sdspeed.report.plots.bars import choose_ink, draw_memory, draw_stages, list_stages
from pytest_sdspeed.report.plots.drawing import use_house_style
from pytest_sdspeed.report.plots.forest import draw_forest
from pytest_sdspeed.report.plots.timeline import Timeline, draw_timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.model import AccountResult, ClaimResult, History, Result
    from pytest_sdspeed.report.costs import CostColumn
    from pytest_sdspeed.report.page.history_section import HistoryShown

_VERDICTS = ("fail", "invalid", "inconclusive", "pass")
_NO_FACTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a campaign's table: its cells by column, and the result they are made of."""

    cells: Mapping[str, str]
    tolerance: str
    result: Result | None

    @property
    def speedup(self) -> str:
        """Return the measured ratio, unrounded.

        "" if it is not finite or no test asked for the row.
        """
        return (
            repr(float(self.result.speedup))
            if self.result and math.isfinite(self.result.speedup)
            else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign's part of the page; a plot is None if there is nothing to plot."""

    anchor: str
    results: Sequence[Result]
    rows: Sequence[Row]
    recipe: Mapping[str, str]
    forest: str | None
    timeline: Timeline | None
    stages: str | None
    memory: str | None
    cases: Sequence[CaseShown]
    past: Sequence[HistoryShown]
    costs: Sequence[CostColumn]


def render_page(
    results: Sequence[Result],
    facts: Mapping[str, str] = _NO_FACTS,
    histories: Sequence[History] = (),
    accounts: Sequence[AccountResult] = (),
    claims: Sequence[ClaimResult] = (),
) -> str:
    """Render the whole page, verdicts that need attention first.

    Args:
        results: results of the run; none gives a page that says so.
        facts: label -> value, about the machine and the run.
        histories: histories of these rows and of any others.
        accounts: what the run counted.
        claims: what became of claims of tables.
    """
    gallery = Gallery(
        make_thumbnails(
            picture
            for result in results
            for exhibit in result.exhibits
            for picture in exhibit.pictures.values()
        )
    )
    groups = text.group_by_campaign(results)
    with use_house_style():
        campaigns = [
            _make_campaign(f"campaign-{number}", group, own, gallery)
            for number, (group, own) in enumerate(
                zip(groups, history_section.assign_histories(groups, histories), strict=True),
                start=1,
            )
        ]
        elsewhere = history_section.group_elsewhere(groups, histories)
    environment = make_environment()
    environment.filters["verdicts"] = _count_verdicts
    shown = environment.get_template("page/page.html.jinja").render(
        text=text,
        headline=_write_headline(results, accounts, claims)
        if results or accounts or claims or not histories
        else _write_history_headline(histories),
        results=results,
        counts=_count_outcomes(results, accounts),
        counted=make_account_groups(accounts),
        claims=group_claims(claims),
        claim_heading=format_heading,
        claim_remarks=list_remarks,
        claim_faults=select_claim_faults(claims),
        describe_claim=describe_claim,
        account_faults=list_faults(accounts),
        describe_account=describe_account,
        describe_result=describe_result,
        attention=select_attention(results),
        slower=[
            history
            for campaign in campaigns
            for history in select_slower(shown.history for shown in campaign.past)
        ],
        past_message=describe_change,
        remarks=text.collect_remarks(results),
        campaigns=campaigns,
        elsewhere=elsewhere,
        past_columns=history_section.COLUMNS,
        kind_of=find_cause,
        by_stage=by_stage,
        stage_names=list_stages,
        stage_ink=choose_ink,
        machine=[
            *((label, value) for label, value in _describe_machine(results) if label not in facts),
            *facts.items(),
            *(("split", line) for line in describe_splits(histories)),
        ],
        telemetry=[
            (text.name_campaign([result]), result.setup, ", ".join(_flatten(result.telemetry)))
            for result in results
            if result.telemetry
        ],
        **make_head(("page/page.css", "page/report.css"), "page/page.js"),
    )
    return shown.lstrip()


def _make_campaign(
    anchor: str, results: Sequence[Result], histories: Sequence[History], gallery: Gallery
) -> Campaign:
    name = text.name_campaign(results)
    return Campaign(
        anchor=anchor,
        results=results,
        rows=[
            _make_row(text.choose_columns(results), cells, result)
            for cells, result in text.list_rows(results)
        ],
        recipe=describe_recipe(next((result.recipe for result in results if result.recipe), None)),
        forest=draw_forest(results, f"{anchor}-forest", f"Speed-ups of {name}"),
        timeline=draw_timeline(results, f"{anchor}-timeline", f"Slots over time of {name}"),
        stages=draw_stages(results, f"{anchor}-stages", f"Stage times of {name}"),
        memory=draw_memory(results, f"{anchor}-memory", f"Peak memory of {name}"),
        cases=gallery.make_cases(results),
        past=history_section.show_histories(histories, results, anchor),
        costs=list_known_columns(results),
    )


def _make_row(columns: Sequence[str], cells: Sequence[str], result: Result | None) -> Row:
    gated = result is not None and not result.is_baseline
    return Row(
        cells=dict(zip(columns, cells, strict=True)),
        tolerance=text.format_tolerance(result) if result and gated else "",
        result=result,
    )


def _count_verdicts(results: Sequence[Result]) -> list[tuple[str, int]]:
    """Count how many rows have each verdict, the gravest first.

    A baseline counts if it does not pass.
    """
    rows = [
        result
        for group in text.group_by_campaign(results)
        for _, result in text.list_rows(group)
        if result
    ]
    counts = Counter(
        result.verdict for result in rows if not (result.is_baseline and result.verdict == "pass")
    )
    return [(verdict, counts[verdict]) for verdict in _VERDICTS if counts[verdict]]  # type: ignore[index]


def _count_outcomes(
    results: Sequence[Result], accounts: Sequence[AccountResult]
) -> list[tuple[str, int]]:
    """Count how many rows and accounts have each verdict, the gravest first."""
    counts: Counter[str] = Counter(dict(_count_verdicts(results)))
    counts.update(result.outcome for result in accounts)
    return [(verdict, counts[verdict]) for verdict in (*_VERDICTS, "counted") if counts[verdict]]


def _write_headline(
    results: Sequence[Result], accounts: Sequence[AccountResult], claims: Sequence[ClaimResult]
) -> str:
    """Write the page in one line."""
    said, faults = _write_rows(results, accounts), len(select_claim_faults(claims))
    of_claims = f"{faults} of {len(claims)} claims need attention" if faults else ""
    if claims and not results and not accounts:
        return of_claims or f"No claim of {len(claims)} needs attention"
    return f"{said}, {of_claims}" if of_claims else said


def _write_rows(results: Sequence[Result], accounts: Sequence[AccountResult]) -> str:
    counts = dict(_count_outcomes(results, accounts))
    counts.pop("counted", None)
    total, passed = sum(counts.values()), counts.get("pass", 0)
    if not results and not accounts:
        return "No campaign was measured"
    if not total and accounts:
        return f"{len(accounts)} account{'s' if len(accounts) > 1 else ''} counted"
    if not total:
        return "Baselines only: nothing was gated"
    if passed == total:
        return f"All {total} rows pass" if total > 1 else "The row passes"
    return f"{total - passed} of {total} rows need attention"


def _write_history_headline(histories: Sequence[History]) -> str:
    """Write a page of histories alone in one line."""
    changed = len(select_unsteady(histories))
    return f"{changed} of {len(histories)} histories changed" if changed else "No history changed"


def _describe_machine(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """List what results say about where they were measured."""
    yield from _list_distinct("device", (result.device for result in results))
    yield from _list_distinct("weights", (result.weights or "unknown" for result in results))
    timed = [result for result in results if result.rehearsal is None]
    for group in text.group_by_campaign(timed):
        yield f"control of {text.name_campaign(group)}", text.format_control(group[0].control)
    versions = {name: version for result in results for name, version in result.versions.items()}
    yield from versions.items()


def _list_distinct(label: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    found = dict.fromkeys(values)
    if found:
        yield label, ", ".join(found)


def _flatten(facts: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Flatten nested facts into ``name value``, a part each."""
    for name, value in facts.items():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{label} ")
        else:
            yield f"{label} {_format_fact(value)}"


def _format_fact(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, (list, tuple)):
        return " / ".join(map(_format_fact, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
