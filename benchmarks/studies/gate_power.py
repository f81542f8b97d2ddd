"""Simulate how often the gate and its peers are wrong, how often they find what is there.

    python benchmarks/studies/gate_power.py                      # all figures, an hour
    python benchmarks/studies/gate_power.py --quick              # with fewer trials, minutes
    python benchmarks/studies/gate_power.py --only gate control  # some studies, a few minutes
    python benchmarks/studies/gate_power.py --traces t.json      # traces of record_*.py
    python benchmarks/studies/gate_power.py --docs docs/figures  # also renews the documentation

All rules are asked about the same noise. The study writes gate_power.csv, gate_power.md and
gate_power.svg into the output folder and prints the tables, with the blocks that each rule took.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from markdown_tables import add_docs_option, write_snippets
from power import peers, report, stages, studies
from power.campaigns import slots_per_block
from power.noise import Noise, replayed
from power.step_noise import ReplayedSteps, replayed_steps
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
TRACES = (ROOT / "benchmarks" / "traces", ROOT.parent / "shared" / "data")
SLOTS, STEPS = ".json", ".json.xz"
"""Endings of the traces of ``record_noise.py`` and of ``record_steps.py``."""
MOST_STAGED = 10_000
"""Campaigns by stages a line at most: each takes as long as several by calls."""
FULL, QUICK = (40_000, 1_000), (2_000, 60)


def find_traces(given: list[Path] | None) -> tuple[list[Noise], list[ReplayedSteps]]:
    """Read the traces to replay: those given, else those in the usual folders.

    Returns:
        Those of ``record_noise.py``, and those of ``record_steps.py``.

    Raises:
        SystemExit: a trace cannot be replayed.
    """
    usual = {
        path.name: path
        for folder in TRACES
        for pattern in (f"noise-*{SLOTS}", f"steps-*{STEPS}")
        for path in sorted(folder.glob(pattern))
    }
    paths = given if given is not None else list(usual.values())
    try:
        return (
            [replayed(path, slots_per_block(1)) for path in paths if path.suffix != STEPS[-3:]],
            [replayed_steps(path) for path in paths if path.suffix == STEPS[-3:]],
        )
    except (OSError, ValueError) as error:
        raise SystemExit(f"gate_power: {error}") from None


def main() -> None:
    """Run the studies, write and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    parser.add_argument(
        "--traces",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="replay these trace files instead of the usual ones",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("gate-power"),
        metavar="FOLDER",
        help="default: %(default)s",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="campaigns a line (40,000)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=studies.STUDIES,
        default=studies.STUDIES,
        metavar="STUDY",
        help=f"some of {', '.join(studies.STUDIES)} (default: all)",
    )
    add_docs_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    trials, peer_trials = QUICK if options.quick else FULL
    trials = options.trials or trials
    known, missing = peers.available()
    for line in missing:
        print(line, file=sys.stderr)
    slots, steps = find_traces(options.traces)
    tasks = [
        *studies.tasks(trials, peer_trials, slots, known),
        *stages.tasks(min(trials, MOST_STAGED), steps),
    ]
    seeds = np.random.SeedSequence(options.seed).spawn(len(tasks))
    # A study has the same seeds whichever others run.
    chosen = [
        (task, seed) for task, seed in zip(tasks, seeds, strict=True) if task.study in options.only
    ]
    lines = [
        line
        for task, seed in tqdm(chosen, unit="task")
        for line in task.run(np.random.default_rng(seed))
    ]
    options.output.mkdir(parents=True, exist_ok=True)
    report.write_csv(lines, options.output / "gate_power.csv")
    report.plot(lines, options.output / "gate_power.svg")
    text = report.markdown(lines)
    (options.output / "gate_power.md").write_text(text, encoding="utf-8")
    print(text)
    print(
        f"{trials} campaigns a line ({peer_trials} for peers), seed {options.seed}; a simulated"
        " share p has a standard error of sqrt(p (1 - p) / n), one of a trace more."
    )
    print(f"wrote {options.output}/gate_power.csv, .md and .svg")
    if options.docs:
        write_snippets(options.docs, report.snippets(lines))


if __name__ == "__main__":
    main()
