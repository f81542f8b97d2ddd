"""The mutation study: what counts as a kill, what as words, and when the gate fails."""

from __future__ import annotations

import json
from dataclasses import replace

import mutants
import pytest
from mutants import Result, count, find_problems, list_survivors, tabulate
from mutation import planting
from mutation.asking import OUT_OF_TIME, SURVIVED
from mutation.planting import Mutant, is_prose

MUTANT = Mutant(
    name="pytest_sdspeed.tables.linking.x_link__mutmut_3",
    file="pytest_sdspeed/tables/linking.py",
    line=7,
    before="if a < b:",
    after="if a <= b:",
    prose=False,
    digest="d1",
)
REASONS = {MUTANT.key: "a is never b"}


def results(killed, survived=0, unknown=0, prose=0, of=MUTANT):
    made = [Result(of, "tests/tables/test_tables.py::test_it")] * killed + [Result(of, SURVIVED)] * survived
    return made + [Result(of, None)] * unknown + [Result(replace(of, prose=True), None)] * prose


@pytest.mark.parametrize(
    ("original", "mutated"),
    [
        ("def f():\n    raise E('must be greater')", "def f():\n    raise E('XXmust be greaterXX')"),
        ("def f(n):\n    return f'{n} of the blocks'", "def f(n):\n    return f'{n} OF THE BLOCKS'"),
        ("def f__mutmut_orig():\n    say('two words', 1)", "def f__mutmut_1():\n    say('TWO WORDS', 1)"),
    ],
)
def test_a_mutant_that_changes_the_words_of_a_message_alone_is_prose(original, mutated):
    assert is_prose(original, mutated)


@pytest.mark.parametrize(
    ("original", "mutated"),
    [
        ("def f():\n    return 'mean'", "def f():\n    return 'XXmeanXX'"),
        ("def f(x):\n    return ', '.join(x)", "def f(x):\n    return 'XX, XX'.join(x)"),
        ("def f():\n    raise E('must be greater')", "def f():\n    raise E(None)"),
        ("def f(n):\n    return f'{n} of the blocks'", "def f(n):\n    return f'{n + 1} OF the blocks'"),
        ("def f(n):\n    return g('two words', n)", "def f(n):\n    return g('two words', )"),
        ("def f(n):\n    return n < 1", "def f(n):\n    return n <= 1"),
    ],
)
def test_a_mutant_that_changes_a_key_a_figure_or_a_rule_is_none(original, mutated):
    assert not is_prose(original, mutated)


def test_a_score_leaves_words_out_and_counts_what_was_not_run_as_no_kill():
    score = count([*results(7, survived=1, unknown=2, prose=5), Result(MUTANT, OUT_OF_TIME)])
    assert (score.killed, score.out_of_time, score.total, score.prose, score.unknown) == (8, 1, 11, 5, 2)
    assert score.share == 8 / 11


def test_a_good_room_has_no_problem():
    assert find_problems(results(85, survived=15), ["tables"], REASONS) == []


@pytest.mark.parametrize(
    ("found", "reasons", "says"),
    [
        (results(84, survived=16), REASONS, ["tables: 84 of 100 mutants were killed, 84.0%; at least 85% must be. Add tests for"]),
        (results(99, unknown=1), REASONS, ["tables: 1 mutants were not run; run it again"]),
        (
            results(99, survived=1),
            {},
            ["tables: 1 survivors have no reason, such as pytest_sdspeed/tables/linking.py:7, 'if a <= b:'. Add"],
        ),
        (results(0, unknown=3), REASONS, ["3 mutants were not run", "0 of 3"]),
    ],
)
def test_a_room_under_its_bound_an_unknown_outcome_or_a_survivor_without_a_reason_fails(found, reasons, says):
    problems = find_problems(found, ["tables"], reasons)
    assert len(problems) == len(says)
    assert all(words in problem for words, problem in zip(says, problems, strict=True))


def test_each_room_is_held_to_its_own_bound():
    judge = replace(MUTANT, file="pytest_sdspeed/judge/memory.py")
    found = [*results(88, survived=12, of=judge), *results(88, survived=12)]
    reasons = REASONS | {judge.key: "known"}
    assert [problem.partition(":")[0] for problem in find_problems(found, ["judge", "tables"], reasons)] == ["judge"]


def test_the_tables_name_every_file_every_survivor_and_why_it_lives():
    other = replace(MUTANT, file="pytest_sdspeed/tables/values.py", before="a | b", after="a & b")
    found = [*results(3, survived=1, prose=2), *results(0, survived=1, of=other)]
    assert [row[:5] for row in tabulate(found).rows] == [
        ("`tables/linking.py`", "4", "3", "0", "75.0%"),
        ("`tables/values.py`", "1", "0", "0", "0.0%"),
        ("**tables**", "5", "3", "0", "60.0%"),
    ]
    assert list_survivors(found, REASONS).rows == [
        ("`tables/linking.py:7`", "`if a < b:`", "`if a <= b:`", "a is never b"),
        ("`tables/values.py:7`", "`a \\| b`", "`a & b`", "-"),
    ]


def test_an_outcome_counts_for_the_mutant_that_it_was_found_for(tmp_path):
    (tmp_path / mutants.OUTCOMES).write_text(json.dumps({MUTANT.name: {"digest": "d1", "by": "a test", "tests": "t"}}))
    assert [one.by for one in mutants.read([MUTANT, replace(MUTANT, digest="d2")], tmp_path)] == ["a test", None]


def test_a_change_is_found_at_its_line_whatever_mutmut_calls_the_function():
    original = "def xǁRoomǁfind__mutmut_orig(self, a,\n    b=1):\n    return (\n        a < b)"
    mutated = original.replace("orig", "12").replace("a < b", "a <= b")
    assert planting._find_change(original, mutated) == (3, "a < b)", "a <= b)")
    assert planting._find_change(original, original.replace("orig", "2").replace("b=1", "b=2")) == (1, "b=1):", "b=2):")


def test_an_unknown_room_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        mutants.main(["tabels"])
    assert ended.value.code == 2
    assert "no room 'tabels'; valid: judge, measure, tables" in capsys.readouterr().err


SOURCE = '''
def clamp(number, most=9):
    """Keep a number within bounds."""
    if number < 0:
        raise ValueError("must not be negative")
    while number > most:
        number -= 1
    return number
'''
INSIDE = "import pytest\nfrom pytest_sdspeed.tables.clamp import clamp\n\ndef test_inside():\n    assert [clamp(0), clamp(5), clamp(9, 7)] == [0, 5, 7]\n"
OUTSIDE = """
def test_outside():
    assert (clamp(10), clamp(11)) == (9, 9)
    with pytest.raises(ValueError, match="negative"):
        clamp(-1)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one rule with its tests, in whose room faults are planted."""
    pytest.importorskip("mutmut")
    for folder in ("pytest_sdspeed/tables", "tests/tables", "benchmarks", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    for package in ("pytest_sdspeed", "pytest_sdspeed/tables"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["tests"]\n')
    (tmp_path / "pytest_sdspeed/tables/clamp.py").write_text(SOURCE)
    (tmp_path / "tests/tables/test_clamp.py").write_text(INSIDE + OUTSIDE)
    (tmp_path / "reasons.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planting, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "WORK", tmp_path / ".mutants")
    monkeypatch.setattr(mutants, "REASONS", tmp_path / "reasons.json")
    return tmp_path


@pytest.mark.slow
def test_a_room_passes_with_its_tests_and_fails_when_one_of_them_is_removed(project, capsys):
    assert mutants.main(["tables"]) == 0
    told = capsys.readouterr().out
    assert "| **tables** | 8 | 8 | 1 | 100.0% | 2 |" in told
    # Nothing changed: nothing is run again, and the answer is the same.
    assert mutants.main(["tables", "--no-run"]) == 0
    assert capsys.readouterr().out in told
    (project / "tests/tables/test_clamp.py").write_text(INSIDE)
    assert mutants.main(["tables"]) == 1
    told = capsys.readouterr().out
    assert "at least 85% must be" in told
    assert "survivors have no reason" in told


@pytest.mark.slow
def test_tests_that_fail_without_any_mutant_end_the_run(project, capfd):
    (project / "tests/tables/test_clamp.py").write_text(INSIDE.replace("5, 7]", "5, 8]"))
    with pytest.raises(SystemExit) as ended:
        mutants.main(["tables"])
    assert ended.value.code == 1
    told = capfd.readouterr()
    assert "tests/tables/test_clamp.py::test_inside fails without any mutant" in told.out
    assert "tables: its tests fail, or cannot be collected, as they are" in told.err
