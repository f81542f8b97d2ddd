"""Faults of a table file, and which files may be loaded together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tables_text
from tables_text import VALID

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.tables import list_builtin_names, load_table, load_tables, schema, values
from pytest_sdspeed.tables.parser import parse_table

write = tables_text.write


def refused(path, key, *words):
    """Load a faulty file; the error must name the file, the key, and each of the words."""
    with pytest.raises(TableError) as caught:
        load_table(path)
    error = caught.value
    assert (error.path, error.key) == (str(path), key)
    assert str(error) == (f"{path}: {key}: {error.problem}" if key else f"{path}: {error.problem}")
    for word in words:
        assert word in error.problem
    return error


# Each fault: a text of VALID, its replacement, the key at fault, and words of the message.
FAULTS = {
    "unknown table key": (
        "[recipe]",
        'tittle = "x"\n[recipe]',
        "tittle",
        ["unknown key", "did you mean 'title'?", "valid: schema, name, title"],
    ),
    "unknown key unlike any": ("[recipe]", '"a.b" = 1\n[recipe]', '"a.b"', ["unknown key; valid: schema"]),
    "unknown recipe key": ("steps = 50", "steps = 50\nstep = 1", "recipe.step", ["did you mean 'steps'?", "tiny_vae"]),
    "unknown row key": ("speedup = 1.27", "speed_up = 1.27", "rows[1].speed_up", ["did you mean 'speedup'?", "latency_s"]),
    "unknown gate": ("psnr = 28", "lpips = 28", "rows[1].image.lpips", ["unknown key", "valid: psnr, ssim, mae"]),
    "empty gate": ("{psnr = 28, ssim = 0.90}", "{}", "rows[1].image", ["must not be empty; valid: psnr, ssim, mae"]),
    "no memory": ("psnr = 28, ssim = 0.90}", "psnr = 28}\nmemory = 0", "rows[1].memory", ["must be greater than 0, not 0"]),
    "memory in words": ("psnr = 28, ssim = 0.90}", 'psnr = 28}\nmemory = "90%"', "rows[1].memory", ["must be a number, not a string"]),
    "endless memory": ("psnr = 28, ssim = 0.90}", "psnr = 28}\nmemory = inf", "rows[1].memory", ["must be finite"]),
    "missing schema": ("schema = 1\n", "", "schema", ["missing"]),
    "missing name": ('name = "mine"\n', "", "name", ["missing", "title, source, device"]),
    "missing device": ('device = "NVIDIA A100"\n', "", "device", ["missing"]),
    "missing recipe key": (
        'model = "org/model"\n',
        "",
        "recipe.model",
        ["missing; required: model, prompt, height, width, steps, scheduler"],
    ),
    "missing setup": ('setup = "tf32"\n', "", "rows[1].setup", ["missing; required: setup, optimizations"]),
    "missing optimizations": ('optimizations = ["tf32"]\n', "", "rows[1].optimizations", ["missing"]),
    "missing speedup and latency": (
        "latency_s = 4.14\nspeedup = 1.27",
        "",
        "rows[1].speedup",
        ["missing; valid: speedup, or latency_s", "'baseline'"],
    ),
    "other schema": ("schema = 1", "schema = 3\nlater = true", "schema", ["unknown schema 3; valid: 1, 2"]),
    "schema is no integer": ("schema = 1", "schema = true", "schema", ["must be an integer, not a boolean"]),
    "title is no string": ('title = "Mine"', "title = 3", "title", ["must be a string, not an integer"]),
    "title is a date": ('title = "Mine"', "title = 2024-01-01", "title", ["must be a string, not a date"]),
    "title is a date-time": ('title = "Mine"', "title = 2024-01-01T00:00:00", "title", ["not a date-time"]),
    "title is empty": ('title = "Mine"', 'title = " "', "title", ["must not be empty"]),
    "name in capitals": ('name = "mine"', 'name = "Mine"', "name", ["'Mine' is not a valid name", "lower-case"]),
    "name ends in newline": ('name = "mine"', 'name = "mine\\n"', "name", ["not a valid name"]),
    "setup with a dash": ('setup = "tf32"', 'setup = "tf-32"', "rows[1].setup", ["'tf-32' is not a valid name"]),
    "reserved setup": ('setup = "tf32"', 'setup = "control"', "rows[1].setup", ["A/A control"]),
    "notes are no array": ("[recipe]", 'notes = "x"\n[recipe]', "notes", ["must be an array, not a string"]),
    "notes hold a number": ("[recipe]", 'notes = ["x", 1.5]\n[recipe]', "notes", ["item 1 must be a string, not a float"]),
    "optimizations are no array": ('["tf32"]', '"tf32"', "rows[1].optimizations", ["must be an array, not a string"]),
    "optimizations hold a boolean": ('["tf32"]', "[true]", "rows[1].optimizations", ["item 0 must be a string, not a boolean"]),
    "optimization twice": ('["fp16", "tf32"]', '["fp16", "fp16"]', "rows[3].optimizations", ["lists 'fp16' twice"]),
    "recipe is no table": ("[recipe]", "[[recipe]]", "recipe", ["must be a table, not an array"]),
    "image is no table": ("{psnr = 28, ssim = 0.90}", "28", "rows[1].image", ["must be a table, not an integer"]),
    "row recipe is no table": ("speedup = 1\n", "speedup = 1\nrecipe = 1\n", "rows[0].recipe", ["must be a table, not an integer"]),
    "latency is a boolean": ("latency_s = 4.14", "latency_s = true", "rows[1].latency_s", ["must be a number, not a boolean"]),
    "latency is a string": ("latency_s = 4.14", 'latency_s = "4.14"', "rows[1].latency_s", ["must be a number, not a string"]),
    "latency is a time": ("latency_s = 4.14", "latency_s = 04:14:00", "rows[1].latency_s", ["must be a number, not a time"]),
    "latency is NaN": ("latency_s = 4.14", "latency_s = nan", "rows[1].latency_s", ["must be finite"]),
    "latency is infinite": ("latency_s = 4.14", "latency_s = inf", "rows[1].latency_s", ["must be finite"]),
    "latency overflows": ("latency_s = 4.14", "latency_s = 1e999", "rows[1].latency_s", ["must be finite"]),
    "latency overflows as integer": ("latency_s = 4.14", f"latency_s = 1{'0' * 400}", "rows[1].latency_s", ["must be finite"]),
    "latency underflows": ("latency_s = 4.14", "latency_s = 1e-999", "rows[1].latency_s", ["must be greater than 0"]),
    "latency is zero": ("latency_s = 4.14", "latency_s = 0.0", "rows[1].latency_s", ["must be greater than 0, not 0.0"]),
    "latency is negative": ("latency_s = 4.14", "latency_s = -1", "rows[1].latency_s", ["must be greater than 0, not -1"]),
    "speedup is zero": ("speedup = 1.27", "speedup = 0", "rows[1].speedup", ["must be greater than 0"]),
    "tolerance of one": ("[recipe]", "tolerance = 1\n[recipe]", "tolerance", ["at least 0 and below 1, not 1"]),
    "negative tolerance": ("speedup = 1.27", "speedup = 1.27\ntolerance = -0.1", "rows[1].tolerance", ["at least 0 and below 1"]),
    "psnr of zero": ("psnr = 28", "psnr = 0", "rows[1].image.psnr", ["must be greater than 0"]),
    "ssim above one": ("ssim = 0.90", "ssim = 1.1", "rows[1].image.ssim", ["between -1 and 1, not 1.1"]),
    "ssim below minus one": ("ssim = 0.90", "ssim = -1.1", "rows[1].image.ssim", ["between -1 and 1"]),
    "mae of zero": ("ssim = 0.90", "mae = 0", "rows[1].image.mae", ["must be greater than 0"]),
    "unknown scheduler": ('"ddim"', '"euler"', "recipe.scheduler", ["unknown scheduler 'euler'; valid: ddim, pndm"]),
    "unknown dtype": (
        "steps = 50",
        'steps = 50\ndtype = "half"',
        "recipe.dtype",
        ["unknown dtype 'half'; valid: float32, float16, bfloat16"],
    ),
    "height no multiple of 8": ("height = 512", "height = 500", "recipe.height", ["multiple of 8, not 500"]),
    "width no multiple of 8": ("width = 768", "width = 767", "recipe.width", ["multiple of 8, not 767"]),
    "height of zero": ("height = 512", "height = 0", "recipe.height", ["at least 8, not 0"]),
    "height is a float": ("height = 512", "height = 512.0", "recipe.height", ["must be an integer, not a float"]),
    "no steps": ("steps = 50", "steps = 0", "recipe.steps", ["at least 1, not 0"]),
    "steps are a boolean": ("steps = 50", "steps = true", "recipe.steps", ["must be an integer, not a boolean"]),
    "no images": ("steps = 50", "steps = 50\nimages = 0", "recipe.images", ["at least 1, not 0"]),
    "no repeats": ("steps = 50", "steps = 50\nrepeats = 0", "recipe.repeats", ["at least 1, not 0"]),
    "negative guidance": ("steps = 50", "steps = 50\nguidance = -1.0", "recipe.guidance", ["0 or greater"]),
    "negative seed": ("steps = 50", "steps = 50\nseed = -1", "recipe.seed", ["at least 0"]),
    "seed too large": ("steps = 50", f"steps = 50\nseed = {2**63}", "recipe.seed", ["at most"]),
    "bad value in a row's recipe": ("speedup = 1\n", "speedup = 1\nrecipe = {images = 0}\n", "rows[0].recipe.images", ["at least 1"]),
    "unknown key in a row's recipe": ("speedup = 1\n", "speedup = 1\nrecipe = {batch = 4}\n", "rows[0].recipe.batch", ["unknown key"]),
    "recipe on a candidate": (
        "speedup = 1.27",
        "speedup = 1.27\nrecipe = {images = 4}",
        "rows[1].recipe",
        ["only a baseline row", "'baseline'"],
    ),
    "duplicate row": ('setup = "fp16"', 'setup = "tf32"', "rows[2].setup", ["'tf32' is already the setup of rows[1]"]),
    "missing baseline": (
        'setup = "tf32"',
        'setup = "tf32"\nbaseline = "fp23"',
        "rows[1].baseline",
        ["no row has the setup 'fp23'; valid: baseline"],
    ),
    "no default baseline": ('setup = "baseline"', 'setup = "base"', "rows[0].baseline", ["no row has the setup 'baseline'; valid: none"]),
    "chained baseline": (
        'setup = "combined"',
        'setup = "combined"\nbaseline = "fp16"',
        "rows[3].baseline",
        ["'fp16' is itself compared with 'baseline'", "valid: baseline"],
    ),
    "baseline compared with another": (
        'setup = "baseline"',
        'setup = "baseline"\nbaseline = "tf32"',
        "rows[0].baseline",
        ["the row 'baseline' is compared with no other; valid: baseline, or leave it out"],
    ),
    "speedup of a baseline": ("speedup = 1\n", "speedup = 1.1\n", "rows[0].speedup", ["1.1 on a baseline row", "valid: 1"]),
    "contradiction": (
        "speedup = 1.54",
        "speedup = 1.60",
        "rows[3].speedup",
        ["1.60 contradicts", "5.27 s / 3.41 s is 1.545", "1.542 to 1.549"],
    ),
    "contradiction below": ("speedup = 1.54", "speedup = 1.53", "rows[3].speedup", ["1.53 contradicts", "1.545"]),
    "contradiction of more places": ("speedup = 1.54", "speedup = 1.6000", "rows[3].speedup", ["is 1.54545; valid: 1.54173 to 1.54919,"]),
    "contradiction of very many places": (
        "speedup = 1.54",
        "speedup = 1.60000000000000000000",
        "rows[3].speedup",
        ["5.27 s / 3.41 s is 1.54545454545454545; valid"],
    ),
    "no baseline of several": (
        'setup = "combined"',
        'setup = "combined"\nbaseline = "fp23"\noptimizations = []\n[[rows]]\nsetup = "fp23x"\nbaseline = "fp23x"',
        "rows[3].baseline",
        ["no row has the setup 'fp23'; valid: baseline, fp23x"],
    ),
    "recorded is empty": ("[recipe]", "[recorded]\n[recipe]", "recorded", ["must not be empty"]),
    "recorded holds a number": ("[recipe]", "[recorded]\ntorch = 2.13\n[recipe]", "recorded.torch", ["must be a string, not a float"]),
    "rows are a table": (VALID[VALID.index("[[rows]]") :], '[rows]\nsetup = "baseline"', "rows", ["must be an array, not a table"]),
    "rows hold a string": (
        VALID[VALID.index("[recipe]") :],
        f'rows = ["x"]\n{VALID[VALID.index("[recipe]") : VALID.index("[[rows]]")]}',
        "rows",
        ["item 0"],
    ),
    "no rows": (
        VALID[VALID.index("[recipe]") :],
        f"rows = []\n{VALID[VALID.index('[recipe]') : VALID.index('[[rows]]')]}",
        "rows",
        ["at least two rows"],
    ),
    "nothing compared": (
        VALID[VALID.index('[[rows]]\nsetup = "tf32"') :],
        '[[rows]]\nsetup = "other"\nbaseline = "other"\noptimizations = []\n',
        "rows",
        ["no row is compared with a baseline"],
    ),
    "invalid TOML": ("width = 768", "width 768", "", ["is not valid TOML", "line 10"]),
    "key twice": ("width = 768", "width = 768\nwidth = 512", "", ["is not valid TOML", "line 11"]),
    "nested too deeply": ('title = "Mine"', f"title = {'[' * 5000}", "", ["is not valid TOML"]),
    "integer too long": ("steps = 50", f"steps = {'1' * 5000}", "", ["number is too large"]),
    "exponent too large": ("latency_s = 4.14", "latency_s = 1e99999999999999999999", "", ["number is too large"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(write, fault):
    old, new, key, words = FAULTS[fault]
    assert old in VALID
    refused(write(VALID.replace(old, new, 1)), key, *words)


@pytest.mark.parametrize(
    "seam",
    [f"{line}\n" for line in VALID.splitlines() if line.split(" ")[0] not in ("latency_s", "speedup", "image") and "rows" not in line],
)
def test_no_required_line_can_be_left_out(write, seam):
    with pytest.raises(TableError):
        load_table(write(VALID.replace(seam, "", 1)))


def test_random_gate_faults_name_their_own_key(write):
    refused(write(VALID.replace("image = {psnr = 28", "image_random = {psnr = -1")), "rows[1].image_random.psnr", "greater than 0")


def test_a_baseline_has_no_bound_on_its_memory(write):
    refused(write(VALID.replace("speedup = 1\n", "speedup = 1\nmemory = 0.9\n")), "rows[0].memory", "on a row compared with it")


def test_not_utf8(write):
    refused(write(VALID.replace("Mine", "Mäne").encode("latin-1")), "", "is not UTF-8 (byte 0xe4 at line 3)")
    refused(write(b"\n\xe4"), "", "is not UTF-8 (byte 0xe4 at line 2)")


def test_unreadable(tmp_path):
    assert refused(tmp_path / "absent.toml", "").problem == "cannot be read: No such file or directory"
    assert refused(tmp_path, "").problem == "cannot be read: Is a directory"


def test_a_path_through_a_file_is_refused_with_the_words_of_the_system(write):
    path = write(VALID) / "inside.toml"
    with pytest.raises(TableError) as caught:
        load_tables([path])
    assert str(caught.value) == f"{path}: cannot be read: Not a directory"
    assert caught.value.key == ""


@pytest.mark.parametrize("load", [load_table, lambda path: load_tables([path])])
def test_an_impossible_path_is_named_as_it_can_be_printed(load):
    with pytest.raises(TableError, match="cannot be read: ") as caught:
        load("a\0b")
    assert (caught.value.path, caught.value.key) == ("'a\\x00b'", "")


def test_what_toml_does_not_have_is_named_by_its_class():
    assert values.name_type(1.5) == "float"


def test_load_tables_reads_files_and_folders_after_the_builtin_ones(write, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "folder.toml").mkdir()
    write(VALID.replace('"mine"', '"second"'), "more/b.toml")
    first = write(VALID.replace('"mine"', '"first"'), "more/a.toml")
    write("not a table", "more/readme.txt")
    lone = write(VALID.replace('"mine"', '"lone"'), "lone.table")
    names = [table.name for table in load_tables([lone, tmp_path / "more", first])]
    assert names == [*list_builtin_names(), "lone", "first", "second"]


def test_load_tables_names_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(TableError) as caught:
        load_tables([tmp_path / "absent"])
    assert str(caught.value) == f"{tmp_path / 'absent'}: no such file or folder; valid: a table file, or a folder with *.toml files"
    assert caught.value.key == ""


def test_load_tables_names_a_folder_without_tables(tmp_path):
    with pytest.raises(TableError) as caught:
        load_tables([tmp_path])
    assert str(caught.value) == f"{tmp_path}: the folder holds no *.toml file; valid: a table file, or a folder with *.toml files"
    assert caught.value.key == ""


def recorded(text):
    return text.replace("[recipe]", '[recorded]\ndate = "2026-01-01"\n[recipe]')


@pytest.mark.parametrize("change", [lambda text: text, recorded])
def test_same_name_and_device_is_refused(write, change):
    one, two = write(VALID, "one.toml"), write(change(VALID), "two.toml")
    with pytest.raises(TableError) as caught:
        load_tables([one, two])
    assert (caught.value.path, caught.value.key) == (str(two), "name")
    assert str(one) in caught.value.problem
    assert "'mine' for device 'NVIDIA A100'" in caught.value.problem


def test_same_name_for_another_device_must_be_recorded(write):
    one, two = write(VALID, "one.toml"), write(VALID.replace("A100", "H200"), "two.toml")
    with pytest.raises(TableError, match="only a recorded table") as caught:
        load_tables([one, two])
    assert (caught.value.path, caught.value.key) == (str(two), "name")
    assert str(one) in caught.value.problem


def test_a_recorded_table_shares_a_name_with_one_for_another_device(write):
    one = write(recorded(VALID.replace('"mine"', '"inference"').replace("A100", "H200")), "one.toml")
    two = write(recorded(VALID.replace('"mine"', '"inference"').replace("A100", "H100")), "two.toml")
    found = [table for table in load_tables([two, one]) if table.name == "inference"]
    assert [table.device for table in found] == ["NVIDIA A100", "NVIDIA H100", "NVIDIA H200"]
    assert found[2].recorded == {"date": "2026-01-01"}


def test_a_recorded_speedup_may_differ_from_its_medians_by_the_tolerance(write):
    # Documented figures are rounded; recorded ones are estimated separately, from paired blocks and from medians.
    assert load_table(write(recorded(VALID.replace("speedup = 1.54", "speedup = 1.60")))).row("combined").speedup == 1.6
    refused(write(recorded(VALID.replace("speedup = 1.54", "speedup = 1.70"))), "rows[3].speedup", "1.70 contradicts")


def test_a_recorded_speedup_on_the_edge_of_what_its_medians_allow_is_none_too_far(write):
    # Halves of the last places and the tolerance: (1.0 - 0.05) / (0.9 + 0.05) x 0.95 is 0.9 + 0.05, and so above.
    text = VALID.replace("latency_s = 5.27", "latency_s = 1.0").replace(
        "latency_s = 4.14\nspeedup = 1.27", "latency_s = 0.9\nspeedup = 0.9"
    )
    text = text.replace("latency_s = 3.51\nspeedup = 1.50", "latency_s = 1.1\nspeedup = 1.1").replace("latency_s = 3.41\n", "")
    assert [row.speedup for row in load_table(write(recorded(text))).rows] == [1, 0.9, 1.1, 1.54]


def test_a_byte_order_mark_and_the_line_ends_of_windows_change_nothing(write):
    plain = load_table(write(VALID))
    for content in (b"\xef\xbb\xbf" + VALID.encode(), VALID.replace("\n", "\r\n").encode()):
        path = write(content, "windows.toml")
        assert replace(load_table(path), path=plain.path) == plain


@pytest.mark.parametrize(("baseline", "latency", "says"), [("1e300", "1e-300", "is inf"), ("1e-300", "1e300", "is 0.0")])
def test_latencies_whose_quotient_is_no_positive_float_are_refused(write, baseline, latency, says):
    """A speed-up of 0 would pass whatever is measured."""
    text = VALID.replace("latency_s = 5.27\nspeedup = 1\n", f"latency_s = {baseline}\n")
    text = text.replace("latency_s = 4.14\nspeedup = 1.27", f"latency_s = {latency}")
    with pytest.raises(TableError, match=f"{says} as a float; valid: latencies whose quotient is above 0 and finite") as caught:
        load_table(write(text))
    assert caught.value.key == "rows[1].speedup"


@pytest.mark.parametrize(
    "text",
    [
        VALID.replace('"ddim"', f'"{"d" * 10**6}"'),
        VALID.replace("steps = 50", f'steps = 50\n"{"d" * 10**6}" = 1'),
        VALID.replace("1.27", f"-1.{'0' * 10**6}"),
        VALID.replace("tf32", f"tf32{'2' * 10**6}-", 1),
    ],
    ids=["value", "key", "number", "name"],
)
def test_a_message_shows_the_ends_of_what_is_endless(text):
    with pytest.raises(TableError) as caught:
        parse_table(text, "some.toml")
    assert 400 < len(str(caught.value)) < 2000
    assert " ... " in str(caught.value)


def test_a_message_of_ordinary_length_is_whole():
    place = schema.TomlPath("some.toml", "k" * 800)
    assert str(place.error("p" * 800)) == f"some.toml: {'k' * 800}: {'p' * 800}"
    assert str(place.error(f"{'p' * 400}x{'q' * 400}")) == f"some.toml: {'k' * 800}: {'p' * 400} ... {'q' * 400}"


def test_twenty_thousand_names_are_read_at_once():
    """Compared each with each they took a dozen seconds."""
    names = ", ".join(f'"o{number}"' for number in range(20_000))
    table = parse_table(VALID.replace('["tf32"]', f"[{names}]"), "some.toml")
    assert len(table.row("tf32").optimizations) == 20_000
    with pytest.raises(TableError, match="lists 'o7' twice"):
        parse_table(VALID.replace('["tf32"]', f'[{names}, "o7"]'), "some.toml")


def test_a_key_in_a_message_breaks_no_line_and_steers_no_terminal(write):
    text = VALID.replace("steps = 50", '"\\u2028\\u0085\\u009b31m" = 1\nsteps = 50')
    with pytest.raises(TableError) as caught:
        load_table(write(text))
    assert caught.value.key == 'recipe."\\u2028\\u0085\\u009b31m"'
