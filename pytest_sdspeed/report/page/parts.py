"""What every page is made with: its templates, its styles, and the policy of what it may do."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

_ROOM = "pytest_sdspeed.report"


def read_part(name: str) -> str:
    """Read a template, style sheet or script of a page.

    Args:
        name: its path below the room of reports, such as ``page/page.css``.
    """
    return files(_ROOM).joinpath(name).read_text(encoding="utf-8")


def make_environment() -> Environment:
    """Make what renders templates: all values are escaped, and an unknown one is an error."""
    return Environment(
        loader=FunctionLoader(read_part),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def make_head(styles: tuple[str, ...], script: str) -> dict[str, Any]:
    """Return the values that ``page/head.html.jinja`` and the end of a page ask for.

    Args:
        styles: style sheets, in the order in which they apply.
        script: the only script that the page may run.
    """
    content = read_part(script)
    return {
        "style": "".join(map(read_part, styles)),
        "script": content,
        "script_hash": base64.b64encode(hashlib.sha256(content.encode()).digest()).decode(),
    }
