"""Graph breaks and recompilations are counted without compiling, each with its line and reason, and nothing of it is left behind."""

from __future__ import annotations

import inspect
import logging
import os
import warnings

import compiled as examples
import pytest
import torch
import torch._dynamo
from compiled import Block, Branches, BreaksInLoop, CountsCalls, Prints, ReadsItem, TakesStep, prepare
from torch._dynamo.utils import counters

from pytest_sdspeed.dry.compilation import record_compilation
from pytest_sdspeed.model.accounts import Account, Compilation, Place, add_compilation
from pytest_sdspeed.run.compiling import add_callable_compilation, count_callable_compilation

FILE = "tests/dry/compiled.py"


def find_line(kind, text):
    """Return the number of a module's line that contains a text."""
    lines, first = inspect.getsourcelines(kind)
    return next(number for number, line in enumerate(lines, first) if text in line)


def assert_clean(found):
    assert found == Compilation(graphs=1, recompiled={"steps": (), "second_call": ()})


# What is found


def test_what_is_compiled_once_has_one_graph_no_break_and_no_recompilation_twice():
    first, second = (count_callable_compilation(prepare(Block)) for _ in range(2))
    assert_clean(first)
    assert first == second


@pytest.mark.parametrize(
    ("kind", "line", "reason"),
    [
        (ReadsItem, ".item()", "Tensor.item"),
        (Prints, "print(", "print"),
        (Branches, "if sample.sum()", "Data-dependent"),
        (BreaksInLoop, ".item()", "Tensor.item"),
    ],
)
def test_a_graph_break_is_told_with_its_line_and_reason(kind, line, reason):
    found = count_callable_compilation(prepare(kind))
    (place,) = found.breaks
    assert (place.kind, place.file, place.line) == ("graph_break", FILE, find_line(kind, line))
    assert line in place.code
    assert reason in place.reason
    assert place.count == 1
    assert place.reason in str(place)


def test_a_recompilation_at_the_second_call_is_told_with_the_guard_that_failed():
    found = count_callable_compilation(prepare(CountsCalls, steps=1))
    assert found.recompiled["steps"] == ()
    (place,) = found.recompiled["second_call"]
    assert (place.kind, place.file, place.count) == ("recompilation", FILE, 1)
    first, last = (find_line(CountsCalls, text) for text in ("def forward", "return"))
    assert first <= place.line <= last
    assert "calls == 0" in place.reason
    assert found.breaks == ()


def test_a_recompilation_per_step_is_counted_per_step():
    found = count_callable_compilation(prepare(TakesStep, steps=4))
    assert found.count("steps") >= 2  # torch may make the number dynamic after the first
    assert found.count("second_call") == 0
    assert "step" in found.recompiled["steps"][0].reason
    assert found.recompiled["steps"][0].file == FILE


def test_a_frame_that_torch_gives_up_is_noted():
    found = count_callable_compilation(prepare(CountsCalls, steps=12, wrap=lambda module: torch.compile(module, dynamic=False)))
    assert 2 <= found.count("steps") < 12
    assert "gave up compiling forward" in found.notes[0]
    assert f"{FILE}:{find_line(CountsCalls, 'def forward')}" in found.notes[0]


def test_other_shapes_are_told_apart_from_an_equal_call():
    with torch.no_grad(), record_compilation() as recorder:
        compiled = torch.compile(Block(), dynamic=False)
        compiled(torch.ones(2, 4))
        recorder.cause = "second_call"
        compiled(torch.ones(2, 4))
        recorder.cause = "resolution"
        compiled(torch.ones(3, 4))
        found = recorder.sum_up(("steps", "second_call", "resolution"))
    assert [found.count(cause) for cause in found.recompiled] == [0, 0, 1]
    (place,) = found.recompiled["resolution"]
    assert place.line == find_line(Block, "def forward")
    assert "expected 2, actual 3" in place.reason
    assert add_compilation(Account(), found).recompilations == 0


def test_a_call_that_makes_torch_forget_compiles_again_each_time():
    """No guard fails then, and torch itself calls it no recompilation."""
    compiled = torch.compile(Block())

    def draw(_device):
        def call():
            for _ in range(2):
                compiled(torch.ones(2, 4))
                torch.compiler.reset()

        return call

    found = count_callable_compilation(draw)
    assert (found.count("steps"), found.count("second_call")) == (1, 2)
    assert "no longer has" in found.recompiled["steps"][0].reason


def test_code_that_is_made_anew_at_each_step_is_compiled_at_each_step():
    def draw(_device):
        def call():
            for _ in range(3):
                names = {}
                exec("def add(x):\n    return x + 1", names)
                torch.compile(names["add"])(torch.ones(3))

        return call

    found = count_callable_compilation(draw)
    assert (found.count("steps"), found.count("second_call")) == (2, 3)


def test_a_frame_that_only_the_second_call_compiles_is_counted_there():
    calls = []

    def early(sample):
        return sample + 1

    def late(sample):
        return sample - 1

    def call():
        calls.append(1)
        return torch.compile(early if len(calls) == 1 else late)(torch.ones(2))

    found = count_callable_compilation(lambda _device: call)
    assert (found.count("steps"), found.count("second_call")) == (0, 1)
    assert "not compiled before" in found.recompiled["second_call"][0].reason


# Ways to ask for it


def refuse(_graph, _inputs):
    raise AssertionError("the backend was asked")


@torch.compile(backend=refuse, fullgraph=True)
def decorated(sample):
    return sample.relu() + 1


def compile_in_place(module):
    module.compile(mode="reduce-overhead")


@pytest.mark.parametrize(
    "wrap",
    [
        torch.compile,
        compile_in_place,
        lambda module: torch.compile(module, backend="cudagraphs"),
        lambda module: torch.compile(module, backend="no such backend"),
        lambda module: torch.compile(module, mode="max-autotune", fullgraph=True, dynamic=True),
        lambda module: torch.compile(module, options={"triton.cudagraphs": True}),
        lambda module: torch.compile(dynamic=False, mode="default")(module),  # noqa: PLW0108 - torch.compile is another one by then
    ],
)
def test_whatever_the_backend_mode_or_options_nothing_is_compiled_and_all_is_counted(wrap):
    assert_clean(count_callable_compilation(prepare(Block, wrap=wrap)))


def test_what_was_compiled_before_the_block_is_counted_too():
    assert_clean(count_callable_compilation(lambda device: lambda: decorated(torch.ones(3, device=device))))


def test_blocks_compiled_one_by_one_share_what_is_compiled():
    def wrap(module):
        for block in module:
            block.compile()

    def stack():
        return torch.nn.Sequential(*(Block() for _ in range(3)))

    assert_clean(count_callable_compilation(prepare(stack, wrap=wrap)))


def test_with_fullgraph_every_break_is_counted_and_the_error_of_torch_is_noted():
    found = count_callable_compilation(prepare(ReadsItem, wrap=lambda module: torch.compile(module, fullgraph=True)))
    assert found.breaks[0].line == find_line(ReadsItem, ".item()")
    assert any("fullgraph=True" in note for note in found.notes)


def test_what_compiles_nothing_has_no_counts():
    assert count_callable_compilation(prepare(Block, wrap=lambda module: module)) is None
    assert count_callable_compilation(prepare(Block, wrap=lambda module: torch.compile(module, disable=True))) is None
    assert count_callable_compilation(lambda _device: None) is None


# Accounts


def test_an_account_has_the_counts_the_lines_and_the_notes():
    account = add_callable_compilation(Account(operations=3, notes=("before",)), prepare(ReadsItem, steps=1))
    assert (account.graph_breaks, account.recompilations, account.operations) == (1, 0, 3)
    assert [place.kind for place in account.places] == ["graph_break"]
    assert account.compilation.graphs == 2
    assert account.notes == ("before",)


def test_a_line_that_recompiles_in_steps_and_second_call_is_one_place():
    place = Place("recompilation", "a.py", 1, "x", 2, "n == 0")
    again = Place("recompilation", "a.py", 1, "x", 3, "n == 2")
    found = Compilation(graphs=1, recompiled={"steps": (place,), "second_call": (again,), "batch": (place,)})
    account = add_compilation(Account(), found)
    assert account.recompilations == 5
    assert account.places == (Place("recompilation", "a.py", 1, "x", 5),)
    assert account.places[0].reason == "n == 0"


def test_what_fails_on_the_cpu_is_unknown_and_noted_rather_than_zero():
    def draw(device):
        raise NotImplementedError(f"no kernel for {device}")

    account = add_callable_compilation(Account(operations=1), draw)
    assert (account.graph_breaks, account.recompilations, account.compilation) == (None, None, None)
    assert "NotImplementedError: no kernel for cpu" in account.notes[0]


# Nothing is left behind


def list_state():
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith("torch._dynamo")]
    return {
        "compile": torch.compile,
        "trace": torch._logging.trace_structured,
        "config": torch._dynamo.config.get_config_copy(),
        "counters": {name: dict(counted) for name, counted in counters.items()},
        "stance": torch._dynamo.eval_frame._stance.stance,
        "backend": torch._dynamo.eval_frame._stance.backend,
        "hooks": dict(torch._dynamo.convert_frame._bytecode_hooks),
        # Those of modules that were imported meanwhile are as they are made.
        "loggers": [
            (logger.name, logger.level, logger.propagate, list(logger.handlers))
            for logger in loggers
            if logger.level or logger.handlers or not logger.propagate
        ],
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
    }


@pytest.fixture
def usual():
    """Return a function that compiles with a backend of its own and says how often that was asked."""
    torch._dynamo.reset()
    asked = []

    def backend(graph, _inputs):
        asked.append(graph)
        return graph.forward

    def run():
        torch.compile(Block(), backend=backend)(torch.ones(2, 4))
        return len(asked)

    yield run
    torch._dynamo.reset()


def test_afterwards_all_is_as_before_and_the_usual_backend_compiles(usual):
    usual()
    counters["graph_break"]["of the user"] += 2
    before = list_state()
    count_callable_compilation(prepare(ReadsItem))
    count_callable_compilation(prepare(CountsCalls, steps=12))
    assert list_state() == before
    assert usual() == 2
    counters["graph_break"].clear()


def test_after_an_exception_all_is_as_before(usual):
    before = list_state()

    def draw(_device):
        torch.compile(Block())(torch.ones(2, 4))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        count_callable_compilation(draw)
    assert list_state() == before
    assert usual() == 1


def test_settings_of_torch_that_the_callable_changes_are_put_back():
    config = torch._dynamo.config
    before = config.get_config_copy()
    name = "recompile_limit" if "recompile_limit" in before else "cache_size_limit"

    def draw(_device):
        setattr(config, name, 2)
        return lambda: decorated(torch.ones(3))

    with config.patch({name: before[name]}):
        count_callable_compilation(draw)
        assert config.get_config_copy() == before


def test_what_this_process_compiled_before_changes_no_count(usual):
    """Other shapes before would make torch compile for any shape at once."""
    for rows in (2, 3, 5):
        torch.compile(examples.Block(), backend="eager")(torch.ones(rows, 4))
    usual()
    assert_clean(count_callable_compilation(prepare(Block)))


def test_nothing_is_printed(capfd):
    count_callable_compilation(prepare(CountsCalls, steps=12, wrap=lambda module: torch.compile(module, dynamic=False)))
    count_callable_compilation(prepare(ReadsItem))
    assert capfd.readouterr() == ("", "")
