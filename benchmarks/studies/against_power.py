"""Count how often ``--sd-against`` is wrong, and how often it finds a slowdown.

    python benchmarks/studies/against_power.py                    # 40 runs of each kind
    python benchmarks/studies/against_power.py --runs 5 --slower 0.1
    python benchmarks/studies/against_power.py --json out.json

A version is compared with itself, and a version that is 5% slower with it, in whole runs of pytest.
Every run starts its two processes anew, as a user's does. The callable hashes a fixed number of
bytes; the slower version hashes more of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

CHUNKS = 400
"""Number of chunks of 64 KiB; they take some 15 ms."""
MODULE = """
import hashlib

DATA = bytes(65536)

def work():
    for _ in range({chunks}):
        hashlib.sha256(DATA).digest()
"""
TEST = """
from sdspeed_work import work

def test_work(sd_latency):
    sd_latency(work)
"""


def checkout(folder: Path, slower: float) -> Path:
    """Write a version of the module.

    Args:
        folder: folder to make.
        slower: fraction of additional work.
    """
    folder.mkdir()
    (folder / "sdspeed_work.py").write_text(
        MODULE.format(chunks=round(CHUNKS * (1 + slower))), encoding="utf-8"
    )
    return folder


def run(folder: Path, against: Path, options: list[str]) -> dict[str, Any]:
    """Run pytest once, and return the record that it stored.

    Args:
        folder: folder with the test and the new version.
        against: folder with the other version.
        options: further options of pytest.
    """
    stored = folder / "run.json"
    stored.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--sd-against={against}",
        f"--benchmark-json={stored}",
    ]
    done = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    )
    try:
        found: dict[str, Any] = json.loads(stored.read_text(encoding="utf-8"))["benchmarks"][0][
            "extra_info"
        ]["sdspeed"]
    except (OSError, ValueError, LookupError):
        raise SystemExit(
            f"against_power: a run left no result:\n{done.stdout}{done.stderr}"
        ) from None
    return found


def study(name: str, found: list[dict[str, Any]]) -> str:
    """Write a line of the table."""
    verdicts = Counter(record["verdict"] for record in found)
    change = statistics.median(1 / record["speedup"] - 1 for record in found)
    blocks = statistics.median(record["blocks"] for record in found)
    counts = [str(verdicts[verdict]) for verdict in ("pass", "fail", "inconclusive", "invalid")]
    return f"| {name} | {len(found)} | {' | '.join(counts)} | {change:+.1%} | {blocks:g} |"


def main() -> None:
    """Run both studies side by side, and print their table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="of each kind (40)")
    parser.add_argument(
        "--slower", type=float, default=0.05, help="fraction of planted work (0.05)"
    )
    parser.add_argument("--json", type=Path, help="write every run's record here")
    given, options = parser.parse_known_args()
    kinds = {"itself": 0.0, f"{given.slower:.0%} slower": given.slower}
    records: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        old = checkout(root / "old", 0.0)
        folders = {
            kind: checkout(root / f"new-{index}", slower)
            for index, (kind, slower) in enumerate(kinds.items())
        }
        for folder in folders.values():
            (folder / "test_work.py").write_text(TEST, encoding="utf-8")
            (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        for number in range(given.runs):
            for kind, folder in folders.items():
                records[kind].append(run(folder, old, options))
                last = records[kind][-1]
                print(
                    f"{number + 1}: {kind}: {last['verdict']} x{last['speedup']:.3f}",
                    file=sys.stderr,
                    flush=True,
                )
    print(
        "| new against old | runs | pass | fail | inconclusive | invalid | median change | median"
        " blocks |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, found in records.items():
        print(study(kind, found))
    if given.json:
        given.json.write_text(json.dumps(records, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
