"""A step's summary stays under GitHub's limit: the worst rows come first, and the last line says what is left out."""

import re

import pytest
from fakes import baseline_result, failed, result
from histories import history

from pytest_sdspeed.report.markdown import LIMIT, write_addition, write_summary


def rows(count, **facts):
    return [result(f"row{number}", **facts) for number in range(count)]


def size(text):
    return len(text.encode())


def order(text):
    """Names of the rows in tables, from the top."""
    return re.findall(r"^\| (\w+) \|", text, re.MULTILINE)[1:]


def test_what_fits_is_written_as_without_a_limit():
    given = [baseline_result(), result("tf32"), failed()]
    whole = write_summary(given)
    assert write_summary(given, room=size(whole)) == whole
    assert "left out" not in whole


def test_the_worst_rows_come_first_and_the_last_line_says_what_is_left_out():
    slower = history(kind="code", setup="slower")
    given = [
        *rows(40),
        result("slower", history=slower),
        result("unsure", verdict="inconclusive", reasons=("loud",)),
        result("broken", verdict="invalid", reasons=("hot",)),
        failed(),
    ]
    room = size(write_summary([*given[40:], *given[:3]], [slower])) + 200
    text = write_summary(given, [slower], room, "page.html")
    assert size(text) <= room
    assert order(text)[:5] == ["baseline", "fp16", "broken", "unsure", "slower"]
    assert "slower: 6.2% slower since" in text
    left = 44 - (len(order(text)) - 1)
    assert text.splitlines()[-1] == f"{left} of 44 rows left out ({left} pass): a step's summary holds 1 MiB. All are in page.html."


def test_every_room_is_kept_to_and_more_room_never_shows_less():
    given = [*rows(30), *rows(5, verdict="fail", reasons=("é" * 50,))]
    shown = []
    for room in range(0, size(write_summary(given)) + 500, 397):
        text = write_summary(given, room=room)
        assert size(text) <= room
        shown.append(len(order(text)))
    assert shown == sorted(shown)
    assert write_summary(given, room=-5) == write_summary(given, room=20) == ""


@pytest.mark.slow
def test_thousands_of_rows_stay_under_the_limit_and_no_failure_is_lost(tmp_path):
    target = tmp_path / "step.md"
    good = [result(f"row{number}{'ü' * 200}") for number in range(3000)]
    text = write_addition(target, [*good, *(failed(setup=f"bad{number}") for number in range(20))])
    assert LIMIT - 2000 < size(text) <= LIMIT
    assert all(f"| bad{number} |" in text for number in range(20))
    assert re.search(r"of 3,020 rows left out \([\d,]+ pass\)", text.splitlines()[-1])


def test_runs_of_one_step_share_its_limit(tmp_path):
    target = tmp_path / "step.md"
    target.write_bytes(b"x" * (LIMIT - 3000))
    given = [*rows(50), failed()]
    text = write_addition(target, given)
    assert size(text) <= 3000
    assert text.startswith("\n## ")
    assert "| fp16 |" in text
    target.write_bytes(target.read_bytes() + text.encode())
    for _ in range(5):
        with target.open("ab") as file:
            file.write(write_addition(target, given).encode())
    assert target.stat().st_size <= LIMIT
    target.write_bytes(b"x" * (LIMIT + 7))
    assert write_addition(target, given) == ""


def test_a_message_of_a_megabyte_hides_no_other_row():
    endless = result("endless", verdict="fail", reasons=("no " * 700_000,))
    text = write_summary([endless, failed()], room=LIMIT)
    assert size(text) < 40_000
    assert {"endless", "fp16"} <= set(order(text))


def test_what_cannot_be_encoded_is_counted_as_it_is_written():
    given = rows(3, verdict="fail", reasons=("\ud800" * 300,))
    room = len(write_summary(given).encode(errors="backslashreplace"))
    assert "left out" not in write_summary(given, room=room)
    assert "left out" in write_summary(given, room=room - 1)


@pytest.mark.parametrize("number", [1, 2])
def test_a_limit_so_small_that_no_row_fits_leaves_the_line(number):
    text = write_summary(rows(number), room=250)
    assert text.splitlines()[-1].startswith(f"{number} of {number} row{'s' * (number > 1)} left out ({number} pass)")
    assert "|" not in text
