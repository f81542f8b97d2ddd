"""One comment on a pull request: posted, found again and updated, and one clear line for all that goes wrong."""

import json

import pytest
from pull_requests import BOT, HERE, NUMBER, TOKEN, serve

from pytest_sdspeed.errors import CommentError, TokenError
from pytest_sdspeed.store.github import PullRequest, find_address_fault, publish

MARKER = "<!-- pytest-sdspeed: run -->"
LISTED = f"{HERE}/{NUMBER}/comments"


@pytest.fixture
def github(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with serve() as server:
        yield server


def put(github, words="text", marker=MARKER, pauses=None, **facts):
    place = {"api": github.address, "repository": "octo/engine", "number": NUMBER, "token": TOKEN, **facts}
    return publish(PullRequest(**place), marker, f"{marker}\n{words}", ([] if pauses is None else pauses).append)


def refused(github, **facts):
    with pytest.raises(CommentError) as raised:
        put(github, **facts)
    message = str(raised.value)
    assert "\n" not in message
    assert TOKEN not in message + repr(raised.value.__cause__) + repr(PullRequest(api="", repository="", number=1, token=TOKEN))
    return raised.value


def test_two_runs_update_one_comment(github):
    github.add("hello", author="octocat")
    first, second = put(github, "one"), put(github, "two")
    assert github.bodies() == ["hello", f"{MARKER}\ntwo"]
    assert (first.updated, second.updated) == (False, True)
    assert first.address == second.address == "https://github.test/c/1001"
    assert not first.stranger


def test_two_jobs_have_a_comment_each(github):
    other = "<!-- pytest-sdspeed: run-gpu -->"
    put(github, "cpu")
    put(github, "gpu", other)
    put(github, "cpu again")
    assert github.bodies() == [f"{MARKER}\ncpu again", f"{other}\ngpu"]


def test_an_account_of_ones_own_is_asked_who_it_is(github):
    github.login = "Octo-Robot"
    github.add(f"{MARKER}\nold", author="octo-robot")
    assert put(github).updated
    assert len(github.comments) == 1


@pytest.mark.parametrize("links", [True, False])
def test_the_comment_is_found_on_the_third_page(github, links):
    github.links = links
    for number in range(230):
        github.add(f"talk {number}", author="octocat")
    number = github.add(f"{MARKER}\nold")
    github.add("the last", author="octocat")
    assert put(github, "new").updated
    assert github.comments[number - 1000]["body"] == f"{MARKER}\nnew"
    assert len(github.comments) == 232
    pages = [target for method, target in github.asked if method == "GET" and target != "/user"]
    assert [target.rpartition("=")[2] for target in pages] == ["1", "2", "3"]


def test_a_foreign_comment_with_the_marker_is_not_touched(github):
    github.add(f"{MARKER}\nmine", author="mallory")
    github.add(f"{MARKER}\nof a deleted account", author=None)
    github.add(f"> {MARKER}\nquoted by the bot itself")
    before = github.bodies()
    assert not put(github).updated
    assert github.bodies() == [*before, f"{MARKER}\ntext"]


def test_what_a_race_has_left_twice_is_updated_twice(github):
    github.add(f"{MARKER}\nold")
    github.add(f"{MARKER}\nolder")
    put(github)
    assert github.bodies() == [f"{MARKER}\ntext"] * 2


def test_a_comment_of_another_account_than_was_looked_for_is_said(github):
    github.author = "octo-app[bot]"
    assert put(github).stranger
    assert put(github, author="octo-app[bot]") == ("https://github.test/c/1000", True, "octo-app[bot]", False)


# What goes wrong

READ_ONLY = (403, {"message": "Resource not accessible by integration"})


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_token_that_may_not_write_is_told_from_other_faults(github, method):
    if method == "PATCH":
        github.add(f"{MARKER}\nold")
    github.fail(method, HERE, READ_ONLY)
    error = refused(github)
    assert isinstance(error, TokenError)
    assert "fork" in str(error)
    assert "pull-requests: write" in str(error)


def test_an_empty_token_is_that_of_a_fork(github):
    assert isinstance(refused(github, token=""), TokenError)
    assert github.asked == []


def test_a_token_of_two_lines_is_refused_before_it_is_sent_or_said(github):
    with pytest.raises(CommentError) as raised:
        put(github, token=f"{TOKEN}\nX-Other: 1")
    assert TOKEN not in str(raised.value)
    assert github.asked == []


def test_a_token_that_the_server_does_not_know(github):
    error = refused(github, token="ghs_other")
    assert not isinstance(error, TokenError)
    assert "does not know the token (401): Bad credentials" in str(error)


def test_a_pull_request_that_is_not_there(github):
    assert "knows no pull request octo/engine#8 (404)" in str(refused(github, number=8))


def test_a_comment_that_is_deleted_meanwhile_is_posted_anew(github):
    github.add(f"{MARKER}\nold")
    github.fail("PATCH", HERE, (404, {"message": "Not Found"}))
    pauses = []
    put(github, pauses=pauses)
    assert len(pauses) == 1


def test_a_server_that_is_out_of_order_for_a_moment_is_asked_again(github):
    github.fail("GET", LISTED, (502, b"<html>"), (503, b""))
    pauses = []
    assert put(github, pauses=pauses).address
    assert len(pauses) == 2
    assert all(0 < pause <= 10 for pause in pauses)


def test_a_server_that_stays_out_of_order_is_asked_three_times(github):
    github.fail("GET", LISTED, *[(500, {"message": "oops"})] * 9)
    assert str(refused(github)) == f"{github.address} is out of order (500): oops: try again later (tried 3 times)"
    assert sum(target.startswith(LISTED) for _, target in github.asked) == 3


def test_an_answer_that_is_lost_after_the_comment_was_written_makes_no_second_one(github):
    answer = github.answer

    def lose(method, target, headers, sent):
        found = answer(method, target, headers, sent)
        return (None, b"", {}) if method == "POST" else found

    github.answer = lose
    assert put(github).updated
    assert github.bodies() == [f"{MARKER}\ntext"]


@pytest.mark.parametrize("status", [(403, {"message": "API rate limit exceeded"}, {"X-RateLimit-Remaining": "0"}), (429, b"")])
def test_asked_too_often_is_no_read_only_token(github, status):
    github.fail("POST", HERE, *[status] * 3)
    error = refused(github)
    assert "was asked too often" in str(error)
    assert not isinstance(error, TokenError)


def test_no_network_is_said(github):
    error = refused(github, api="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached: " in str(error)
    assert "tried 3 times" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>hello</html>"),
        (200, b"[1, 2]"),
        (200, b'{"a": 1}'),
        (200, b'[{"id": "x", "user": null, "body": ""}]'),
        (200, b"[" * 100_000),
        (200, b"\xff\xfe"),
    ],
    ids=["page", "numbers", "object", "id", "deep", "bytes"],
)
def test_garbage_is_no_list_of_comments(github, answer):
    github.fail("GET", LISTED, answer)
    assert "check that it is the address of GitHub's API (--api-url)" in str(refused(github))
    assert github.comments == []


@pytest.mark.parametrize(
    "answer", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", b""], ids=["no-http", "half", "nothing"]
)
def test_a_connection_that_breaks_is_no_answer(github, answer):
    github.fail("GET", LISTED, *[(None, answer)] * 3)
    assert "gives no whole answer" in str(refused(github))


def test_a_posted_comment_whose_answer_is_garbage_is_said(github):
    github.fail("POST", HERE, (201, b'["what"]'))
    assert "something else than a comment" in str(refused(github))


def test_no_redirection_gets_the_token(github):
    with serve() as other:
        github.fail("GET", LISTED, (301, b"", {"Location": f"{other.address}{LISTED}"}))
        assert "sends to another address (301)" in str(refused(github))
        github.fail("POST", HERE, (307, b"", {"Location": f"{other.address}{LISTED}"}))
        assert "sends to another address (307)" in str(refused(github))
        assert other.asked == []


def test_a_server_that_repeats_the_token_or_controls_the_terminal_is_not_quoted_so(github):
    github.fail("POST", HERE, (422, {"message": f"Bearer {TOKEN}\n::error::\x1b[31m\u202e" + "x" * 5000}))
    message = str(refused(github))
    assert "(422): Bearer *** ::error::" in message
    assert message.isprintable()
    assert len(message) < 400


def test_thousands_of_comments_end_the_search(github, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.store.github._MOST_PAGES", 2)
    for number in range(201):
        github.add(f"talk {number}", author="octocat")
    assert "more than 200 comments" in str(refused(github))
    assert len(github.comments) == 201


def test_any_text_arrives_as_it_is(github):
    words = 'é ✅ \u200b "quoted" \\ \U0001f600'
    put(github, words)
    assert github.bodies() == [f"{MARKER}\n{words}"]
    assert json.loads(json.dumps(github.comments))[0]["user"]["login"] == BOT


@pytest.mark.parametrize(
    "address", ["https://api.github.com", "https://ghe.example.org/api/v3", "http://127.0.0.1:1", "http://localhost/api"]
)
def test_addresses_of_an_api(address):
    assert find_address_fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "http://api.github.com",
        "file:///etc/passwd",
        "api.github.com",
        "",
        "https://",
        "https://u:p@x.org",
        "https://x.org/\nb",
        "https://[x",
        "https://é.org",
    ],
)
def test_a_token_is_sent_nowhere_else(address):
    assert find_address_fault(address)
