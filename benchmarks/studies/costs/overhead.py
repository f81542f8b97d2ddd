"""Measure the plugin's start-up, milliseconds, and the measuring loop's overhead over its slots.

``python benchmarks/studies/costs/overhead.py [--runs N]`` prints medians; each round measures
start-up with and without the plugin.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_sdspeed.measure.campaign_data import CampaignData

TEST = "def test_nothing():\n    pass\n"
OTHERS = (
    "randomly",
    "xdist",
    "xdist.looponfail",
    "html",
    "html_fixtures",
    "metadata",
    "hypothesispytest",
    "anyio",
    "platformdirs",
)
"""Entry points of the tests' own plugins, which a user may not have."""
HINDRANCES = ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "PYTEST_PLUGINS")
"""Variables that would make every start compile the plugins anew, or load others."""


def collect_only(folder: Path, *without: str) -> float:
    """Measure one ``pytest --collect-only`` of an empty test.

    Plugins load as a user's do: by their entry points, from bytecode.

    Args:
        folder: folder with the test.
        without: names of entry points that are blocked.

    Returns:
        Processor seconds, since load on the machine affects wall time far more.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += [option for plugin in (*OTHERS, *without) for option in ("-p", f"no:{plugin}")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name not in HINDRANCES}
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start_up(runs: int) -> dict[str, list[float]]:
    """Measure what pytest-benchmark, and then this plugin, adds to ``--collect-only``.

    Returns:
        Plugin -> milliseconds, one figure per round.
    """
    stacks = (("benchmark", "sdspeed"), ("sdspeed",), ())
    added: dict[str, list[float]] = {"pytest-benchmark": [], "pytest-sdspeed": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text(TEST)
        for _ in range(2):
            collect_only(folder)
        for number in range(runs):
            taken = {
                stack: collect_only(folder, *stack)
                for stack in (stacks if number % 2 else stacks[::-1])
            }
            added["pytest-benchmark"].append(1e3 * (taken[stacks[1]] - taken[stacks[0]]))
            added["pytest-sdspeed"].append(1e3 * (taken[stacks[2]] - taken[stacks[1]]))
    return added


def measure_miniature(blocks: int, *rows: str) -> CampaignData:
    """Measure a campaign of the miniature table.

    Args:
        blocks: how many blocks it takes at most.
        rows: setups beside the baseline, of which the last one is judged; none for all.
    """
    from pytest_sdspeed.run.plan import Plan
    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.setups.registry import Registry

    settings = Options(
        gpu=False,
        weights="pretrained",
        tables=(),
        tolerance=None,
        budget_s=1e9,
        max_blocks=blocks,
        max_staged_blocks=blocks,
        inconclusive="warn",
        seed=0,
        report=None,
        record=None,
        clip="",
        confirm=False,
        history="off",
        against=None,
        against_control=False,
    )
    run = Run(settings, Registry())
    chosen = rows or tuple(run.session.catalog.list_setups("miniature", "benchmark"))
    for row in chosen:
        run.plan.select("miniature", row)
    last = rows[-1] if rows else "distilled"
    resolved = run.session.catalog.choose("miniature", last, "benchmark")
    run.measure(Target.of(run.session.setup(resolved)), None, Plan())
    (data,) = run.campaigns.shared.values()
    return data


def loop_overhead(blocks: int) -> float:
    """Measure by which fraction a campaign of the miniature table exceeds the sum of its slots."""
    return measure_miniature(blocks).overhead


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=20, help="pairs of collect-only runs (default: 20)"
    )
    options = parser.parse_args()
    for plugin, paired in start_up(options.runs).items():
        low, middle, high = statistics.quantiles(paired, n=4)
        print(
            f"start-up of {plugin}: {middle:+.1f} ms (quartiles {low:+.1f}, {high:+.1f};"
            f" {len(paired)} rounds)"
        )
    shares = [loop_overhead(blocks=4) for _ in range(3)]
    print(
        f"measuring loop over its slots: {statistics.median(shares):+.2%} (of"
        f" {', '.join(f'{share:.2%}' for share in shares)})"
    )
