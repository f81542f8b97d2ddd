"""The report as one self-contained page: no network, opens from disk."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pytest_sdspeed.report import text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model import Result

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #8888; padding: .3rem .8rem .3rem 0; text-align: left; white-space: nowrap; }
.fail, .invalid { color: #c33; font-weight: 600; } .pass { color: #293; } .inconclusive { color: #a70; }
"""


def page(results: Iterable[Result]) -> str:
    """The whole page, verdicts that need attention first.

    Args:
        results: of the run; none gives a page that says so.
    """
    results = list(results)
    body = [*_attention(results), *(part for group in text.campaigns(results) for part in _campaign(group))]
    content = "\n".join(body) or "<p>No campaign was measured in this run.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pytest-sdspeed</title><style>{_STYLE}</style></head>\n<body><h1>pytest-sdspeed</h1>\n{content}\n</body></html>\n"
    )


def _attention(results: list[Result]) -> Iterable[str]:
    found = [result for result in results if result.verdict != "pass"]
    if found:
        items = "".join(f'<li class="{result.verdict}">{escape(text.message(result))}</li>' for result in found)
        yield f"<h2>What needs attention</h2><ul>{items}</ul>"


def _campaign(results: list[Result]) -> Iterable[str]:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in text.COLUMNS)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells[:-1])}<td class='{escape(cells[-1])}'>{escape(cells[-1])}</td></tr>"
        for cells in text.rows(results)
    )
    yield f"<h2>{escape(text.heading(results))}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    yield from (f"<p>{escape(line)}</p>" for line in text.confirmations(results))
