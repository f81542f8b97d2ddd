"""A run on a GPU with a budget for all of it: the cheapest tables first, what has no time or no memory is listed, and nothing else changes."""

from __future__ import annotations

import json

import pytest
from distributed_project import CONFTEST, ROW, TABLE

from pytest_sdspeed.measure import clock
from pytest_sdspeed.model import Machine

GPU = Machine(kind="cpu", device="NVIDIA H200", versions={})
MEMORY = 100 * 2**30
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default", "-v", "-rs")
SECONDS = {"slow": 8.0, "quick": 2.0, "mid": 4.0, "large": 2.0}
"""Table -> what its baseline takes; its row takes half. A campaign takes 40 s to build, 30 s and more of that are not timed here."""
COSTS = {name: 20 + 4 * 1.5 * seconds + 3 * 5 * seconds for name, seconds in SECONDS.items()}
"""Table -> what its campaign is estimated at: building two arms, warm-up and profiles, three blocks."""
OWN = (
    CONFTEST.replace(
        'SECONDS = {"baseline": 1.5,', 'TAKES = {"slow": 8.0, "quick": 2.0, "mid": 4.0, "large": 2.0}\nSECONDS = {"baseline": 1.5,'
    )
    .replace("CLOCK.spend(SECONDS[self.name]", 'CLOCK.spend(TAKES[self.resolved.table.name] / (1 if self.name == "baseline" else FASTER)')
    .replace("SECONDS =", "FASTER = 2\nSECONDS =", 1)
    .replace("Setup.build = draw, slot, lambda self: None", "Setup.build = draw, slot, lambda self: CLOCK.spend(10)")
)
ONE = """
@pytest.mark.sd_latency(table="{name}")
def test_{name}(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""


CALLABLE = """
from conftest import engine


@pytest.mark.sd_latency(speedup=1.5)
def test_mine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""


CLAIM = '\n[[claims]]\ntext = "It is faster."\nfaster = ["quick", "baseline"]\n'
"""A claim, for each of the four tables."""


def write(pytester, *, models=None, facts=None, faster=2, more="", claims=""):
    """Write four tables with a baseline and a row each.

    Args:
        models: table -> its model, if that is another one.
        facts: table -> what its baseline's row says beside its latency, as TOML.
        faster: how many times as fast the rows are; all are documented as twice.
        more: further tests.
        claims: claims of each table, as TOML.
    """
    pytester.makeconftest(OWN.replace("FASTER = 2", f"FASTER = {faster}"))
    pytester.mkdir("tables")
    for name, seconds in SECONDS.items():
        text = TABLE.format(name=name).replace('device = "cpu"', 'device = "NVIDIA H200"').replace("schema = 1", "schema = 2")
        text = text.replace('"miniature"', f'"{(models or {}).get(name, "a/model")}"')
        text = text.replace("speedup = 1\n", f"latency_s = {seconds}\n{(facts or {}).get(name, '')}")
        (pytester.path / "tables" / f"{name}.toml").write_text(text + ROW.format(setup="quick", speedup=2) + claims)
    pytester.makepyfile(test_it="import pytest\n" + "".join(ONE.format(name=name) for name in SECONDS) + more)


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the four tables as on a GPU whose clock only the rows move."""
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_accelerator", lambda: GPU)
    monkeypatch.setattr("pytest_sdspeed.device.memory.find_total_bytes", lambda _kind: MEMORY)

    def call(*arguments, **changes):
        write(pytester, **changes)
        with monkeypatch.context() as patched:
            patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            own = ("-p", "benchmark", "-p", "sdspeed", "--sd-tables=tables", "--sd-gpu", *QUIET)
            return pytester.runpytest_inprocess(*own, *arguments)

    return call


def order(result):
    """List the tables in the order of their tests."""
    named = [line.partition("::test_")[2].partition("[")[0] for line in result.outlines if "::test_" in line and line.endswith("%]")]
    return list(dict.fromkeys(named))


def said(result):
    return [line for line in result.outlines if line.startswith(("sd total budget: ", "left out: "))]


def test_without_the_option_nothing_is_reordered_or_left_out(run):
    result = run()
    result.assert_outcomes(passed=8)
    assert order(result) == ["slow", "quick", "mid", "large"]
    assert said(result) == []


def test_with_enough_time_everything_is_measured_the_cheapest_first(run):
    result = run("--sd-total-budget=100000")
    result.assert_outcomes(passed=8)
    assert order(result) == ["quick", "large", "mid", "slow"]
    first, last = said(result)
    assert (
        first
        == f"sd total budget: 27 h 46 min, for 4 of 4 campaigns, which take about {round(sum(COSTS.values()) / 60 - 0.5)} min {round(sum(COSTS.values()) % 60)} s; the cheapest come first"
    )
    assert last.endswith(": 4 campaigns measured, 0 left out")


def test_what_has_no_time_is_skipped_and_listed_with_what_it_would_have_taken(run):
    result = run("--sd-total-budget=250")
    result.assert_outcomes(passed=6, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED [[]2] *left out: --sd-total-budget: its campaign takes about 188 s, and * s of 250 s were left"])
    *_, last, left_out = said(result)
    assert last.endswith(" of 4 min 10 s: 3 campaigns measured, 1 left out")
    assert left_out == "left out: slow against baseline, 1 row, about 3 min 8 s"
    (rows,) = [line for line in result.outlines if line.startswith("sd rows: ")]
    assert rows.endswith(": 6 measured, 2 skipped")


def test_no_campaign_takes_time_that_a_planned_one_needs(run, pytester):
    result = run("--sd-total-budget=260", "--benchmark-json=out.json", "--sd-max-blocks=200", "--sd-tolerance=0")
    *_, last = [one for one in said(result) if one.startswith("sd total budget")]
    assert ": 3 campaigns measured, 1 left out" in last
    assert "more than that" not in last
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    blocks = {one["group"].split()[0]: one["extra_info"]["sdspeed"]["blocks"] for one in stored}
    assert all(3 <= number < 20 for number in blocks.values()), blocks


def test_campaigns_of_one_model_are_neighbours(run):
    result = run("--sd-total-budget=100000", models={"quick": "another/model", "slow": "another/model"})
    assert order(result) == ["large", "mid", "quick", "slow"]


def test_what_does_not_fit_the_device_is_skipped_with_both_figures(run):
    result = run("--sd-total-budget=100000", facts={"large": "memory_gb = 120.5\n"})
    result.assert_outcomes(passed=6, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "*does not fit: it needs 120.5 GB (documented at its peak), and NVIDIA H200 has 100.0 GB",
            "*does not fit: its baseline baseline needs 120.5 GB (documented at its peak), and NVIDIA H200 has 100.0 GB",
        ]
    )
    assert said(result)[1].endswith(": 3 campaigns measured, 0 left out")


def test_without_the_option_what_its_page_says_of_memory_skips_nothing(run):
    run(facts={"large": "memory_gb = 120.5\n"}).assert_outcomes(passed=8)


def test_a_row_that_is_too_slow_fails_all_the_same(run):
    run("--sd-total-budget=100000", faster=1.5).assert_outcomes(passed=4, failed=4)


def test_files_of_users_are_ordered_as_tests_are(run):
    result = run("--sd-total-budget=100000", "tables/slow.toml", "tables/quick.toml", "tables/mid.toml")
    files = list(dict.fromkeys(line.partition(".toml::")[0] for line in result.outlines if ".toml::" in line and line.endswith("%]")))
    assert files == ["tables/quick", "tables/mid", "tables/slow"]


def test_callables_come_first_and_get_what_is_left(run):
    result = run("--sd-total-budget=100000", more=CALLABLE)
    result.assert_outcomes(passed=9)
    assert "test_mine" in next(line for line in result.outlines if "::test_" in line and line.endswith("%]"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sd-total-budget=",),
        ("--sd-total-budget=0",),
        ("--sd-total-budget=30m",),
        ("--sd-total-budget=inf",),
        ("-o", "sdspeed_total_budget="),
    ],
)
def test_a_value_that_is_no_number_of_seconds_is_a_usage_error(run, arguments):
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*total*budget=*valid: seconds, more than 0*"])


def test_versions_and_workers_refuse_it(run):
    result = run("--sd-total-budget=100", "--sd-against=diffusers==0.41.0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--sd-total-budget and --sd-against: *"])


def test_workers_refuse_it(run):
    result = run("-p", "xdist", "-n", "2", "--sd-total-budget=100")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--sd-total-budget is for one process*"])


@pytest.mark.parametrize("arguments", [(), ("--sd-dry",), ("--sd-weights=tiny",)])
def test_it_is_for_a_gpu_and_a_configuration_file_may_hold_it_for_all_runs(gated, arguments):
    test = "def test_nothing(): pass"
    refused = gated(test, "--sd-total-budget=100", *arguments)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*--sd-total-budget chooses among the tables that fit a GPU: give --sd-gpu too"])
    gated(test, "-o", "sdspeed_total_budget=100", *arguments).assert_outcomes(passed=1)


def test_the_configuration_file_gives_it_too(run):
    result = run("-o", "sdspeed_total_budget=250")
    result.assert_outcomes(passed=6, skipped=2)


def test_a_row_that_fails_is_confirmed_as_long_as_time_is_left(run, monkeypatch):
    asked = []
    monkeypatch.setattr("pytest_sdspeed.plugin.confirm.rerun", lambda item, budget_s: asked.append(budget_s) or "refused")
    result = run("--sd-total-budget=250", "--sd-confirm", "-k", "test_quick or test_large", faster=1.5)
    result.assert_outcomes(failed=2, passed=2, deselected=4)
    assert len(asked) == 2
    assert all(0 < budget_s <= 250 for budget_s in asked)


def test_the_time_of_a_confirmation_counts(run, monkeypatch):
    def slow(_item, _budget_s):
        clock.WallClock(None).spend(500)
        return "refused"

    monkeypatch.setattr("pytest_sdspeed.plugin.confirm.rerun", slow)
    result = run("--sd-total-budget=500", "--sd-confirm", "-k", "test_quick or test_large", faster=1.5)
    result.assert_outcomes(failed=1, passed=1, skipped=2, deselected=4)
    _, last, left_out = said(result)
    assert "more than that: a campaign that was begun is ended: 1 campaign measured, 1 left out" in last
    assert left_out.startswith("left out: large against baseline")


def test_claims_alone_cost_what_their_campaigns_do(run):
    files = [f"tables/{name}.toml::claim" for name in SECONDS]
    result = run("--sd-total-budget=120", *files, claims=CLAIM)
    result.assert_outcomes(passed=2, skipped=2)
    *_, last = [one for one in said(result) if one.startswith("sd total budget")]
    assert "more than that" not in last
    assert last.endswith(": 2 campaigns measured, 2 left out")
    assert "left out: slow against baseline, 1 row, about 3 min 8 s" in said(result)


def test_claims_beside_rows_of_other_tables_are_in_the_order_too(run):
    result = run("--sd-total-budget=120", "tables/quick.toml", "tables/mid.toml::claim", claims=CLAIM)
    result.assert_outcomes(passed=3, skipped=1)
    assert said(result)[-1] == "left out: mid against baseline, 1 row, about 1 min 44 s"
