"""Tables of schema 2 in whole runs: what they say arrives, is stored, recorded and held to again; faults end in one message."""

from __future__ import annotations

import json

import pytest
from distributed_project import CONFTEST, OPTIONS, ROW, TABLE

from pytest_sdspeed.tables import load_table

RUN = [one for one in OPTIONS if not one.startswith("--sd-tables")]
OWN = CONFTEST.replace("SECONDS = {", 'SECONDS = {"mine": 1.0, ').replace(
    "registry.add_optimization(",
    """registry.add_optimization(Optimization(
        name="cache",
        summary="made up",
        options={"threshold": 0.5, "parts": ["unet"]},
        supported=lambda machine, *, threshold, parts: None if threshold < 0.9 else f"{threshold} of {parts} is too much",
        apply=lambda *_, **__: None,
    ))
    registry.add_setup("mine", ["plain", {"name": "cache", "threshold": 0.25}])
    registry.add_optimization(""",
    1,
)
SECOND = (
    TABLE.format(name="alpha")
    .replace("schema = 1", "schema = 2")
    .replace('scheduler = "ddim"', 'guidance = 3\ncall = {negative_prompt = "blurry", clip_skip = 1}\nunit = "call"')
)
QUICK = ROW.format(setup="quick", speedup=1.5)
CACHED = QUICK.replace('["plain"]', '["plain", {name = "cache", threshold = 0.1, parts = ["unet", "vae"]}]')
LABEL = 'cache(parts=["unet", "vae"], threshold=0.1)'


def run(pytester, text, *arguments):
    pytester.makeconftest(OWN)
    (pytester.path / "alpha.toml").write_text(text)
    return pytester.runpytest_subprocess(*RUN, "--benchmark-json=out.json", *arguments)


def stored(pytester):
    benchmarks = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return {one["name"]: one["extra_info"]["sdspeed"] for one in benchmarks}


@pytest.mark.slow
def test_a_stack_with_options_is_measured_stored_recorded_and_held_to_again(pytester):
    result = run(pytester, SECOND + CACHED, "-n0", "alpha.toml", "--sd-record=mine.toml", "--benchmark-autosave")
    result.assert_outcomes(passed=2)
    record = stored(pytester)["quick"]
    assert record["optimizations"] == ["plain", LABEL]
    assert record["recipe"]["call"] == {"negative_prompt": "blurry", "clip_skip": 1}
    assert (record["recipe"]["scheduler"], record["recipe"]["guidance"]) == (None, 3)
    documented, recorded = load_table(pytester.path / "alpha.toml"), load_table(pytester.path / "mine.toml")
    assert (pytester.path / "mine.toml").read_text().startswith("schema = 2\n")
    assert [(row.optimizations, row.recipe) for row in recorded.rows] == [(row.optimizations, row.recipe) for row in documented.rows]
    # Workers resolve the row by themselves, and are held to what was recorded.
    again = run(pytester, SECOND + CACHED, "-n1", "alpha.toml", "--sd-tables=mine.toml", "--benchmark-autosave", "--sd-record=mine.toml")
    again.assert_outcomes(passed=2)
    assert stored(pytester)["quick"]["optimizations"] == ["plain", LABEL]
    # The history of another threshold is another one, and says what it goes on from.
    other = run(pytester, SECOND + CACHED.replace("0.1", "0.2"), "-n0", "alpha.toml", "--benchmark-autosave", "--sd-report=report.html")
    other.assert_outcomes(passed=2)
    assert "call: clip_skip" in (pytester.path / "report.html").read_text()
    assert "threshold=0.1) -&gt; plain, cache(parts=[" in (pytester.path / "report.html").read_text().replace("&#34;", '"')


@pytest.mark.slow
def test_a_registered_setup_with_options_is_measured(pytester):
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.sd_latency(table="alpha", speedup=1.5)
        def test_mine(sd_latency, sd_mine):
            result = sd_latency(sd_mine)
            assert result.optimizations == ("plain", "cache(threshold=0.25)")
        """
    )
    run(pytester, SECOND + CACHED, "-n0", "test_mine.py", "--sd-tables=alpha.toml").assert_outcomes(passed=1)


def test_what_an_optimization_with_options_does_not_support_is_skipped_with_its_reason(pytester):
    result = run(pytester, SECOND + CACHED.replace("0.1", "0.95"), "-n0", "alpha.toml")
    result.stdout.fnmatch_lines(["*0.95 of [[]'unet', 'vae'[]] is too much*"])
    assert result.parseoutcomes()["skipped"] == 1


FAULTS = {
    "a key of schema 2 in schema 1": (
        SECOND.replace("schema = 2", "schema = 1") + CACHED,
        "alpha.toml: recipe.call: is a key of schema 2, and this file begins with schema = 1; valid: schema = 2",
    ),
    "a call that sets the size": (SECOND.replace("clip_skip", "height") + CACHED, "recipe.call: 'height' is not for here; valid: the recipe's key 'height' instead"),
    "slower without memory": (SECOND + CACHED + "slower = true\n", "rows[[]1].slower: a row that may be slower promises memory"),
    "iterations of a call": (
        SECOND.replace("speedup = 1\n", "iterations_per_s = 2\n") + CACHED.replace("speedup = 1.5", "iterations_per_s = 3"),
        'rows[[]1].iterations_per_s: iterations per second are those of the denoising loop*valid: unit = "denoising"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_table_ends_the_run_with_the_file_the_key_and_what_is_valid(pytester, fault):
    text, said = FAULTS[fault]
    (pytester.path / "alpha.toml").write_text(text)
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-W", "default", "alpha.toml")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{said}*"])


def test_an_option_that_an_optimization_does_not_have_ends_the_run_with_those_it_has(pytester):
    result = run(pytester, SECOND + CACHED.replace("threshold", "treshold"), "-n0", "alpha.toml")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*setup 'quick' of table 'alpha': unknown option of 'cache' 'treshold'; valid: parts, threshold*"])
