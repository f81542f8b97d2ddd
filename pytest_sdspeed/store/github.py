"""One comment on a pull request, kept up to date through GitHub's API.

It stands with what else leaves this process for others to read, and knows nothing of what the
comment says.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pytest_sdspeed.errors import CommentError, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message

ACTIONS_BOT = "github-actions[bot]"
"""Who writes with the token that GitHub Actions gives a job. It may not ask who it is."""

_PAUSES_S = (2.0, 8.0)
"""Between the tries, if the server is busy or away."""
_TIMEOUT_S = 30.0
_PAGE = 100
_MOST_PAGES = 100
_MOST_BYTES = 64 * 2**20
_BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _BROKEN = 400, 401, 403, 404, 429, 500
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """Where a comment goes, and who writes it.

    Attributes:
        api: address of the API, without a slash at its end.
        repository: ``OWNER/NAME``.
        number: number of the pull request.
        token: what proves who writes; it is in no message.
        author: name of the account that the token belongs to; None asks the server.
    """

    api: str
    repository: str
    number: int
    token: str = field(repr=False)
    author: str | None = None


class Published(NamedTuple):
    """A comment that stands on the pull request.

    Attributes:
        address: where it is read, or "" if the server does not tell.
        updated: whether it stood there before.
        author: who wrote it, by the server; "" if it does not tell.
        stranger: whether that is somebody else than the author that was looked for, so that it will
            not be found again.
    """

    address: str
    updated: bool
    author: str
    stranger: bool


class _UnavailableError(CommentError):
    """The server is busy or away, or what was there is gone: it may be asked again."""


class _Refusing(HTTPRedirectHandler):
    """Follows no redirection: the token would go along, to another server too."""

    def redirect_request(self, *_given: Any, **_named: Any) -> None:
        return None


def find_address_fault(address: str) -> str | None:
    """Return what is wrong with the address of an API, or None: no token is sent in clear."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return "it is no address"
    if not host or not re.fullmatch("[!-~]+", address) or "@" in parts.netloc:
        return "it is no address, such as https://api.github.com"
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK):
        return None
    return "valid: an address that begins with https://"


def publish(
    place: PullRequest, marker: str, body: str, pause: Callable[[float], None] = time.sleep
) -> Published:
    """Put a comment on a pull request, or update the one that is there.

    The comment that begins with the marker, and is by the same author, is updated. If a server is
    busy or away all is asked anew, a few times: what a lost answer has posted is found then.

    Args:
        place: where it goes.
        marker: first line of the comment.
        body: the comment, in Markdown; it begins with the marker.
        pause: waits a number of seconds.

    Raises:
        TokenError: the token may not write there.
        CommentError: it could not be done for another reason, which the message says.
    """
    if not place.token:
        raise TokenError("the token is empty, as a secret is in a fork's pull request")
    if not re.fullmatch("[!-~]+", place.token):
        raise CommentError("the token has letters that no token has: spaces, or several lines")
    for pause_s in _PAUSES_S:
        try:
            return _publish(place, marker, body)
        except _UnavailableError:
            pause(pause_s)
    try:
        return _publish(place, marker, body)
    except _UnavailableError as error:
        raise CommentError(f"{error} (tried {len(_PAUSES_S) + 1} times)") from None


def _publish(place: PullRequest, marker: str, body: str) -> Published:
    author = (place.author or _find_author(place)).lower()
    # A race of two runs may have left several: none of them may tell of an older run.
    own = [
        comment
        for comment in _list_comments(place)
        if comment.author.lower() == author and comment.body.startswith(marker)
    ]
    issues = f"/repos/{place.repository}/issues"
    answers = [_ask(place, "PATCH", f"{issues}/comments/{one.id}", body)[0] for one in own] or [
        _ask(place, "POST", f"{issues}/{place.number}/comments", body)[0]
    ]
    try:
        address = _clean(place, str(answers[0].get("html_url") or ""))
        by = _clean(place, str((answers[0].get("user") or {}).get("login") or ""))
    except AttributeError:
        raise _describe_garbage(place, "a comment") from None
    return Published(
        address=address if address.startswith("http") else "",
        updated=bool(own),
        author=by,
        stranger=bool(by) and by.lower() != author,
    )


class _Comment(NamedTuple):
    """What is known of a comment."""

    id: int
    author: str
    body: str


def _find_author(place: PullRequest) -> str:
    """Return who writes with the token."""
    try:
        answer, _ = _ask(place, "GET", "/user")
    except TokenError:
        return ACTIONS_BOT
    if not isinstance(answer, dict) or not isinstance(answer.get("login"), str):
        raise _describe_garbage(place, "whose token it is")
    return str(answer["login"])


def _list_comments(place: PullRequest) -> Iterator[_Comment]:
    """Yield the comments of a pull request, the oldest first."""
    path = f"/repos/{place.repository}/issues/{place.number}/comments?per_page={_PAGE}&page="
    for page in range(1, _MOST_PAGES + 1):
        found, links = _ask(place, "GET", f"{path}{page}")
        if not isinstance(found, list):
            raise _describe_garbage(place, "a list of comments")
        yield from (_read_comment(place, one) for one in found)
        # The address of the next page is the server's word, and is not followed.
        if not ('rel="next"' in links or len(found) >= _PAGE) or not found:
            return
    raise CommentError(
        f"{place.repository}#{place.number} has more than {_MOST_PAGES * _PAGE:,} comments: those"
        " after them are not searched, and none is written"
    )


def _read_comment(place: PullRequest, stored: Any) -> _Comment:
    try:
        # The author of a deleted account, and the text of some imported comments, are null.
        author = (stored["user"] or {}).get("login") or ""
        return _Comment(int(stored["id"]), str(author), str(stored["body"] or ""))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _describe_garbage(place, "a list of comments") from None


def _describe_garbage(place: PullRequest, wanted: str) -> CommentError:
    return CommentError(
        f"{place.api} answers something else than {wanted}: check that it is the address of"
        " GitHub's API (--api-url)"
    )


def _ask(place: PullRequest, method: str, path: str, body: str | None = None) -> tuple[Any, str]:
    """Ask the server, and return its answer and the header ``Link``.

    Raises:
        TokenError: the token may not do that.
        _UnavailableError: the server is busy or away.
        CommentError: it refuses, or its answer is no JSON.
    """
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {place.token}",
        "Content-Type": "application/json",
        "User-Agent": "pytest-sdspeed",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    sent = None if body is None else json.dumps({"body": body}).encode()
    # The address was checked by find_address_fault.
    request = Request(f"{place.api}{path}", data=sent, headers=headers, method=method)  # noqa: S310
    try:
        with build_opener(_Refusing).open(request, timeout=_TIMEOUT_S) as answer:
            content, links = answer.read(_MOST_BYTES), answer.headers.get("Link") or ""
            if answer.length:
                raise IncompleteRead(content, answer.length)
    except HTTPError as error:
        with error:
            raise _explain(place, method, error) from None
    except URLError as error:
        raise _UnavailableError(
            f"{place.api} cannot be reached: {_clean(place, str(error.reason))}"
        ) from None
    except (OSError, HTTPException) as error:
        told = _clean(place, f"{type(error).__name__}: {error}")
        raise _UnavailableError(f"{place.api} gives no whole answer: {told}") from None
    try:
        return json.loads(content), links
    except (ValueError, RecursionError):
        raise _describe_garbage(place, "JSON") from None


_REFUSALS = {
    _UNAUTHORIZED: "{api} does not know the token ({code}){told}: it has expired, or is another"
    " server's",
    _FORBIDDEN: "the token may not write to {where} ({code}){told}: it is a fork's pull request, or"
    " the job lacks `permissions: pull-requests: write`",
    _NOT_FOUND: "{api} knows no pull request {where} ({code}){told}: check --repository and"
    " --pull-request, and that the token may read there",
}
_REFUSED = "{api} refuses the comment on {where} ({code}){told}"
_MOVED = (
    "{api} sends to another address ({code}), which the token is not sent to: check --repository,"
    " which may have moved, and --api-url"
)


def _explain(place: PullRequest, method: str, error: HTTPError) -> CommentError:
    """Return an error that says why the server refuses, and what to check."""
    code, where = error.code, f"{place.repository}#{place.number}"
    told = _read_reason(place, error)
    limited = code == _TOO_MANY or (code == _FORBIDDEN and _is_rate_limited(error.headers))
    if limited or code >= _BROKEN:
        what = "was asked too often" if limited else "is out of order"
        return _UnavailableError(f"{place.api} {what} ({code}){told}: try again later")
    if code == _NOT_FOUND and method == "PATCH":
        return _UnavailableError(f"the comment on {where} was deleted meanwhile ({code})")
    words = _MOVED if code < _BAD else _REFUSALS.get(code, _REFUSED)
    kind = TokenError if code == _FORBIDDEN else CommentError
    return kind(words.format(api=place.api, where=where, code=code, told=told))


def _is_rate_limited(headers: Message) -> bool:
    return headers.get("X-RateLimit-Remaining") == "0" or headers.get("Retry-After") is not None


def _read_reason(place: PullRequest, error: HTTPError) -> str:
    """Return ``: Bad credentials``, as GitHub puts it, or "" if the answer has no such words."""
    try:
        answer = json.loads(error.read(_MOST_BYTES))
    except (OSError, HTTPException, ValueError, RecursionError):
        return ""
    told = answer.get("message") if isinstance(answer, dict) else None
    return f": {_clean(place, told)}" if isinstance(told, str) and told else ""


def _clean(place: PullRequest, words: str) -> str:
    """Return a server's words as part of a line, without the token that it may repeat."""
    line = "".join(
        letter if letter.isprintable() else " " for letter in words.replace(place.token, "***")
    )
    return " ".join(line.split())[:200]
