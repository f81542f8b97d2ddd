"""Speed-ups and percentages against latencies, with figures that were published."""

from __future__ import annotations

import pytest
from published import found, messages, row, rules, table


def ladder(figures, *more, base="latency_s = 4.99", **further):
    """A baseline and a row with these figures."""
    return table(row("base", base), row("fast", figures, "xformers"), *more, **further)


def stated(figures, where="column"):
    return f'stated = [{{where = "{where}", {figures}}}]'


def test_a_misprint_is_found_by_the_percent_beside_it():
    (message,) = messages(ladder(f"latency_s = 2.1; {stated('saved_percent = 37.88')}"))
    assert "37.88%" in message
    assert "57.916%" in message
    assert "3.1 s" in message, "what the percent would leave is said"
    assert rules(ladder(f"latency_s = 2.1; {stated('saved_percent = 37.88')}")) == ["saved-percent"]


@pytest.mark.parametrize(
    "figures",
    ["latency_s = 3.1; saved_percent = 37.88", "latency_s = 3.24; saved_percent = 35.07", "latency_s = 2.1; saved_percent = 57.9"],
)
def test_a_percent_that_the_latencies_round_to_is_none(figures):
    latency, percent = figures.split("; ")
    assert found(ladder(f"{latency}; {stated(percent)}")) == []


def test_a_percent_that_is_the_speed_up_above_one_is_said_to_be():
    (message,) = messages(ladder(f"latency_s = 3.1; {stated('saved_percent = 61')}"))
    assert "above 1" in message


def test_a_percent_of_time_that_is_sold_as_a_speed_up():
    assert found(ladder(f"latency_s = 3.1; {stated('speedup = 1.38')}")) == [("saved-percent", "page/fast", "rows[1].stated[0].speedup")]
    assert rules(ladder("latency_s = 3.1; " + stated("speedup = 1.61"))) == []


@pytest.mark.parametrize("percent", ["100", "120"])
def test_a_percent_that_nothing_can_save_is_found(percent):
    assert rules(ladder(f"latency_s = 3.1; {stated(f'saved_percent = {percent}, speedup = 1.61')}")) == ["saved-percent"]


def test_a_percent_that_is_sold_by_a_row_without_latencies_is_one_finding():
    sold = ladder(f"speedup = 1.38; {stated('saved_percent = 38')}", base="")
    assert found(sold) == [("saved-percent", "page/fast", "rows[1].speedup")]
    assert found(ladder(f"speedup = 1.61; {stated('saved_percent = 38')}", base="")) == []


def test_a_speed_up_that_the_latencies_deny():
    nunchaku = table(
        row("base", "latency_s = 3.00"),
        row("nvfp4", f"latency_s = 2.27; {stated('speedup = 1.35', 'blog')}", "quantize"),
        row("compiled", f"latency_s = 1.68; {stated('speedup = 1.8', 'blog')}", "quantize compile"),
    )
    assert found(nunchaku) == [("speedup", "page/nvfp4", "rows[1].stated[0].speedup")]
    (message,) = messages(nunchaku)
    assert "x1.35 (blog)" in message
    assert "3.00 s / 2.27 s is x1.322" in message, "the zeros that the file has are kept"
    assert "2.2% apart" in message


def test_zeros_at_the_end_of_a_figure_make_it_exact():
    coarse = table(row("base", "latency_s = 3"), row("fast", f"latency_s = 2.27; {stated('speedup = 1.35')}"))
    exact = table(row("base", "latency_s = 3.00"), row("fast", f"latency_s = 2.27; {stated('speedup = 1.35')}"))
    assert (found(coarse), len(found(exact))) == ([], 1)
    assert found(table(row("base", "latency_s = 12"), row("fast", "latency_s = 6; " + stated("speedup = 2.1")))) == []


def test_the_row_that_a_speed_up_was_divided_by_is_named():
    cached = table(
        row("base", "latency_s = 42.74"),
        row("other", "latency_s = 44.6", "sdpa"),
        row("cached", f"latency_s = 9.71; {stated('speedup = 4.59')}", "first_block_cache"),
    )
    assert "it is the ratio to 'other'" in messages(cached)[0]


def test_a_speed_up_is_held_against_the_latency_that_is_stated_beside_it():
    pages = table(
        row("base", "latency_s = 26.36"),
        row("two_gpus", f"latency_s = 4.92; gpus = 2; {stated('speedup = 3.21, latency_s = 8.20', 'prose')}"),
    )
    assert found(pages) == [("two-figures", "page/two_gpus", "rows[1].stated[0].latency_s")]


def test_a_ratio_of_floating_point_operations_is_no_speed_up():
    base = row("base", "latency_s = 42.74; tflops = 3726.87")
    sold = row("cached", f"latency_s = 23.21; tflops = 1730.70; {stated('speedup = 2.15')}")
    fair = row("cached", f"latency_s = 23.21; tflops = 1730.70; {stated('speedup = 1.84')}")
    assert (rules(table(base, sold)), rules(table(base, fair))) == (["flops-ratio"], [])


def test_a_speed_up_alone_that_is_the_ratio_of_operations_is_found_and_another_is_not():
    def alone(speedup):
        return table(row("base", "tflops = 3726.87"), row("cached", f"tflops = 2064.81; speedup = {speedup}"))

    assert found(alone("1.80")) == [("flops-ratio", "page/cached", "rows[1].speedup")]
    assert found(alone("1.55")) == []


def test_an_efficiency_is_no_speed_up():
    def on_gpus(speedup):
        return table(row("base", "latency_s = 100"), row("four", f"latency_s = 25.5; gpus = 4; {stated(f'speedup = {speedup}')}"))

    assert rules(on_gpus("0.98")) == ["efficiency"]
    assert rules(on_gpus("3.92")) == []
    assert rules(on_gpus("2.5")) == ["speedup"]


def test_iterations_per_second_give_the_speed_up_of_a_loop():
    def loop(speedup):
        return table(
            row("base", "iterations_per_s = 21.66"),
            row("compiled", f"iterations_per_s = 44.03; {stated(f'speedup = {speedup}')}"),
            unit="denoising",
        )

    assert (rules(loop("2.03")), rules(loop("2.30"))) == ([], ["speedup"])


def test_a_swapped_digit_is_found_by_the_ratio_beside_it():
    assert rules(ladder(f"latency_s = 3.24; {stated('speedup = 1.54')}")) == []
    assert rules(ladder(f"latency_s = 3.42; {stated('speedup = 1.54')}")) == ["speedup"]


def test_what_is_stated_of_a_baseline_is_no_speed_up_of_its_own():
    assert found(table(row("base", f"latency_s = 3.0; {stated('speedup = 1')}"), row("fast", "latency_s = 2.0"))) == []
