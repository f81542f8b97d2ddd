"""What torch says of graph breaks and failed guards, told in a line, with its line of code.

The words differ between the versions of torch; what is not understood is told as it stands.
"""

from __future__ import annotations

import re

from pytest_sdspeed.dry.callers import is_inside, shorten

_LONGEST = 200
_FRAME = re.compile(r'^ *File "(.+)", line (\d+), in ', re.MULTILINE)
_STACKS = ("User code traceback:", "in the following user code:", "from user code at:")
_GUARD_STACK = "User stack trace:"
_END = "\nTraceback (most recent call last)"
_LOCATION = re.compile(r"Graph break in user code at (.+):(\d+)$", re.MULTILINE)
_REASON = re.compile(r"^(?:Graph Break )?Reason: (.*)", re.MULTILINE | re.DOTALL)
_RAISED = re.compile(r"^torch\._dynamo\.exc\.\w+: (.*)", re.MULTILINE | re.DOTALL)
_EXPLANATION = re.compile(r"^ *Explanation: (.+)$", re.MULTILINE)
_NUMBER = re.compile(r"^\d+/\d+: ")
_ADDRESSES = re.compile(r"\b(?:0x[0-9a-f]{5,}|\d{9,})\b")
_GIVEN_UP = re.compile(r"hit config\..*?function: '(.+?)' \((.+):(\d+)\)", re.DOTALL)
_LIMIT = re.compile(r"recompile[ _]limit|cache_size_limit", re.IGNORECASE)


def find_place(said: str) -> tuple[str, int] | None:
    """Return file and line of the innermost code that is neither torch's nor this package's.

    Args:
        said: what torch says, with a stack of the code that it traced.
    """
    frames = [(file, int(line)) for file, line in _FRAME.findall(_cut_stack(said))]
    outside = [frame for frame in frames if not is_inside(frame[0])]
    if outside:
        return outside[-1]
    told = _LOCATION.search(said)
    return (told[1], int(told[2])) if told else None


def _cut_stack(said: str) -> str:
    for head in (*_STACKS, _GUARD_STACK):
        if head in said:
            return said.rpartition(head)[2].partition(_END)[0]
    return ""


def explain_break(said: str) -> str:
    """Return why a graph broke, in a line."""
    found = _REASON.search(said) or _RAISED.search(said)
    text = (found[1] if found else said).partition(_STACKS[0])[0].strip()
    first, _, rest = text.partition("\n\n")
    if rest and first.endswith(":"):  # it only announces the next paragraph
        text = rest
    title = text.partition("\n")[0].removeprefix("Unsupported: ").strip()
    explained = _EXPLANATION.search(text)
    return shorten_reason(f"{title}: {explained[1]}" if explained else title)


def explain_guard(said: str) -> str:
    """Return which guard failed, in a line."""
    first = _NUMBER.sub("", said.partition("\n")[0])
    return shorten_reason(first.partition("  # ")[0].strip())


def is_limit(said: str) -> bool:
    """Tell whether what is told as a graph break is that torch gives up, see ``explain_limit``."""
    return bool(_LIMIT.search(explain_break(said)))


def explain_limit(said: str) -> str | None:
    """Return what to note if torch gave up a frame, since it had compiled it too often; or None.

    Args:
        said: line of torch's log.
    """
    found = _GIVEN_UP.search(said)
    if found is None:
        return None
    name, file, line = found.groups()
    return (
        f"torch gave up compiling {name} ({shorten(file)}:{line}), since it had to compile it again"
        " too often: from there on it runs uncompiled"
    )


def shorten_reason(text: str) -> str:
    """Cut a reason, and take out addresses, which differ from run to run."""
    text = _ADDRESSES.sub("...", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
