"""What is measured otherwise begins a series of its own that says why, and never looks like a step; records of before go on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import RECIPE
from planted import day, look, store
from stored import benchmark, write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.loading import load_histories
from pytest_sdspeed.judge.changes.succession import describe_difference
from pytest_sdspeed.model import HistoryKey
from pytest_sdspeed.store.records import make_recipe_key, to_json

BEFORE = Path(__file__).parents[1] / "store" / "before"
WORK = ("optimizations", "baseline_optimizations", "revision")
TOLD = {"optimizations": ("fp16",), "baseline_optimizations": (), "revision": "miniature@aaa"}


def ask(capsys, folder):
    """What the command says of ``fp16``, the oldest series first."""
    capsys.readouterr()
    assert main(["history", str(folder), "--json"]) == 0
    found = [one for one in json.loads(capsys.readouterr().out) if one["setup"] == "fp16"]
    return sorted(found, key=lambda one: one["latest"]["date"])


def words(capsys, folder):
    capsys.readouterr()
    assert main(["history", str(folder)]) == 0
    return capsys.readouterr().out


def switch(folder, before, after, *, size=0.2, at=15, runs=25):
    """Runs that were measured otherwise from one on, and take longer since: a step, if they were one series."""
    planted = {"slower": [(at, "fp16", size)], "facts": lambda number: after if number >= at else before}
    store(folder, runs, **planted)
    return planted


RECIPES = {
    "steps": ({"steps": 30}, "recipe changed: 4 -> 30 steps"),
    "size": ({"width": 768, "height": 512}, "recipe changed: size 64x64 -> 768x512"),
    "images": ({"images": 4}, "recipe changed: 1 -> 4 images per call"),
    "scheduler": ({"scheduler": "pndm"}, "recipe changed: scheduler ddim -> pndm"),
    "dtype": ({"dtype": "bfloat16"}, "recipe changed: dtype float32 -> bfloat16"),
    "guidance": ({"guidance": 5.0}, "recipe changed: guidance 7.5 -> 5.0"),
    "model": ({"model": "mine"}, "recipe changed: model miniature -> mine"),
    "prompt": ({"prompt": "a dog"}, "recipe changed: another prompt"),
    "two": ({"steps": 30, "images": 2}, "recipe changed: 4 -> 30 steps, 1 -> 2 images per call"),
}


@pytest.mark.parametrize(("fields", "said"), RECIPES.values(), ids=RECIPES)
def test_a_changed_recipe_is_a_new_series_that_says_so_and_no_step(tmp_path, capsys, fields, said):
    planted = switch(tmp_path, {}, {"recipe": replace(RECIPE, **fields)})
    old, new = ask(capsys, tmp_path)
    assert (old["runs"], new["runs"], old["changes"], new["changes"]) == (15, 10, [], [])
    assert new["follows"] == {"changed": said, "runs": 15, "until": day(14)}
    assert old["follows"] is None
    assert f"series: fp16: a new series since 2026-01-16: {said} (the 15 runs until 2026-01-15 are another series)" in words(
        capsys, tmp_path
    )
    history, told, _ = look(tmp_path, 25, **planted)
    assert (told, len(history.runs), history.follows.changed) == (None, 11, said)


OTHERS = {
    "weights": ({"weights": "random"}, {"weights": "pretrained"}, "recipe changed: weights random -> pretrained"),
    "revision": (TOLD, {**TOLD, "revision": "miniature@bbb"}, "model revision changed: miniature@aaa -> miniature@bbb"),
    "stack": (TOLD, {**TOLD, "optimizations": ("fp16", "tf32")}, "optimizations changed: fp16 -> fp16, tf32"),
    "baseline": (TOLD, {**TOLD, "baseline_optimizations": ("tf32",)}, "optimizations of the baseline changed: none -> tf32"),
}


@pytest.mark.parametrize(("before", "after", "said"), OTHERS.values(), ids=OTHERS)
def test_another_revision_and_another_table_are_new_series_too(tmp_path, capsys, before, after, said):
    planted = switch(tmp_path, before, after)
    old, new = ask(capsys, tmp_path)
    assert (old["changes"], new["changes"], new["follows"]["changed"]) == ([], [], said)
    history, told, _ = look(tmp_path, 25, **planted)
    assert (told, len(history.runs), history.follows.changed) == (None, 11, said)


def test_another_baseline_is_a_new_series(tmp_path, capsys):
    key = HistoryKey(table="t", setup="fp16", baseline="baseline", device="d", recipe="{}")
    assert describe_difference(key, replace(key, baseline="tf32")) == "baseline changed: baseline -> tf32"


def test_the_first_run_otherwise_is_told_where_it_is_measured(tmp_path):
    planted = switch(tmp_path, {}, {"recipe": replace(RECIPE, steps=30)}, runs=15)
    history, told, _ = look(tmp_path, 15, **planted)
    assert (len(history.runs), told) == (1, None)
    from pytest_sdspeed.report.history import write_line

    assert write_line(history).startswith("fp16: 1 run: too few to judge, a new series since 2026-01-16: recipe changed: 4 -> 30 steps")


def test_a_slowdown_within_the_new_series_is_a_change(tmp_path, capsys):
    after = {"recipe": replace(RECIPE, steps=30)}
    store(tmp_path, 40, slower=[(30, "fp16", 0.08)], facts=lambda number: after if number >= 15 else {})
    _, new = ask(capsys, tmp_path)
    assert (new["kind"], new["since"]) == ("code", day(30))


def test_figures_of_the_table_alone_begin_no_series(tmp_path, capsys):
    """What is documented is not what is measured: another expectation, tolerance or floor changes nothing."""
    switch(tmp_path, TOLD, {**TOLD, "expected": 1.4, "tolerance": 0.2, "floor": 1.12, "documented_on": None}, size=0.0)
    (one,) = ask(capsys, tmp_path)
    assert (one["runs"], one["follows"], one["kind"]) == (25, None, "none")


def test_a_reference_that_was_recorded_from_a_table_of_sums_goes_on_in_its_series(tmp_path, capsys):
    """The table gives the latency of three calls, and what was recorded that of one: one call was measured before and after."""
    planted = switch(tmp_path, {"recipe": replace(RECIPE, repeats=3)}, {"recipe": replace(RECIPE, repeats=1)})
    (one,) = ask(capsys, tmp_path)
    assert (one["runs"], one["kind"], one["since"], one["follows"]) == (25, "code", day(15), None)
    history, told, _ = look(tmp_path, 25, **planted)
    assert (len(history.runs), told.kind) == (26, "code")


def test_recipes_that_are_measured_in_turns_do_not_follow_each_other(tmp_path, capsys):
    other = {"recipe": replace(RECIPE, steps=30)}
    store(tmp_path, 24, facts=lambda number: other if number >= 4 and number % 2 else {})
    assert [(one["follows"], one["kind"]) for one in ask(capsys, tmp_path)] == [(None, "none")] * 2
    assert "series:" not in words(capsys, tmp_path)


def test_a_recipe_that_comes_back_goes_on_in_its_series(tmp_path, capsys):
    other = {"recipe": replace(RECIPE, steps=30)}
    store(tmp_path, 26, slower=[(10, "fp16", 0.2), (18, "fp16", -0.2)], facts=lambda number: other if 10 <= number < 18 else {})
    other_series, first = ask(capsys, tmp_path)
    assert (first["runs"], first["kind"], other_series["runs"], other_series["kind"]) == (18, "none", 8, "none")


def test_a_new_row_of_the_table_does_not_make_an_upgrade_the_code(tmp_path, capsys):
    """Every row became slower with torch; one of them began another series later, which cannot show it."""
    stack = {"optimizations": ("tf32", "channels_last")}

    def facts(number):
        return {"versions": {"torch": "2.14" if number >= 20 else "2.13"}}

    planted = [(20, "fp16", 0.08), (20, "tf32", 0.08)]
    store(tmp_path, 26, slower=planted, facts=facts)
    assert ask(capsys, tmp_path)[0]["kind"] == "stack"
    for number in range(26, 30):
        store(tmp_path, [number], slower=planted, facts=facts)
        file = tmp_path / f"{number + 1:04}_run.json"
        run = json.loads(file.read_text())
        for one in run["benchmarks"]:
            record = one["extra_info"]["sdspeed"]
            record |= stack if record["setup"] == "tf32" else {"optimizations": []}
        file.write_text(json.dumps(run))
    assert ask(capsys, tmp_path)[0]["kind"] == "stack"


# Records of before


def forget(folder, numbers, names=WORK):
    """Make runs be of before their work was stored."""
    for number in numbers:
        file = folder / f"{number + 1:04}_run.json"
        run = json.loads(file.read_text())
        for one in run["benchmarks"]:
            for name in names:
                del one["extra_info"]["sdspeed"][name]
        file.write_text(json.dumps(run))


@pytest.mark.parametrize("older", [range(15), range(10, 15), [*range(5), *range(12, 20)]], ids=["before", "between", "both"])
@pytest.mark.parametrize("names", [WORK, ("revision",), ("optimizations",)], ids=["all", "revision", "stack"])
def test_records_that_do_not_tell_their_work_go_on_in_the_series_of_those_that_do(tmp_path, capsys, older, names):
    store(tmp_path, 25, slower=[(22, "fp16", 0.08)], facts=TOLD)
    forget(tmp_path, older, names)
    (one,) = ask(capsys, tmp_path)
    assert (one["runs"], one["kind"], one["since"]) == (25, "code", day(22))
    history, told, _ = look(tmp_path, 25, slower=[(22, "fp16", 0.08)], facts=TOLD)
    assert (len(history.runs), told.kind) == (26, "code")


def test_a_storage_of_before_goes_on_with_the_first_run_that_tells(tmp_path):
    store(tmp_path, 20, facts=TOLD)
    forget(tmp_path, range(20))
    history, told, _ = look(tmp_path, 20, facts=TOLD)
    assert (len(history.runs), told, history.follows) == (21, None, None)


def test_what_is_unknown_belongs_to_the_series_of_its_time(tmp_path, capsys):
    """Runs without their work, after the stack had changed, go on in the newer series."""
    planted = switch(tmp_path, TOLD, {**TOLD, "optimizations": ("fp16", "tf32")})
    forget(tmp_path, [*range(3), *range(20, 25)])
    assert [(one["runs"], one["changes"]) for one in ask(capsys, tmp_path)] == [(15, []), (10, [])]
    unknown = {**planted, "facts": dict.fromkeys(WORK)}
    history, told, _ = look(tmp_path, 25, **unknown)
    assert (len(history.runs), told) == (11, None)


def test_the_processor_and_the_work_may_both_be_unknown(tmp_path, capsys):
    model = {"machine_info": {"node": "host", "cpu": {"brand_raw": "AMD EPYC"}}}
    store(tmp_path, 20, facts=TOLD, run=lambda number: model if number >= 10 else {})
    forget(tmp_path, range(10))
    (one,) = ask(capsys, tmp_path)
    assert (one["runs"], one["cpu"]) == (20, "AMD EPYC")
    assert len(look(tmp_path, 20, facts=TOLD, run=model)[0].runs) == 21


def test_a_file_of_version_0_1_0_and_a_run_of_today_are_one_history(tmp_path):
    folder = Path(shutil.copytree(BEFORE, tmp_path / "stored", ignore=shutil.ignore_patterns("*.sqlite3")))
    run = json.loads((folder / "0001_before.json").read_text())
    today = [
        {**one, "extra_info": {"sdspeed": {**one["extra_info"]["sdspeed"], **dict.fromkeys(WORK)}}}
        for one in run["benchmarks"]
        if one["extra_info"].get("sdspeed")
    ]
    write_run(folder, today, 2, machine_info=run["machine_info"], datetime="2026-12-01T10:00:00+00:00")
    found, _ = load_histories(folder)
    assert [len(history.runs) for history in found] == [2, 2]


@pytest.mark.parametrize("value", [7, ["a", 3], {"a": 1}, "fp16"], ids=repr)
def test_a_stack_that_is_none_is_a_damaged_record(tmp_path, value):
    store(tmp_path, 1)
    one = to_json(next(iter(_results())))
    write_run(tmp_path, [benchmark({**one, "optimizations": value})], 2)
    _, problems = load_histories(tmp_path)
    assert ["optimizations is" in line for line in problems] == [True]


def _results():
    from planted import campaign

    return campaign(1)


def test_what_is_no_recipe_is_no_difference():
    key = HistoryKey(table="t", setup="fp16", baseline="baseline", device="d", recipe="test_a.py::test_it")
    assert describe_difference(key, replace(key, recipe="[1]")) == ""
    assert describe_difference(key, key) == ""
    text = make_recipe_key({"steps": 25, "weights": None, "more_prompts": []}, "")
    assert describe_difference(replace(key, recipe=text), replace(key, recipe=text.replace("25", "30"))) == "recipe changed: 25 -> 30 steps"


SMALL = """
schema = 1
name = "small"
title = "One step"
source = "https://example.org"
device = "cpu"

[recipe]
model = "miniature"
prompt = "a red ball"
height = 16
width = 16
steps = 1
scheduler = "ddim"
student = "miniature-student"

[[rows]]
setup = "baseline"
optimizations = []

[[rows]]
setup = "distilled"
optimizations = ["distilled_unet"]
speedup = 1.5
"""


@pytest.mark.slow
def test_a_run_stores_the_stacks_and_the_revision_of_what_it_measured(pytester, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {})
    (pytester.path / "small.toml").write_text(SMALL)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sd_latency(table="small", speedup=0.1, tolerance=0.5)
        def test_row(sd_latency, sd_distilled):
            sd_latency(sd_distilled)
        """
    )
    done = pytester.runpytest("--sd-tables=small.toml", "--benchmark-json=run.json", "--sd-max-blocks=2")
    (one,) = json.loads((pytester.path / "run.json").read_text())["benchmarks"]
    record = one["extra_info"]["sdspeed"]
    assert (record["optimizations"], record["baseline_optimizations"]) == (["distilled_unet"], []), done.stdout
    assert [part.partition("@")[0] for part in record["revision"].split(", ")] == ["miniature", "miniature-student"]
