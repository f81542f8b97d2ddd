"""The file of acknowledged changes: sorted, edited by hand, named with its key if something in it is wrong."""

import tomllib

import pytest
from planted import REASON, SIX, TEN, accept, ask, day, look, make_slower, store, words  # noqa: F401 - a fixture

from pytest_sdspeed.__main__ import main


def test_an_unknown_id_says_the_valid_ones(slower, capsys):
    folder, change = slower
    assert accept(folder, "12345678") == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("12345678", change, "fp16 on NVIDIA H200: 6", "since 2026-01-21"))
    assert not (folder / "acknowledged.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--acknowledge", "12345678"], "--reason"),
        (["--reason", "x"], "--acknowledge"),
        (["--acknowledge", "12345678", "--reason", " "], "--reason is empty"),
    ],
)
def test_an_id_and_a_reason_belong_together(tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit, match="2"):
        main(["history", str(tmp_path), *arguments])
    assert said in capsys.readouterr().err


def test_an_address_takes_no_file(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["history", "memory://runs", "--acknowledge", "12345678", "--reason", "x"])
    assert "a folder of this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + "x = [", "is not valid TOML"),
        (lambda text: text.replace("reason =", "raison ="), "{id}.raison: unknown key; valid: reason, "),
        (lambda text: text.replace(f'reason = "{REASON}"', 'reason = ""'), "{id}.reason: is ''; valid: a text"),
        (lambda text: text.replace('setup = "fp16"\n', ""), "{id}.setup: missing"),
        (lambda text: text.replace("change = 0", "change = -7"), "{id}.change: is -7"),
        (lambda text: text.replace(day(20), "yesterday"), "{id}.since: is 'yesterday'; valid: a date"),
        (lambda _text: 'fp16 = "meant"', "fp16: must be a table"),
    ],
    ids=["toml", "unknown key", "empty reason", "missing", "change", "date", "no table"],
)
def test_a_bad_file_is_named_with_its_key_and_accepts_nothing(slower, capsys, change, said):
    folder, name = slower
    accept(folder, name)
    file = folder / "acknowledged.toml"
    file.write_text(change(file.read_text()))
    capsys.readouterr()
    assert main(["history", str(folder)]) == 1
    printed = capsys.readouterr().err
    assert f"{file}: {said.format(id=name)}" in printed
    # A run has measured: it goes on, says so, and tells of the change.
    _, told, problems = look(folder, 30, slower=[(20, "fp16", SIX)])
    assert told.kind == "code"
    assert [line for line in problems if str(file) in line and "nothing in it counts" in line]
    # What is there is somebody's work: nothing is written over it.
    before = file.read_text()
    assert accept(folder, name) == 1
    assert file.read_text() == before


def test_entries_are_sorted_whatever_their_order(tmp_path, capsys):
    store(tmp_path, 30, slower=[(20, "fp16", SIX), (20, "tf32", TEN)])
    found = ask(capsys, tmp_path)
    texts = []
    for order in (("fp16", "tf32"), ("tf32", "fp16")):
        for setup in order:
            accept(tmp_path, found[setup]["id"])
        texts.append((tmp_path / "acknowledged.toml").read_text())
        (tmp_path / "acknowledged.toml").unlink()
    assert texts[0] == texts[1]
    assert list(tomllib.loads(texts[0])) == [found["fp16"]["id"], found["tf32"]["id"]]


def test_an_entry_that_fits_nothing_any_more_is_named(slower, capsys):
    folder, change = slower
    accept(folder, change)
    for file in sorted(folder.glob("*_run.json"))[19:]:
        file.unlink()
    assert f"[{change}]: no change of these runs" in words(capsys, folder).err


def test_a_file_of_a_folder_below_counts_too(slower, capsys):
    folder, change = slower
    accept(folder, change)
    assert ask(capsys, folder.parent)["fp16"]["kind"] == "none"
    assert look(folder.parent, 30, slower=[(20, "fp16", SIX)])[1] is None


def test_a_file_beside_runs_of_an_address_counts(slower, capsys):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    folder, change = slower
    accept(folder, change)
    for file in folder.iterdir():
        memory.pipe(f"/accepted/{file.name}", file.read_bytes())
    try:
        assert ask(capsys, "memory://accepted")["fp16"]["kind"] == "none"
        memory.rm("/accepted/acknowledged.toml")
        assert ask(capsys, "memory://accepted")["fp16"]["kind"] == "code"
    finally:
        memory.rm("/accepted", recursive=True)
