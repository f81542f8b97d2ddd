"""A stand-in for GitHub on loopback: the comments of one pull request, with pages, accounts and everything that goes wrong."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_0123456789abcdef"
BOT = "github-actions[bot]"
HERE = "/repos/octo/engine/issues"
NUMBER = 7
NOT_FOUND = 404, {"message": "Not Found"}, {}


class GitHub:
    """What the server knows.

    Attributes:
        comments: of pull request 7 of octo/engine, the oldest first, as the API lists them.
        login: whose token it is, or None for that of a job, which may not ask.
        asked: method and path of every request, in order.
        answers: (method, how a path begins) -> answers that are given first, each a status, a body and headers.
    """

    def __init__(self):
        self.comments, self.login, self.asked, self.answers, self.author = [], None, [], {}, BOT
        self.links, self.address = True, ""

    def add(self, body, author=BOT):
        """Put a comment there; its number."""
        number = 1000 + len(self.comments)
        user = author and {"login": author}
        self.comments.append({"id": number, "user": user, "body": body, "html_url": f"https://github.test/c/{number}"})
        return number

    def fail(self, method, path, *answers):
        """Answer requests in another way, one after the other, and then as ever."""
        self.answers[method, path] = list(answers)

    def bodies(self):
        return [comment["body"] for comment in self.comments]

    def answer(self, method, target, headers, sent):
        """Status, body and headers of the answer to a request."""
        self.asked.append((method, target))
        for (asked, path), left in self.answers.items():
            if asked == method and target.startswith(path) and left:
                status, body, *more = left.pop(0)
                return status, body, (more or [{}])[0]
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}, {}
        address = urlsplit(target)
        comments = re.fullmatch(rf"{HERE}(?:/{NUMBER})?/comments(?:/(\d+))?", address.path)
        if address.path == "/user":
            return (200, {"login": self.login}, {}) if self.login else (403, {"message": "Resource not accessible by integration"}, {})
        if comments and method in {"GET", "POST", "PATCH"}:
            return getattr(self, f"_{method.lower()}")(comments[1], address.query, sent)
        return NOT_FOUND

    def _get(self, _number, query, _sent):
        asked = parse_qs(query)
        size, page = int(asked["per_page"][0]), int(asked["page"][0])
        more = {"Link": f'<{self.address}/elsewhere>; rel="next"'} if self.links and page * size < len(self.comments) else {}
        return 200, self.comments[(page - 1) * size : page * size], more

    def _post(self, _number, _query, sent):
        self.add(json.loads(sent)["body"], self.login or self.author)
        return 201, self.comments[-1], {}

    def _patch(self, number, _query, sent):
        known = [comment for comment in self.comments if comment["id"] == int(number or 0)]
        for comment in known:
            comment["body"] = json.loads(sent)["body"]
        return (200, known[0], {}) if known else NOT_FOUND


@contextmanager
def serve():
    """A server of its own, for a while."""
    known = GitHub()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def answer(self):
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body, headers = known.answer(self.command, self.path, self.headers, sent)
            if status is None:
                # The connection breaks, after what stands there.
                self.wfile.write(body)
                self.close_connection = True
                return
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that the server looks for

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        known.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join(10)
