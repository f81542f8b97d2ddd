"""The options and their ini twins, as pytest registers them; ``settings`` reads their values."""

from __future__ import annotations

import pytest

GATE, COUNTING = "sd_latency", "sd_account"
"""Names of the gates: of their fixtures, and of their markers."""
CLAIM = "sd_claim"
"""Name of the fixture that judges a claim of a table; it is a gate without a marker of its own."""
MARKER = "sd_latency(table=None, *, speedup=None, tolerance=None, tolerance_s=None, image=None)"
ACCOUNT_MARKER = "sd_account(*, table=None, **bounds)"
WEIGHTS = ("pretrained", "random", "tiny")
CLIP = "openai/clip-vit-large-patch14"
INCONCLUSIVE = ("fail", "warn", "skip")
HISTORY = ("off", "warn", "fail")
UNIT_CHOICES = ("table", "auto", "call", "stage")
CONFIRMATION = "SDSPEED_CONFIRMATION"
"""The environment variable that makes a run the confirmation of another: a ``RerunRequest`` as
JSON."""
_VALUES = (
    "weights",
    "tolerance",
    "budget",
    "total_budget",
    "max_blocks",
    "inconclusive",
    "seed",
    "unit",
    "report",
    "record",
    "clip",
    "history",
    "against",
)
FLAGS = ("gpu", "dry", "confirm", "against_control")
COLD_START = "SDSPEED_COLD_START"
"""The environment variable that makes a run the start of one row: a ``StartRequest`` as JSON."""
NO_OTHER_VERSION = "\0"
"""Value of ``--sd-against`` in a process that compares with none, whatever the ini file says; no
command line can hold it."""


def add_options(parser: pytest.Parser) -> None:
    """Register every option and its ini twin ``sdspeed_NAME``."""
    group = parser.getgroup("sdspeed", "speed and pictures of diffusion pipelines (pytest-sdspeed)")
    group.addoption(
        "--sd-gpu",
        action="store_true",
        default=None,
        help="full-size pipelines on torch's GPU (default: the embedded miniature, on the CPU)",
    )
    group.addoption(
        "--sd-dry",
        action="store_true",
        default=None,
        help=(
            "count what every row asks of a GPU instead of timing it: on the CPU, full-size models"
            " without weights"
        ),
    )
    group.addoption(
        "--sd-weights",
        metavar="|".join(WEIGHTS),
        help=(
            "with --sd-gpu: weights from the hub or its cache (pretrained, the default), or seeded"
            " random ones without a download (random); without it, tiny rehearses every table on"
            " the CPU: the same pipelines at toy size, whose pictures are judged, and no speed"
        ),
    )
    group.addoption(
        "--sd-tables",
        action="append",
        metavar="PATH",
        help="one more table file, or folder of them (repeatable)",
    )
    group.addoption(
        "--sd-tolerance",
        metavar="FRACTION",
        help="fraction of a speed-up that may be missing, instead of the tables' own",
    )
    group.addoption(
        "--sd-budget",
        metavar="SECONDS",
        help="wall-clock budget of one campaign's timed part (default: 300)",
    )
    group.addoption(
        "--sd-total-budget",
        metavar="SECONDS",
        help=(
            "with --sd-gpu: wall-clock budget of the whole run: tables that fit the device are"
            " measured in an order that shares weights, the cheapest first, and what has no time is"
            " left out and listed (default: no limit, and no other order)"
        ),
    )
    group.addoption(
        "--sd-max-blocks",
        metavar="N",
        help="most blocks of a campaign (default: 20; by stages, and with --sd-against, 200)",
    )
    group.addoption(
        "--sd-inconclusive",
        metavar="|".join(INCONCLUSIVE),
        help="what an inconclusive verdict does (default: fail)",
    )
    group.addoption(
        "--sd-confirm",
        action="store_true",
        default=None,
        help=(
            "measure a row that is too slow again in a new process; it fails only if it fails"
            " there too"
        ),
    )
    group.addoption(
        "--sd-unit",
        metavar="|".join(UNIT_CHOICES),
        help=(
            "what a slot is: a whole call, or one stage of it (text encoding, one denoising step,"
            " decoding), from which the call is put together; auto: stages, if a call takes a"
            ' second or more (default: table, which is call unless a table says unit = "stage")'
        ),
    )
    group.addoption("--sd-seed", metavar="N", help="seed of block order and latents (default: 0)")
    group.addoption(
        "--sd-clip",
        metavar="MODEL",
        help=(
            "folder, or hub id in the local cache, of the CLIP model behind bounds on CLIP scores"
            f" (default: {CLIP})"
        ),
    )
    group.addoption(
        "--sd-history",
        metavar="|".join(HISTORY),
        help=(
            "what a row does that became lastingly slower than in the stored runs, and not by the"
            " machine (default: warn)"
        ),
    )
    group.addoption(
        "--sd-history-alias",
        action="append",
        metavar="OLD=NEW",
        help=(
            "what was called OLD in stored runs is NEW today: a test, a file or folder, a table, a"
            " setup (TABLE::SETUP) or a callable (repeatable)"
        ),
    )
    group.addoption(
        "--sd-against",
        metavar="SPEC",
        help=(
            "measure against another version, side by side: requirements (diffusers==0.41.0), a"
            " checkout, a Python interpreter, or a git reference; with --sd-dry, count what both"
            " ask for"
        ),
    )
    group.addoption(
        "--sd-against-control",
        action="store_true",
        default=None,
        help=(
            "with --sd-against: a third process, of the other version, shows how much processes of"
            " one version differ"
        ),
    )
    group.addoption("--sd-report", metavar="PATH", help="write the HTML report")
    group.addoption(
        "--sd-record",
        metavar="PATH",
        help="write what was measured as a table file for this device",
    )
    for name in _VALUES:
        parser.addini(
            f"sdspeed_{name}",
            f"default of --sd-{name.replace('_', '-')}",
            type="string",
            default=None,
        )
    for name in FLAGS:
        parser.addini(
            f"sdspeed_{name}",
            f"default of --sd-{name.replace('_', '-')}",
            type="bool",
            default=False,
        )
    parser.addini(
        "sdspeed_tables", "table files or folders, as --sd-tables", type="linelist", default=None
    )
    parser.addini(
        "sdspeed_history_alias",
        "names of before, as --sd-history-alias; a line each",
        type="linelist",
        default=None,
    )


def is_any_given(config: pytest.Config) -> bool:
    """Tell whether the command line or the ini file sets any option, be it to nothing.

    Raises:
        pytest.UsageError: an option that is on or off is neither in the ini file.
    """
    return any(
        config.getoption(f"sd_{name}") is not None or config.getini(f"sdspeed_{name}") is not None
        for name in (*_VALUES, "tables", "history_alias")
    ) or any(
        config.getoption(f"sd_{name}") is not None or _read_ini_flag(config, name) for name in FLAGS
    )


def flag(config: pytest.Config, name: str) -> bool:
    """Tell whether an option that is on or off is on.

    Args:
        config: the run's configuration.
        name: NAME of ``--sd-NAME``, with underscores.

    Raises:
        pytest.UsageError: it is neither in the ini file.
    """
    given = config.getoption(f"sd_{name}")
    return _read_ini_flag(config, name) if given is None else bool(given)


def _read_ini_flag(config: pytest.Config, name: str) -> bool:
    try:
        return bool(config.getini(f"sdspeed_{name}"))
    except (ValueError, TypeError, pytest.UsageError) as error:
        raise pytest.UsageError(f"sdspeed_{name}: {error}; valid: true, false") from None


STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file of a GitHub Actions step's summary."""
