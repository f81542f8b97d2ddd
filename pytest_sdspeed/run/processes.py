"""Read what a process printed before it ended."""

from __future__ import annotations

import re

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
# What pytest and the interpreter put before the words that matter, the most telling first.
_TELLING = (r"^E {2,}(\S.*)$", r"^((?:Fatal Python error|ERROR|FAILED)\b.*)$", r"^(.*\S.*)$")


def describe_end(output: str, status: int) -> str:
    """Say how a process ended, with the line of its output that tells best why.

    Args:
        output: all that it printed.
        status: its exit status; negative for a signal.
    """
    found = find_telling_line(output)
    ended = f"signal {-status} ended the process" if status < 0 else f"exit status {status}"
    return f"{ended}: {found}" if found else ended


def find_telling_line(output: str) -> str:
    """Find the line of a process's output that tells most; "" if there is none."""
    plain = _COLOR.sub("", output)
    found = next(
        filter(None, (re.findall(pattern, plain, re.MULTILINE) for pattern in _TELLING)), []
    )
    return found[-1].strip() if found else ""
