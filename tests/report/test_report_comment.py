"""The text of a comment: what it says of each verdict, how long it may be, and that words of a run do nothing in it."""

import re

import pytest
from fakes import baseline_result, failed, result, tf32
from histories import history

from pytest_sdspeed.model import Against
from pytest_sdspeed.report.comment import LIMIT, CommentFacts, make_marker, write_comment

FACTS = {"commit": "1a2b3c4", "device": "NVIDIA H200", "date": "2026-11-29T23:41:10+00:00", "host": "secret-host"}
LINKS = {"report": "https://github.test/artifacts/1", "log": "https://github.test/runs/2"}
PASSING = """<!-- pytest-sdspeed: run -->
## ✅ Diffusion speed-ups and pictures: 2 pass

pytest passed. · [report](<https://github.test/artifacts/1>) · [log](<https://github.test/runs/2>)

### inference

documented on NVIDIA A100, measured on NVIDIA H200 (random weights), 6 blocks, A/A control x1.00 \\[0.99, 1.01\\]

| setup | latency | speed-up | documented | floor | pictures | verdict |
| --- | --- | --- | --- | --- | --- | --- |
| baseline | 1.93 s | x1.00 | x1.00 |  |  | - |
| tf32 | 1.51 s | x1.28 \\[1.27, 1.29\\] | x1.27 | x1.21 | PSNR 61 SSIM .999 | ✅ pass |


commit 1a2b3c4; NVIDIA H200; 2026-11-29T23:41:10+00:00"""


def written(results=(), histories=(), room=LIMIT, **facts):
    known = {"key": "run", "run": FACTS, "links": LINKS, "exit_code": 0, **facts}
    return write_comment(results, histories, CommentFacts(**known), room)


def title(text):
    return text.splitlines()[1].removeprefix("## ")


def order(text):
    """Names of the rows in tables, from the top."""
    return [name for name in re.findall(r"^\| (\w+) \|", text, re.MULTILINE) if name != "setup"]


def test_a_run_that_passes_says_so_whole():
    assert written([baseline_result(), tf32()]) == PASSING


@pytest.mark.parametrize(
    ("facts", "sign", "count", "said"),
    [
        ({"verdict": "fail", "reasons": ("too slow",)}, "❌", "1 fail, 1 pass", "Reason: too slow."),
        (
            {"verdict": "inconclusive", "reasons": ("the budget is spent",)},
            "❌",
            "1 inconclusive, 1 pass",
            "- inconclusive: fp16 on NVIDIA H200",
        ),
        (
            {"verdict": "invalid", "biased": True, "reasons": ("biased",)},
            "❌",
            "1 invalid, 1 pass",
            "stop what else uses this machine and rerun",
        ),
        ({"verdict": "fail", "raised": "boom", "reasons": ("raised ValueError: boom",)}, "❌", "1 fail, 1 pass", "raised ValueError: boom"),
    ],
    ids=["fail", "inconclusive", "invalid", "error"],
)
def test_what_does_not_pass_comes_first_in_words_and_in_the_table(facts, sign, count, said):
    text = written([tf32(), result(**facts)], exit_code=1)
    assert title(text) == f"{sign} Diffusion speed-ups and pictures: {count}"
    assert said in text
    assert text.index(said) < text.index("| setup |")
    assert order(text) == ["baseline", "fp16", "tf32"]
    assert "pytest failed (exit code 1)" in text


def test_without_an_exit_code_the_sign_is_that_of_the_worst_row():
    signs = {
        verdict: title(written([tf32(), result(verdict=verdict)], exit_code=None))[0]
        for verdict in ("pass", "fail", "inconclusive", "invalid")
    }
    assert signs == {"pass": "✅", "fail": "❌", "inconclusive": "❔", "invalid": "⚠"}


def test_two_versions_have_old_and_new():
    against = Against(spec="main", label="main (3f2a1bc)", versions={"diffusers": "0.41.0"}, stages={"denoising": 1.066}, identical=True)
    row = result(
        against=against, speedup=0.942, low=0.936, high=0.949, floor=0.97, tolerance=0.03, verdict="fail", versions={"diffusers": "0.42.1"}
    )
    text = written([row], exit_code=1)
    assert "### inference, against main (3f2a1bc)" in text
    assert "| setup | old | new | change | stages | pictures | verdict |" in text
    assert "| fp16 | 1.93 s | 1.47 s | 6.2% slower \\[5.4, 6.8\\] | denoising +6.6% | identical | ❌ fail |" in text
    assert "diffusers 0.41.0 -&gt; 0.42.1" in text


# No false pass


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 137])
def test_a_run_that_did_not_pass_has_no_green_sign_whatever_its_rows_say(code):
    text = written([tf32()], exit_code=code)
    assert title(text).startswith("❌")
    assert f"exit code {code}" in text


def test_a_failure_that_no_row_shows_is_said():
    text = written([tf32()], exit_code=1)
    assert "though no row here did" in text
    assert "though" not in written([failed()], exit_code=1)


@pytest.mark.parametrize(("code", "sign"), [(0, "❔"), (4, "❌"), (5, "❌"), (None, "❔")])
def test_a_run_without_rows_measured_nothing(code, sign):
    text = written(exit_code=code, unread=("pytest wrote no run",))
    assert title(text) == f"{sign} Diffusion speed-ups and pictures: nothing was measured"
    assert "- not shown: pytest wrote no run" in text


def test_what_an_option_let_pass_is_not_called_a_pass():
    text = written([tf32(), result(verdict="inconclusive")])
    assert title(text) == "❔ Diffusion speed-ups and pictures: 1 inconclusive, 1 pass"
    assert "pytest passed all the same" in text


def test_results_that_cannot_be_read_are_named_and_counted():
    text = written([tf32()], exit_code=None, unread=[f"test_{number}: damaged" for number in range(9)])
    assert title(text).startswith("❔")
    assert text.count("- not shown: test") == 3
    assert "- not shown: 6 more" in text


# What changed


def test_a_row_that_passes_and_became_slower_comes_first_and_is_counted():
    slower = history(kind="code", setup="slower")
    text = written([tf32(), result("slower")], [slower, history(kind="code", setup="elsewhere")])
    assert title(text) == "✅ Diffusion speed-ups and pictures: 2 pass, 1 slower than before"
    assert order(text) == ["baseline", "slower", "tf32"]
    assert "### History\n\n- inference on NVIDIA H200: slower: 6.2% slower since" in text
    assert "elsewhere" not in text


def test_of_callables_of_one_name_the_one_that_became_slower_is_counted():
    """Two tests call their engines alike: the history of one says nothing of the other."""
    tests = ["test_a.py::test_engine[old]", "test_a.py::test_engine[new]"]
    results = [result("engine", table=None, baseline="plain", test=test) for test in tests]
    slower = history(kind="code", setup="engine", table=None, baseline="plain", recipe=tests[1])
    steady = history(setup="engine", table=None, baseline="plain", recipe=tests[0])
    text = written(results, [slower, steady])
    assert title(text) == "✅ Diffusion speed-ups and pictures: 2 pass, 1 slower than before"
    assert text.index("engine\\[new\\]") < text.index("engine\\[old\\]")


def test_notes_are_shown_and_the_many_are_counted():
    text = written([tf32(notes=("a note",)), result(notes=tuple(f"note {number}" for number in range(12)))])
    assert "### Notes\n\n- tf32: a note\n" in text
    assert text.count("- fp16: note ") == 9
    assert "- 3 more notes" in text


# How long it may be


def test_thousands_of_rows_stay_under_the_limit_and_no_failure_is_lost():
    good = [result(f"row{number}{'ü' * 60}") for number in range(2000)]
    text = written([*good, *(failed(setup=f"bad{number}") for number in range(20))], exit_code=1)
    assert LIMIT - 2000 < len(text.encode()) <= LIMIT
    assert all(f"| bad{number} |" in text for number in range(20))
    assert all(line.endswith(" |") for line in text.splitlines() if line.startswith("|"))
    assert re.search(r"\n[\d,]+ of 2,020 rows left out \([\d,]+ pass\)\. All are in the report\.\n", text)


def test_no_row_is_so_long_that_it_hides_the_others():
    endless = "@" * 5000
    worst = failed(
        setup=endless,
        baseline=endless + "b",
        device=endless,
        reasons=(endless,) * 9,
        image={endless: 1.0, "psnr": 2.0},
        notes=tuple(f"{number}{endless}" for number in range(30)),
        confirmation={"speedup": 1.2, "low": 1.1, "high": 1.3, "verdict": endless},
    )
    unread = [endless] * 9
    text = written(
        [*(result(f"row{number}") for number in range(2000)), worst], [], exit_code=1, unread=unread, run=dict.fromkeys(FACTS, endless)
    )
    assert len(text.encode()) <= LIMIT
    assert "❌ fail |" in text
    assert " ...\n" in text
    assert "rows left out" in text


def test_every_room_is_kept_to():
    given = [*(result(f"row{number}") for number in range(30)), failed()]
    shown = []
    for room in range(1200, len(written(given).encode()) + 500, 611):
        text = written(given, room=room)
        assert len(text.encode()) <= room
        shown.append(len(order(text)))
    assert shown == sorted(shown)


def test_what_cannot_be_encoded_is_sent_as_its_escape():
    text = written([failed(reasons=("\ud800 and \x1b[31m and \u202e",))])
    assert text.encode().decode() == text
    assert "\\\\ud800 and \\\\x1b\\[31m and \\\\u202e" in text


# What words of a run do: nothing

HOSTILE = [
    ("@octocat", "@&#8203;octocat"),
    ("octo@example.org", "octo@&#8203;example.org"),
    ("fixes #1", r"fixes \#&#8203;1"),
    ("closes octo/engine#12", r"closes octo/engine\#&#8203;12"),
    ("resolves GH-3", "resolves GH&#8203;-3"),
    ("_GH-3", r"\_GH&#8203;-3"),
    ("https://evil.test/a_b", r"https:&#8203;//evil.test/a\_b"),
    ("fixes https://github.com/octo/engine/issues/1", "fixes https:&#8203;//github.com/octo/engine/issues/1"),
    ("www.evil.test", "www&#8203;.evil.test"),
    ("(WWW.evil.test", "(WWW&#8203;.evil.test"),
    ("[a](https://evil.test)", r"\[a\](https:&#8203;//evil.test)"),
    ("![a](x)", r"!\[a\](x)"),
    ("<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;"),
    ("<!-- pytest-sdspeed: run -->", "&lt;!-- pytest-sdspeed: run --&gt;"),
    ("a|b\n| c |", r"a\|b \| c \|"),
    ("```", r"\`\`\`"),
    ("&#64;octocat", r"&amp;\#&#8203;64;octocat"),
    ("\n# heading\n- item", r"\# heading - item".replace(r"\#", r"\#&#8203;")),
]


@pytest.mark.parametrize(("words", "said"), HOSTILE)
def test_words_of_a_run_notify_nobody_refer_to_nothing_and_are_no_markup(words, said):
    rows = [failed(setup=f"s{words}", test=None, reasons=(words,), notes=(f"n{words}",), device=words), result(table=f"t{words}")]
    text = written(rows, [history(kind="code", setup=f"s{words}", device=words)], run={"commit": words}, unread=(words,), exit_code=1)
    plain = "".join(letter for letter in words if letter.isalnum())
    assert text.count(said) >= 7
    assert "\n".join(line for line in text.splitlines()[1:] if words.strip() in line and plain) == ""
    bars = {line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert bars == {8}


def test_callables_are_known_by_their_tests_whose_names_do_nothing():
    row = failed(table=None, setup="candidate", test="test_it.py::test_fast[@octocat fixes #1]", documented_on=None)
    text = written([row], exit_code=1)
    assert r"callables of test\_it.py::test\_fast\[@&#8203;octocat fixes \#&#8203;1\]" in text
    assert "@octocat" not in text


def test_keys_have_markers_of_their_own_that_end_no_comment():
    keys = ["run", "run-gpu", "a b", "a-b", "--> x", "测速", "a/b:c", "%2D", "\ud800"]
    markers = [make_marker(key) for key in keys]
    assert len(set(markers)) == len(keys)
    assert markers[0] == "<!-- pytest-sdspeed: run -->"
    assert all(re.fullmatch(r"<!-- pytest-sdspeed: [ -=?-~]+ -->", marker) for marker in markers)
    assert not any(one != other and one.startswith(other) for one in markers for other in markers)
    assert written(key="a b").startswith(f"{make_marker('a b')}\n## ")


def test_the_host_is_not_in_the_comment():
    assert "secret-host" not in written([tf32()])
