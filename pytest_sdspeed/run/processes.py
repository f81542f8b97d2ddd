"""Read what a process printed before it ended."""

from __future__ import annotations

import re

_COLOR = re.compile(r"\x1b\[[0-9;]*m")


# What pytest and the interpreter put before the words that matter, the most telling first.
_TELLING = (r"^E {2,}(\S.*)$", r"^((?:Fatal Python error|ERROR|FAILED)\b.*)$", r"^(.*\S.*)$")


def last_words(output: str, status: int) -> str:
    """The line of a process's output that tells best why it ended.

    Args:
        output: all it said.
        status: its exit status; negative for a signal.
    """
    found = telling(output)
    ended = f"signal {-status} ended the process" if status < 0 else f"exit status {status}"
    return f"{ended}: {found}" if found else ended


def telling(output: str) -> str:
    """The line of a process's output that tells most; "" where there is none."""
    plain = _COLOR.sub("", output)
    found = next(filter(None, (re.findall(pattern, plain, re.MULTILINE) for pattern in _TELLING)), [])
    return found[-1].strip() if found else ""
