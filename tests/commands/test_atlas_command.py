"""``python -m pytest_sdspeed atlas``: the page of all tables, with a user's own."""

from pathlib import Path

import pytest
from pages import Page

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.commands import atlas
from pytest_sdspeed.commands.atlas import find_entries
from pytest_sdspeed.dry.limits import compute_limit
from pytest_sdspeed.lint import Counts, fingerprint
from pytest_sdspeed.model.accounts import Work
from pytest_sdspeed.tables import list_builtin_names, load_table, load_tables

TABLE = """
schema = 2
name = "mine"
title = "A pipeline of mine"
source = "https://example.org/mine"
device = "NVIDIA A100"

[recipe]
model = "stable-diffusion-v1-5/stable-diffusion-v1-5"
prompt = "a dog"
height = 512
width = 512
steps = 47
scheduler = "ddim"

[[rows]]
setup = "mine_baseline"
baseline = "mine_baseline"
optimizations = []
latency_s = 6.0

[[rows]]
setup = "mine_fast"
baseline = "mine_baseline"
optimizations = [{name = "fp16"}, "quantum_tunnelling"]
latency_s = 4.0

[[rows]]
setup = "mine_misspelt"
baseline = "mine_baseline"
optimizations = [{name = "tome", ration = 0.5}]
latency_s = 4.0

[[rows]]
setup = "mine_student"
baseline = "mine_baseline"
optimizations = ["distilled_unet"]
latency_s = 4.0
"""


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(TABLE)
    return file


@pytest.fixture
def recorded(tmp_path):
    """What a run with --sd-record wrote of the built-in table ``inference``."""
    source = next(one for one in load_tables() if one.name == "inference")
    head = 'schema = 1\nname = "inference"\ntitle = "t"\nsource = "s"\ndevice = "NVIDIA H200"\n'
    text = f'{head}[recorded]\nkind = "cuda"\ndate = "2026-11-30"\n[recipe]\nmodel = "m"\nprompt = "p"\nheight = 512\nwidth = 512\nsteps = 50\n'
    text += 'scheduler = "ddim"\n[[rows]]\nsetup = "baseline"\noptimizations = []\nlatency_s = 2.0\n'
    text += '[[rows]]\nsetup = "fp16"\noptimizations = ["fp16"]\nlatency_s = 1.6\nspeedup = 1.25\n'
    assert source.row("fp16")
    file = tmp_path / "h200.toml"
    file.write_text(text)
    return file


@pytest.fixture
def no_results(tmp_path, monkeypatch):
    monkeypatch.setattr(atlas, "_RESULTS", tmp_path / "nowhere")


def rows(page):
    return [tuple(anchor.split("/")) for anchor in Page(page.read_text(encoding="utf-8")).values("id", "tbody")]


def find(entries, name):
    table, _, setup = name.partition("/")
    return next(row for entry in entries if entry.table.name == table for row in entry.rows if row.row.setup == setup)


def test_the_page_has_all_built_in_tables_and_a_users_own_before_them(mine, tmp_path, capsys):
    page = tmp_path / "out.html"
    assert main(["atlas", str(mine), "--output", str(page)]) == 0
    built_in = [(one.name, row.setup) for one in load_tables() for row in one.rows]
    shown = rows(page)
    assert shown[4:] == built_in
    assert {table for table, _ in shown[:4]} == {"mine"}
    said = capsys.readouterr().out
    assert said.startswith(f"{page}: {len(list_builtin_names()) + 1} tables, {len(built_in) + 4} rows, ")
    assert said.endswith(f"{page.stat().st_size / 1e3:.0f} kB\n")


def test_it_is_written_to_atlas_html_unless_another_file_is_named(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["atlas", str(mine), "--only"]) == 0
    assert (tmp_path / "atlas.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_only_leaves_the_built_in_tables_out(mine, tmp_path):
    page = tmp_path / "out.html"
    assert main(["atlas", str(mine), "--only", "--output", str(page)]) == 0
    assert {table for table, _ in rows(page)} == {"mine"}


def test_only_keeps_the_table_that_a_recorded_one_was_measured_of(recorded):
    (entry,) = find_entries([recorded], only=True)
    assert (entry.table.name, entry.table.recorded) == ("inference", {})
    assert [len(row.measured) for row in entry.rows] == [1, 0, 1, 0]


@pytest.mark.usefixtures("no_results")
def test_what_was_not_recorded_was_not_measured():
    assert [row for entry in find_entries() for row in entry.rows if row.measured] == []


def test_results_of_this_project_are_measured_without_being_named(recorded, monkeypatch):
    monkeypatch.setattr(atlas, "_RESULTS", recorded.parent)
    found = find_entries()
    assert find(found, "inference/fp16").measured[0].row.speedup == pytest.approx(1.25)
    assert not any(entry.own for entry in found)


def test_what_this_project_does_not_know_of_a_stack_cannot_be_built(mine):
    found = find_entries([mine], only=True)
    assert find(found, "mine/mine_baseline").obstacle == ""
    assert find(found, "mine/mine_fast").obstacle == "no built-in optimization is called 'quantum_tunnelling'"
    assert find(found, "mine/mine_misspelt").obstacle == "no built-in option of 'tome' is called 'ration'"
    assert (
        find(found, "mine/mine_student").obstacle == "its stack: optimization 'distilled_unet' needs a model: the recipe has no 'student'"
    )


def test_every_built_in_row_can_be_built_or_says_why_not():
    assert [(one.row.setup, one.obstacle) for entry in find_entries() for one in entry.rows if one.obstacle != one.row.unsupported] == []


def test_limits_come_from_what_was_counted_of_the_same_row(mine, monkeypatch):
    table = load_table(mine)
    one, other = table.rows[0], table.rows[1]
    work = (Work(operation="mm", dtype="float16", flops=10**12, bytes_moved=10**9, count=50),)
    counted = Counts(fingerprint=fingerprint(one), work=work)
    stored = {counted.fingerprint: counted, fingerprint(other): Counts(fingerprint=fingerprint(other), reason="no configuration")}
    monkeypatch.setattr("pytest_sdspeed.lint.load_counts", lambda: stored)
    found = find_entries([mine], only=True)
    assert find(found, "mine/mine_baseline").limit == compute_limit(counted.account, "NVIDIA A100", "")
    assert find(found, "mine/mine_baseline").limit.certain_s > 0
    assert find(found, "mine/mine_fast").limit.reason == "no configuration"
    assert find(found, "mine/mine_student").limit is None


def plant(mine, notes=""):
    """A row that says 80% of its time is saved, which its latencies deny."""
    row = 'optimizations = ["distilled_unet"]\n'
    mine.write_text(TABLE.replace(row, f'{row}stated = [{{where = "column saved", saved_percent = 80}}]\nnotes = "{notes}"\n'))


def test_a_contradiction_that_lint_finds_is_on_the_page_until_its_file_gives_a_reason(mine, tmp_path, capsys):
    page = tmp_path / "out.html"
    plant(mine)
    assert main(["atlas", str(mine), "--only", "--output", str(page)]) == 0
    assert capsys.readouterr().out.count("1 contradiction, 1 of them not acknowledged") == 1
    told = " ".join(Page(page.read_text(encoding="utf-8")).data)
    assert "Contradictions that no file acknowledges" in told
    assert "Contradiction, not acknowledged" in told
    plant(mine, "saved-percent: the column is of another, older release")
    assert main(["atlas", str(mine), "--only", "--output", str(page)]) == 0
    assert capsys.readouterr().out.count("1 contradiction, 0 of them not acknowledged") == 1
    told = " ".join(Page(page.read_text(encoding="utf-8")).data)
    assert "The file says: the column is of another, older release" in told
    assert "not acknowledged (" not in told


def test_an_own_figure_that_contradicts_a_built_in_table_is_shown_at_the_own_row(mine, tmp_path):
    """The built-in table ``legacy`` has 3.61 s for this recipe and stack on this device."""
    legacy = next(one for one in load_tables() if one.name == "legacy")
    text = Path(legacy.path).read_text(encoding="utf-8").replace('name = "legacy"', 'name = "mine"')
    mine.write_text(text.replace("latency_s = 3.61\nspeedup = 2.63", "latency_s = 3.16\nspeedup = 3.01"))
    found = find(find_entries([mine], only=True), "mine/fp16").contradictions
    assert [(one.rule, one.others, one.acknowledged) for one in found] == [("two-figures", ("legacy/fp16",), "")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only"], "--only: valid: with PATH, the tables that are shown"),
        (["--output", ""], "--output is empty; valid: a file to write"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, says, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["atlas", *arguments])
    assert raised.value.code == 2
    assert says in capsys.readouterr().err


def test_a_table_that_is_not_there_or_broken_ends_with_1_and_writes_nothing(mine, tmp_path, capsys):
    page = tmp_path / "out.html"
    assert main(["atlas", str(tmp_path / "none.toml"), "--output", str(page)]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    mine.write_text(TABLE.replace("latency_s = 4.0", "latency_s = -4.0", 1))
    assert main(["atlas", str(mine), "--output", str(page)]) == 1
    assert "mine.toml: rows[1].latency_s" in capsys.readouterr().err
    assert not page.exists()


def test_a_folder_that_is_not_there_is_said(mine, tmp_path, capsys):
    assert main(["atlas", str(mine), "--only", "--output", str(tmp_path / "none" / "x.html")]) == 1
    assert "none" in capsys.readouterr().err
