"""Units: what is called iterations per second, seconds, or a run, and is something else."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table


def stated(figures, where="column"):
    return f'stated = [{{where = "{where}", {figures}}}]'


@pytest.mark.parametrize(("latency", "rate"), [("1.604", "31.19"), ("1.058", "47.29"), ("6.670789", "7.50"), ("2.87", "18.45")])
def test_rates_that_leave_time_for_the_rest_of_a_call_agree(latency, rate):
    assert found(table(row("base", f"latency_s = {latency}; iterations_per_s = {rate}"), row("fast", "speedup = 1.1"))) == []


def test_a_loop_that_takes_longer_than_its_call():
    wrong = table(row("base", "latency_s = 1.604; iterations_per_s = 13.19"), row("fast", "speedup = 1.1"))
    assert found(wrong) == [("units", "page/base", "rows[0].iterations_per_s")]
    assert "50 steps alone would take 3.791 s" in messages(wrong)[0]


@pytest.mark.parametrize("unit", ["call", "stage"])
def test_calls_are_held_alike_however_they_are_measured(unit):
    def told(latency, rate):
        rows = row("base", f"latency_s = {latency}; iterations_per_s = {rate}"), row("fast", "speedup = 1.1")
        return messages(table(*rows, unit=unit))

    assert told("2.87", "30.0") == []
    (said,) = told("1.604", "13.19")
    assert "50 steps alone would take 3.791 s" in said


def test_milliseconds_of_a_whole_table_beside_its_rates():
    wrong = table(row("base", "latency_s = 1604; iterations_per_s = 33.19"), row("fast", "latency_s = 1058; iterations_per_s = 50.29"))
    assert found(wrong) == [("units", "page/base", "rows[0].iterations_per_s"), ("units", "page/fast", "rows[1].iterations_per_s")]
    assert "50 steps alone would take 1.506 s" in messages(wrong)[0]


def test_a_step_for_a_run():
    ulysses = table(
        row("base", "latency_s = 0.35134; iterations_per_s = 2.85"),
        row("ulysses", "latency_s = 0.28107; iterations_per_s = 3.56"),
        steps=28,
    )
    assert rules(ulysses) == ["units"]
    assert "a run has 28 steps: the seconds are of one step" in messages(ulysses)[0]
    assert (
        found(table(row("base", "latency_s = 0.35134; iterations_per_s = 2.85"), row("ulysses", "latency_s = 0.28107"), unit="denoiser"))
        == []
    )


def test_a_pipeline_that_begins_from_a_picture_takes_fewer_steps():
    text = 'latency_s = 0.9; iterations_per_s = 44; recipe = {pipeline = "StableDiffusionImg2ImgPipeline"}'
    assert found(table(row("base", text), row("fast", "speedup = 1.1"))) == []
    assert rules(table(row("base", text.replace("44", "11")), row("fast", "speedup = 1.1"))) == ["units"]


def test_a_loop_whose_rate_is_not_its_steps_over_its_time():
    def loop(latency):
        return table(
            row("base", f"latency_s = {latency}; iterations_per_s = 20.0"), row("fast", "iterations_per_s = 30.0"), unit="denoising"
        )

    assert (rules(loop("2.50")), rules(loop("2.55")), rules(loop("3.50"))) == ([], [], ["units"])


def test_iterations_that_cannot_explain_what_the_call_saved():
    kernels = table(
        row("base", f"latency_s = 2.87; {stated('iterations_per_s = 18.45')}"),
        row("kernels", f"latency_s = 2.70; {stated('iterations_per_s = 19.05')}", "kernels", unsupported='"needs kernels of the post"'),
        steps=30,
    )
    assert found(kernels) == [("units", "page/kernels", "rows[1].stated[0].iterations_per_s")]
    explained = table(
        row("base", f"latency_s = 2.87; {stated('iterations_per_s = 18.45')}"),
        row("kernels", f"latency_s = 2.70; {stated('iterations_per_s = 20.6')}", "kernels", unsupported='"needs kernels of the post"'),
        steps=30,
    )
    assert found(explained) == []


def test_a_row_that_changes_more_than_the_loop_may_save_more():
    tiny = table(
        row("base", f"latency_s = 2.87; {stated('iterations_per_s = 18.45')}"),
        row("tiny", f"latency_s = 2.00; {stated('iterations_per_s = 18.45')}", "tiny_vae"),
        steps=30,
    )
    assert found(tiny) == []


def test_seconds_per_iteration_are_reciprocal():
    def reciprocal(said):
        return table(
            row("base", f"iterations_per_s = 0.427; {stated(f'iterations_per_s = {said}')}"),
            row("fast", "iterations_per_s = 0.503"),
            unit="denoising",
        )

    assert found(reciprocal("2.34")) == [("units", "page/base", "rows[0].stated[0].iterations_per_s")]
    assert rules(reciprocal("0.45")) == ["two-figures"]


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("5270", "units"),
        ("0.00527", "units"),
        ("0.1054", "units"),
        ("5.27", None),
        ("5.3", None),
        ("5", None),
        ("5.41", "two-figures"),
        ("1.3175", "units"),
    ],
)
def test_a_second_latency_is_the_same_another_unit_or_another_figure(said, rule):
    one = table(row("base", f"latency_s = 5.27; recipe = {{images = 4}}; {stated(f'latency_s = {said}')}"), row("fast", "speedup = 1.1"))
    assert rules(one) == ([rule] if rule else [])


def test_milliseconds_in_one_row_of_seconds():
    assert rules(table(row("base", "latency_s = 5270"), row("fast", "latency_s = 3.51"))) == ["units"]
    assert rules(table(row("base", "latency_s = 109"), row("fast", "latency_s = 12"))) == []


@pytest.mark.parametrize(("latency", "expected"), [("14.5", ["units"]), ("15", ["units"]), ("20.0", []), ("12", [])])
def test_minutes_in_one_row_of_seconds(latency, expected):
    one = table(row("base", "latency_s = 863"), row("fast", f"latency_s = {latency}"))
    assert rules(one) == expected
    assert [text for text in messages(one) if not text.endswith("likely in minutes")] == []


def test_megabytes_in_one_row_of_gigabytes():
    wrong = table(
        row("base", "latency_s = 5; memory_gb = 24576", "x"), row("fast", "latency_s = 4; memory_gb = 22.1", "y"), device="another"
    )
    assert found(wrong) == [("units", "page/fast", "rows[1].memory_gb")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2.34s", ["units"]), ("2.34 s/it", ["units"]), ("OOM after 2nd iteration", []), ("2.34", []), ("12,.79", ["misprint"])],
)
def test_a_time_in_a_column_of_iterations(text, expected):
    printed = stated(f'text = "{text}"')
    assert (
        rules(table(row("base", f"iterations_per_s = 0.427; {printed}"), row("fast", "iterations_per_s = 0.503"), unit="denoising"))
        == expected
    )


def test_a_time_in_a_column_of_times_is_what_it_should_be():
    printed = stated('text = "4 s"')
    assert found(table(row("base", f"latency_s = 4; {printed}"), row("fast", "speedup = 1.1"))) == []
