"""Names of built-in setups and optimizations, of those that users add, and which table a name means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builtin_tables import FIRST

from pytest_sdspeed.errors import RegistrationError, UnknownNameError
from pytest_sdspeed.model import RegisteredSetup, Row, StackEntry, Table, TableSet
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS
from pytest_sdspeed.setups.catalog import Catalog
from pytest_sdspeed.setups.names import BUILTIN_SETUPS, RESERVED
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.tables import load_tables

TABLES = load_tables()
RECIPE = next(table for table in TABLES if table.name == "inference").rows[0].recipe
HERE, ELSEWHERE = "NVIDIA H200", "NVIDIA L4"


def table(name, *rows, device="NVIDIA A100", recorded=None, recipe=None):
    """Make a table whose first row is its baseline."""
    recipe = recipe or RECIPE
    made = [Row(setup=setup, optimizations=(), baseline=rows[0], recipe=recipe, speedup=1.0 + number) for number, setup in enumerate(rows)]
    return Table(name=name, title="", source="", device=device, rows=tuple(made), recorded=recorded or {})


def catalog(*tables, gpu=True, registry=None, device=HERE):
    return Catalog(TableSet({}, tables), registry or Registry(), gpu=gpu, device=lambda: device)


def test_the_built_in_setups_are_the_rows_of_the_first_tables():
    assert {row.setup for table in TABLES for row in table.rows if table.name in FIRST} == set(BUILTIN_SETUPS)
    assert not RESERVED & BUILTIN_SETUPS.keys()
    assert all(BUILTIN_SETUPS.values())


def misnamed(tables):
    """List the rows of later tables that do not begin with their table's name, or have a name that is taken."""
    taken = set(BUILTIN_SETUPS) | RESERVED
    for one in tables:
        for row in one.rows:
            if not row.setup.startswith(f"{one.name}_") or row.setup in taken:
                yield f"{one.name}::{row.setup}"
            taken.add(row.setup)


def test_rows_of_later_tables_begin_with_their_tables_name_and_no_two_are_called_the_same():
    assert list(misnamed(table for table in TABLES if table.name not in FIRST)) == []


def test_a_row_that_is_misnamed_or_named_twice_is_found():
    tables = [
        table("tome_v100", "tome_v100_none", "tome_v100_r50"),
        table("sdpa", "sdpa_fp16_b1"),
        table("tome", "tome_r50", "tome_v100_r50", "r75"),
    ]
    assert list(misnamed(tables)) == ["sdpa::sdpa_fp16_b1", "tome::tome_v100_r50", "tome::r75"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_of_a_built_in_table_resolves(table):
    for row in table.rows:
        if not row.unsupported:
            stack = Registry().stack(row.optimizations, f"table {table.name}", row.recipe)
            assert [part.name for part in stack] == [StackEntry.parse(label).name for label in row.optimizations]


def test_later_tables_change_no_meaning_of_the_first_ones():
    first = [one for one in TABLES if one.name in FIRST]
    later = table("aaa_new", "aaa_new_base", "aaa_new_fp16")
    for gpu in (True, False):
        with_, without = catalog(later, *TABLES, gpu=gpu), catalog(*first, gpu=gpu)
        for setup in (*BUILTIN_SETUPS, "baseline"):
            ours, theirs = with_.choose(None, setup, ""), without.choose(None, setup, "")
            assert (ours.table, ours.row, ours.optimizations) == (theirs.table, theirs.row, theirs.optimizations)
        assert with_.list_setups(None, "") == without.list_setups(None, "")
    assert catalog(later, *TABLES).choose(None, "aaa_new_fp16", "").table is later


def test_an_unknown_optimization_names_the_valid_ones():
    with pytest.raises(UnknownNameError) as caught:
        Registry().stack(["sdpa", "fp8"], "table 'mine'", RECIPE)
    valid = ", ".join(sorted(part.name for part in OPTIMIZATIONS))
    assert str(caught.value) == f"table 'mine': unknown optimization 'fp8'; valid: {valid}"


@pytest.mark.parametrize(("name", "field"), [("distilled_unet", "student"), ("tiny_vae", "tiny_vae")])
def test_a_recipe_must_name_what_replaces_a_part(name, field, recipe):
    assert [part.name for part in Registry().stack([name], "setup 'mine'", recipe)] == [name]
    with pytest.raises(RegistrationError) as caught:
        Registry().stack([name], "setup 'mine'", replace(recipe, **{field: None}))
    assert str(caught.value) == f"setup 'mine': optimization {name!r} needs a model: the recipe has no {field!r}"


@pytest.mark.parametrize("name", ["", "Fp16", "1st", "a-b", "a b", "_a", "a\n", "é"])
def test_malformed_names(name):
    registry = Registry()
    for add in (lambda: registry.add_setup(name, []), lambda: registry.add_optimization(Optimization(name=name, summary=""))):
        with pytest.raises(RegistrationError, match="lower case letters, digits and underscores, a letter first"):
            add()
    assert registry.setups == {}


@pytest.mark.parametrize("name", ["fp16", "baseline", "latency", "setup", "mine"])
def test_taken_setup_names(name):
    registry = Registry()
    registry.add_setup("mine", ["fp16"])
    with pytest.raises(RegistrationError, match=f"setup '{name}' exists already: choose another name"):
        registry.add_setup(name, [])
    assert registry.setups["mine"].optimizations == ("fp16",)


@pytest.mark.parametrize("name", ["fp16", "mine"])
def test_taken_optimization_names(name):
    registry = Registry()
    registry.add_optimization(Optimization(name="mine", summary=""))
    with pytest.raises(RegistrationError, match=f"optimization '{name}' exists already"):
        registry.add_optimization(Optimization(name=name, summary=""))


def test_a_stack_is_no_string():
    with pytest.raises(RegistrationError, match=r"setup 'mine': optimizations are a list of names, not 'fp16': \['fp16'\]"):
        Registry().add_setup("mine", "fp16")


def test_what_users_add_is_found_and_announced(recipe):
    registry, heard = Registry(), []
    registry.listener = heard.append
    added = Optimization(name="mine", summary="")
    registry.add_optimization(added)
    registry.add_setup("my_setup", ["mine", "sdpa"], doc="Mine.")
    assert heard == [RegisteredSetup(name="my_setup", optimizations=("mine", "sdpa"), doc="Mine.")]
    assert registry.stack(["mine"], "test", recipe) == (added,)
    assert "mine" not in Registry().optimizations()


def test_the_default_table_on_the_cpu_is_the_miniature():
    found = catalog(*TABLES, gpu=False)
    assert {found.choose(None, setup, "").table.name for setup in BUILTIN_SETUPS} == {"miniature"}
    assert found.list_setups(None, "")[0] == "baseline"


def test_the_default_table_on_the_gpu_is_inference_first_then_any_that_has_the_setup():
    found = catalog(*TABLES)
    for setup in BUILTIN_SETUPS:
        holders = [table.name for table in TABLES if not table.on_cpu and table.row(setup)] or ["miniature"]
        assert found.choose(None, setup, "").table.name == ("inference" if "inference" in holders else holders[0])
    assert found.choose(None, "distilled_feature_cache_2", "").table.name == "miniature"
    assert found.choose(None, "fp16", "").table.name == "inference"
    assert found.choose(None, "distilled", "").table.name == "distillation"
    assert found.list_setups(None, "") == tuple(row.setup for row in next(table for table in TABLES if table.name == "inference").rows)


def test_a_table_for_the_cpu_is_not_the_default_on_the_gpu():
    recorded = table("mine", "baseline", "fp16", device="EPYC", recorded={"kind": "cpu"})
    other = table("other", "baseline", "fp16")
    assert catalog(recorded, other).choose(None, "fp16", "").table is other


def test_a_setup_without_row_keeps_the_default_tables_recipe_and_has_no_expectation():
    choice = catalog(*TABLES, gpu=False).choose(None, "fp16", "")
    assert (choice.row, choice.optimizations, choice.baseline) == (None, ("fp16",), "baseline")
    assert choice.recipe.model == "miniature"


def test_a_row_brings_its_recipe_and_baseline():
    choice = catalog(*TABLES, gpu=False).choose("attention", "sdpa_fp16_b4", "")
    assert choice.row is choice.table.row("sdpa_fp16_b4")
    assert (choice.baseline, choice.recipe.images, choice.recipe.dtype) == ("vanilla_fp16_b4", 4, "float16")


def test_a_recorded_table_of_this_device_takes_precedence():
    documented = table("inference", "baseline", "fp16", "tf32")
    here = table("inference", "baseline", "fp16", device=HERE, recorded={"date": "2026-01-01"})
    there = table("inference", "baseline", "fp16", device=ELSEWHERE, recorded={"date": "2026-01-01"})
    for tables in ([documented, here, there], [there, here, documented]):
        found = catalog(*tables)
        assert [given.device for given in found.find_tables("inference", "")] == [HERE, "NVIDIA A100", ELSEWHERE]
        assert found.choose(None, "fp16", "").table is here
        assert found.choose("inference", "tf32", "").table is documented
        assert catalog(*tables, device="NVIDIA B200").choose("inference", "fp16", "").table is documented


def test_what_a_marker_expects_of_a_built_in_setup_needs_no_row_of_the_table_it_names():
    with pytest.raises(UnknownNameError):
        catalog(*TABLES, gpu=False).choose("miniature", "tf32", "")
    found = catalog(*TABLES, gpu=False).choose("miniature", "tf32", "", undocumented=True)
    assert (found.table.name, found.optimizations, found.row, found.baseline) == ("miniature", ("tf32",), None, "baseline")
    with pytest.raises(UnknownNameError):
        catalog(*TABLES, gpu=False).choose("miniature", "nope", "", undocumented=True)


def test_a_recorded_table_of_this_cpu_is_what_a_test_without_table_is_held_to():
    documented = next(one for one in TABLES if one.name == "miniature")
    fewer = tuple(row for row in documented.rows if row.setup != "feature_cache_2")
    here = replace(documented, device="EPYC", recorded={"kind": "cpu"}, rows=fewer)
    found = catalog(*TABLES, here, gpu=False, device="EPYC")
    assert found.choose(None, "distilled", "").table is here
    assert found.choose(None, "feature_cache_2", "").table is documented
    assert catalog(*TABLES, here, gpu=False, device="Xeon").choose(None, "distilled", "").table is documented


def test_a_recorded_table_of_this_gpu_is_what_a_test_without_table_is_held_to():
    here = table("inference", "baseline", "fp16", device=HERE, recorded={"kind": "cuda"})
    assert catalog(*TABLES, here).choose(None, "fp16", "").table is here
    assert catalog(*TABLES, here, device=ELSEWHERE).choose(None, "fp16", "").table.device == "NVIDIA A100"


def test_a_row_that_was_not_recorded_is_listed_and_keeps_its_own_baseline():
    documented = table("inference", "baseline", "fp16", "tf32")
    here = table("inference", "baseline", "fp16", device=HERE, recorded={"date": "2026-01-01"})
    found = catalog(documented, here)
    assert found.list_setups("inference", "") == ("baseline", "fp16", "tf32")
    tf32, fp16 = (found.choose("inference", setup, "") for setup in ("tf32", "fp16"))
    assert [found.find_baseline(choice).table for choice in (tf32, fp16)] == [documented, here]
    assert found.find_baseline(tf32).setup == "baseline"


def test_the_device_is_not_asked_for_where_nothing_depends_on_it():
    def fail():
        raise AssertionError("asked")

    found = Catalog(TableSet({}, TABLES), Registry(), gpu=True, device=fail)
    assert found.choose(None, "fp16", "").table.name == "inference"


def test_an_unknown_table_names_the_valid_ones():
    with pytest.raises(UnknownNameError) as caught:
        catalog(*TABLES).choose("nope", "fp16", "marker of test_a")
    assert str(caught.value) == f"marker of test_a: unknown table 'nope'; valid: {', '.join(sorted(table.name for table in TABLES))}"


def test_an_unknown_setup_names_the_tables_rows():
    with pytest.raises(UnknownNameError) as caught:
        catalog(*TABLES).choose("inference", "nope", "marker of test_a")
    assert str(caught.value) == "marker of test_a: unknown setup of table 'inference' 'nope'; valid: baseline, combined, fp16, tf32"


def test_a_named_table_does_not_take_another_tables_setup():
    with pytest.raises(UnknownNameError, match="unknown setup of table 'inference' 'distilled'"):
        catalog(*TABLES).choose("inference", "distilled", "")


@pytest.mark.parametrize("name", [None, "inference", "miniature"])
def test_a_registered_setup_is_found_in_every_table(name, recipe):
    registry = Registry()
    registry.add_setup("mine", ["sdpa"])
    registry.add_setup("own", ["sdpa"], recipe=recipe)
    found = catalog(*TABLES, registry=registry)
    choice = found.choose(name, "mine", "")
    assert (choice.setup, choice.optimizations, choice.row, choice.baseline) == ("mine", ("sdpa",), None, "baseline")
    assert choice.recipe == choice.table.rows[0].recipe
    assert found.choose(name, "own", "").recipe == recipe
    assert all(map(found.is_setup, {"mine", "own", *(row.setup for table in TABLES for row in table.rows)}))
    assert not any(map(found.is_setup, ("other", "", *(f"{table.name}_other" for table in TABLES))))


def test_a_tables_own_row_comes_before_a_registered_setup():
    registry = Registry()
    registry.add_setup("mine", ["sdpa"])
    holder = table("mine_too", "baseline", "mine")
    found = catalog(*TABLES, holder, registry=registry)
    assert found.choose("mine_too", "mine", "").row is holder.row("mine")
    assert found.choose(None, "mine", "").table is holder
    assert found.choose("inference", "mine", "").row is None
