"""A published table holds two figures that cannot both be right: the lint finds it, in the built-in tables and in copies with a planted fault."""

from __future__ import annotations

import json

import pytest

from pytest_sdspeed import tables
from pytest_sdspeed.__main__ import main
from pytest_sdspeed.commands.dry import TableCounter
from pytest_sdspeed.errors import ModelUnavailableError
from pytest_sdspeed.lint import Counts, counts, dump_counts, find_contradictions, fingerprint, load_counts
from pytest_sdspeed.model.accounts import Account, Work
from pytest_sdspeed.tables import list_builtin_files, load_table, load_tables

FILES = {file.stem: file for file in list_builtin_files()}
CLEAN = ("attention", "stack", "legacy", "deepcache_a5000", "fastest", "miniature", "sdxl_fast_a100", "tome_v100")

KNOWN = {
    "tome: 37.88% beside 2.1 s is a misprint of 3.1 s": ("saved-percent", "tome_a100/tome_a100_768_b2_tome_xformers"),
    "nunchaku.md: x1.8 is over another row than it says": ("speedup", "nunchaku_lite_rtxpro6000/nunchaku_lite_rtxpro6000_nvfp4_compile"),
    "nunchaku's post: x1.35 for x1.32": ("speedup", "nunchaku_lite_rtxpro6000/nunchaku_lite_rtxpro6000_nvfp4"),
    "T-GATE: its README and diffusers differ": ("two-figures", "tgate_readme_gtx1080ti/tgate_readme_gtx1080ti_sdxl_tgate"),
    "para_attn.md: 8.20 s in the text, 4.92 s in the table": ("two-figures", "paraattention_l20/paraattention_l20_flux_fbcache_fp8_2_gpus"),
    "distributed_inference.md: an iteration is a run or a step": ("units", "distributed_inference_l20/distributed_inference_l20_ulysses"),
    "cache-dit: the speed-up is the ratio of operations": ("flops-ratio", "cache_dit_l20/cache_dit_l20_headline_f8_w4_mc0_r008"),
    "xDiT: the speed-up is an efficiency": ("efficiency", "xdit_stepvideo_h20/xdit_stepvideo_h20_tp_2"),
    "LTX-Video's kernels: iterations do not go with the seconds": ("units", "ltx_kernels_h100/ltx_kernels_h100_kernels_compile"),
    "SDXL's post: 10.2 s for 10.2967 s": ("two-figures", "sdxl_simple_a100/sdxl_simple_a100_compile"),
    "SDXL's post: an optimization that is slower and larger": ("claim", "sdxl_simple_a100/"),
    "bitsandbytes.md and speed-memory-optims.md differ": ("two-figures", "flux_memory_rtx4090/flux_memory_rtx4090_nf4"),
    "torchao: 6.431 s in the text, 6.573 s in the table": ("two-figures", "torchao_flux_h100/torchao_flux_h100_b1"),
    "quanto: 18.765 GB in the text, 16.403 GB in the table": ("two-figures", "quanto_sd3_h100/quanto_sd3_h100_fp16"),
    "video_gen.md: 60.09 GB and 60.10 GB": ("two-figures", "hunyuan_memory_a100/hunyuan_memory_a100_base"),
    "torch2.0.md: 12,.79": ("misprint", "torch2_rtx4090/torch2_rtx4090_img2img_b4"),
    "torch2.0.md: seconds in a column of iterations per second": ("units", "torch2_t4/torch2_t4_txt2img_b16"),
    "CogVideoX on an A100: 180 s or 243 s": ("two-figures", "torchao_cogvideox_a100/torchao_cogvideox_a100_5b"),
    "MagCache measures TeaCache at x2.5, TeaCache itself at x2.0": ("speedup", "magcache_a800/magcache_a800_flux_teacache_06"),
    "diffusers' benchmarks: nf4 with 22.18 GB once": ("two-figures", "diffusers_benchmarks_l40s/diffusers_benchmarks_l40s_flux_nf4"),
    "diffusers' benchmarks: two counts of operations": ("two-figures", "diffusers_benchmarks_l40s/diffusers_benchmarks_l40s_flux"),
    "cache-dit: rows over another baseline": ("two-figures", "cache_dit_l20/cache_dit_l20_fast_base"),
}
"""What readers of these pages found by hand -> rule and row by which the lint finds it."""


def lint(*arguments, capsys):
    """Run the command; return its status, its findings as JSON, and what it said beside."""
    status = main(["lint", "--json", *map(str, arguments)])
    said = capsys.readouterr()
    return status, json.loads(said.out), said.err


@pytest.fixture(autouse=True, scope="module")
def loaded_once():
    """Read each built-in table once."""
    known = {}

    def load(path, metrics=()):
        if path not in FILES.values():
            return load_table(path, metrics)
        if path not in known:
            known[path] = load_table(path, metrics)
        return known[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "load_table", load)
        yield


@pytest.fixture(scope="module")
def builtin():
    return find_contradictions(load_tables())


@pytest.mark.parametrize("name", KNOWN)
def test_what_readers_found_by_hand_is_found(builtin, name):
    assert KNOWN[name] in {(one.rule, f"{one.table}/{one.setup}") for one in builtin}


def test_every_contradiction_of_the_built_in_tables_is_acknowledged_in_its_file(builtin):
    assert [(one.rule, one.table, one.setup, one.message) for one in builtin if not one.acknowledged] == []


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_found_in_clean_tables(builtin, name):
    assert [one for one in builtin if one.table == name] == []


# Faults in copies

PLANTED = {
    "a swapped digit of a latency": ("tome_a100", "latency_s = 2.24", "latency_s = 2.42", "saved-percent"),
    "a swapped digit of a speed-up": ("lora_fast_h100", "speedup = 2.23", "speedup = 2.32", None),
    "a percent for a ratio": ("tome_a100", "saved_percent = 31.91", "speedup = 1.3191", "saved-percent"),
    "a ratio for a percent": ("tome_a100", "saved_percent = 31.91", "saved_percent = 46.9", "saved-percent"),
    "milliseconds for seconds": ("fal_sd15_a100", "latency_s = 1.562", "latency_s = 1562", None),
    "milliseconds for seconds in a baseline": ("tome_a100", "latency_s = 3.29", "latency_s = 3290", "units"),
    "seconds per iteration": (
        "torch2_t4",
        "recipe = {images = 16}\nstated",
        "recipe = {images = 16}\niterations_per_s = 2.34\nstated",
        "misprint",
    ),
    "iterations that take longer than the call": ("fal_sd15_a100", "iterations_per_s = 31.19", "iterations_per_s = 13.19", "units"),
    "memory of the row before": ("hunyuan_memory_a100", "memory_gb = 28.87", "memory_gb = 43.58", None),
    "memory of the row that it is compared with": ("hunyuan_memory_a100", "memory_gb = 43.58", "memory_gb = 60.10", None),
    "memory of a row without slicing": ("sdxl_simple_a100", "memory_gb = 15.40", "memory_gb = 21.72", "memory"),
    "memory of a row of model offloading": ("sdxl_simple_a100", "memory_gb = 19.91", "memory_gb = 20.91", "memory"),
    "memory that the device does not have": ("sdxl_simple_a100", "memory_gb = 28.09", "memory_gb = 280.9", "does-not-fit"),
    "a figure of the text that was changed": (
        "sdxl_simple_a100",
        "latency_s = 72.2, memory_gb = 28}",
        "latency_s = 27.2, memory_gb = 28}",
        "two-figures",
    ),
    "a ratio of operations whose note was deleted": ("cache_dit_l20", "flops-ratio:", "the ratio:", "flops-ratio"),
    "an efficiency": (
        "paraattention_a100",
        'where = "column Speedup", speedup = 1.66',
        'where = "column Speedup", speedup = 0.833',
        "efficiency",
    ),
    "no number": ("sdxl_fast_a100", "where = \"prose: 'by up to 3x'\", speedup = 3", 'where = "prose", text = "3,.0"', "misprint"),
    "a faster row for more pictures": ("deepcache_a5000", "latency_s = 8.39", "latency_s = 1.39", None),
    "a latency outside of its timings": ("fal_sd15_a100", "latency_s = 1.603", "latency_s = 1.306", None),
}
"""Fault -> built-in table, what it has, what is planted, and the rule that finds it; None if that table may refuse to load or several rules find it."""


def plant(tmp_path, name, old, new):
    text = FILES[name].read_text(encoding="utf-8")
    assert old in text, f"{name} has no {old!r} to be changed"
    target = tmp_path / f"{name}.toml"
    target.write_text(text.replace(old, new, 1), encoding="utf-8")
    return target


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(tmp_path, capsys, fault):
    name, old, new, rule = PLANTED[fault]
    status, told, said = lint(plant(tmp_path, name, old, new), capsys=capsys)
    opened = {one["rule"] for one in told["contradictions"] if not one["acknowledged"]}
    assert status == 1, fault
    assert opened or told["errors"], fault
    if rule:
        assert rule in opened, (opened, said)


def test_a_copy_without_a_fault_is_as_clean_as_the_table(tmp_path, capsys):
    for name in ("tome_a100", "sdxl_simple_a100", "hunyuan_memory_a100", "cache_dit_l20", "torch2_t4", "deepcache_a5000"):
        plant(tmp_path, name, "schema = 2", "schema = 2")
    status, told, _ = lint(tmp_path, capsys=capsys)
    assert [one for one in told["contradictions"] if not one["acknowledged"]] == []
    assert (status, told["tables"]) == (0, 6)


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Counts of a row that say that an A100 takes at least 2.9 s for it."""
    table = load_table(FILES["sdxl_fast_a100"])
    stored = {
        f"{table.name}/{row.setup}": Counts(fingerprint=fingerprint(row), work=(Work("mm", "bfloat16", 10**13, 0, 80),))
        for row in table.rows
    }
    monkeypatch.setattr(counts, "COUNTS", tmp_path / "counts.json")
    counts.COUNTS.write_text(dump_counts(stored))
    load_counts.cache_clear()
    yield
    load_counts.cache_clear()


@pytest.mark.parametrize(("latency", "status"), [("2.54", 0), ("0.254", 1)])
def test_a_latency_under_the_limit_is_found(tmp_path, capsys, limits, latency, status):
    (folder := tmp_path / "copies").mkdir()
    copy = plant(folder, "sdxl_fast_a100", "latency_s = 2.54", f"latency_s = {latency}")
    ended, told, _ = lint(copy, capsys=capsys)
    assert (ended, [one["rule"] for one in told["contradictions"] if not one["acknowledged"]]) == (status, ["limit"] * status)


# Acknowledging

WRONG = ("tome_a100", "latency_s = 2.24", "latency_s = 2.42")


@pytest.mark.parametrize(
    ("notes", "status"),
    [
        ("", 1),
        ('notes = "saved-percent: the column was computed from another run"', 0),
        ('notes = "saved-percent: misprint"', 1),
        ('notes = "saved-percent:"', 1),
        ('notes = "units: the column was computed from another run"', 1),
    ],
)
def test_a_reason_accepts_what_was_found_and_nothing_else_does(tmp_path, capsys, notes, status):
    name, old, new = WRONG
    ended, told, _ = lint(plant(tmp_path, name, old, f"{new}\n{notes}"), capsys=capsys)
    assert ended == status, told["contradictions"]


def test_a_note_for_what_was_mended_is_found(tmp_path, capsys):
    ended, told, _ = lint(plant(tmp_path, "tome_a100", "latency_s = 2.1\n", "latency_s = 3.1\n"), capsys=capsys)
    assert ended == 1
    assert [one["rule"] for one in told["contradictions"] if not one["acknowledged"]] == ["unused-acknowledgement"]


# The command

OWN = """\
schema = 2
name = "mine"
title = "Mine"
source = "https://example.org/page"
device = "NVIDIA GeForce RTX 4090"
[recipe]
model = "org/model"
prompt = "a cat"
height = 512
width = 512
steps = 20
[[rows]]
setup = "mine_base"
baseline = "mine_base"
optimizations = []
latency_s = 3.00
[[rows]]
setup = "mine_fast"
baseline = "mine_base"
optimizations = ["compile"]
latency_s = 2.27
stated = [{where = "blog", speedup = 1.35}]
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my.sdspeed.toml"
    path.write_text(OWN)
    return path


def test_a_table_of_a_user_is_told_in_words(own, capsys):
    assert main(["lint", str(own)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"speedup   mine/mine_fast   {own}: rows[1].stated[0].speedup"
    assert said[1] == "  x1.35 (blog) is stated; 3.00 s / 2.27 s is x1.322: 2.2% apart"
    assert said[2].startswith(
        "  not acknowledged: correct the figure; if the source has it so, say what is right in the notes, in a line 'speedup: REASON'"
    )
    assert "  limit: mine: mine_base, mine_fast: no counts of it are stored: --dry counts it" in said
    assert said[-1] == "1 table, 2 rows: 1 contradiction, 0 acknowledged, 1 not"


def test_json_has_what_the_guide_says(own, capsys):
    status, told, said = lint(own, capsys=capsys)
    assert (status, said) == (1, "")
    assert set(told) == {"schema", "tables", "rows", "contradictions", "unchecked", "errors"}
    assert set(told["contradictions"][0]) == {"rule", "table", "path", "key", "setup", "message", "others", "acknowledged"}
    assert set(told["unchecked"][0]) == {"rule", "table", "setup", "reason"}


def test_a_table_that_cannot_be_read_is_said_and_the_others_are_checked(own, tmp_path, capsys):
    (tmp_path / "broken.toml").write_text("schema = 2\nname = 5\n")
    status, told, said = lint(tmp_path, capsys=capsys)
    assert (status, told["tables"], len(told["contradictions"])) == (1, 1, 1)
    assert "broken.toml" in said
    assert "broken.toml" in told["errors"][0]


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path, capsys):
    assert main(["lint", str(tmp_path / "nothing.toml")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["lint", str(tmp_path / "empty")]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["lint", "--unknown"])


def test_a_figure_of_a_user_is_held_against_the_built_in_tables(tmp_path, capsys):
    text = FILES["flux_memory_rtx4090"].read_text(encoding="utf-8").replace("flux_memory_rtx4090", "mine").replace("two-figures:", "also")
    (path := tmp_path / "mine.toml").write_text(text.replace("latency_s = 32.602", "latency_s = 31.9"), encoding="utf-8")
    status, told, _ = lint(path, capsys=capsys)
    (first, *_) = [one for one in told["contradictions"] if one["rule"] == "two-figures"]
    assert (status, first["table"], first["acknowledged"]) == (1, "mine", None)
    assert "flux_memory_rtx4090/flux_memory_rtx4090_nf4" in first["others"]


@pytest.fixture
def counting(monkeypatch):
    """Counts of a dry run that need no building: of two rows, one that takes an A100 2.9 s at least, and one that cannot be counted."""

    def count(self, row):
        if row.setup == "mine_fast":
            raise ModelUnavailableError("no configuration of org/model")
        return Account(operations=80, flops=8 * 10**14, work=(Work("mm", "bfloat16", 10**13, 0, 80),), weight_bytes=1)

    monkeypatch.setattr(TableCounter, "count_account", count)
    monkeypatch.setattr(TableCounter, "find_precision", lambda self, row: "bfloat16")


def test_dry_counts_what_has_no_counts_and_says_what_it_cannot(own, capsys, counting):
    text = OWN.replace("NVIDIA GeForce RTX 4090", "NVIDIA A100").replace("3.00", "2.10").replace("2.27", "1.59").replace("1.35", "1.32")
    own.write_text(text)
    assert lint(own, capsys=capsys)[0] == 0
    status, told, said = lint(own, "--dry", capsys=capsys)
    assert "counting mine/mine_base" in said
    assert (status, [(one["rule"], one["setup"]) for one in told["contradictions"]]) == (1, [("limit", "mine_base")])
    assert [(one["setup"], one["reason"]) for one in told["unchecked"] if one["rule"] == "limit"] == [
        ("mine_fast", "no configuration of org/model")
    ]


def test_dry_does_not_count_what_has_counts(own, capsys, counting, monkeypatch):
    rows = load_table(own).rows
    stored = {fingerprint(row): Counts(fingerprint=fingerprint(row), reason="it was tried") for row in rows}
    monkeypatch.setattr("pytest_sdspeed.lint.load_counts", lambda: stored)
    _, told, said = lint(own, "--dry", capsys=capsys)
    assert "counting" not in said
    assert {one["reason"] for one in told["unchecked"] if one["rule"] == "limit"} == {"it was tried"}
