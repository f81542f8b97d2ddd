"""``python -m pytest_sdspeed dry``: what a generation asks of a GPU, counted without one."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import (
    ModelUnavailableError,
    SdSpeedError,
    UnknownNameError,
    UsageMistakeError,
    explain,
)
from pytest_sdspeed.model.devices import DEVICES, find_specs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_sdspeed.judge.documented import DocumentedJudgement
    from pytest_sdspeed.model import Row, Table
    from pytest_sdspeed.model.accounts import Account
    from pytest_sdspeed.model.limits import Limit

_INDEX = "model_index.json"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What is printed of one row or folder.

    Attributes:
        name: ``TABLE/ROW``, or the folder and the class of its pipeline.
        account: what a call asks for.
        limits: least times on devices.
        judgement: what became of the documented figures, or None.
        latency_s: documented latency of one call on the device of the first limit, or None.
    """

    name: str
    account: Account
    limits: tuple[Limit, ...] = ()
    judgement: DocumentedJudgement | None = None
    latency_s: float | None = None


@dataclass(slots=True)
class TableCounter:
    """Counts rows of one table; a baseline that several need is counted once.

    Attributes:
        table: the table.
        device: the device whose limits are computed, None for the table's.
        known: what was counted, by setup.
    """

    table: Table
    device: str | None = None
    known: dict[str, Account] = field(default_factory=dict)

    def count(self, row: Row) -> Counted:
        """Count a row, and hold what is documented of it against that.

        Raises:
            SdSpeedError: it cannot be counted.
        """
        from pytest_sdspeed.judge.documented import judge_documented

        account, precision = self.count_account(row), self.find_precision(row)
        base = self.table.row(row.baseline) if row.memory is not None else None
        (own,) = _compute_limits(account, self.table.device, precision, every=False)
        judgement = judge_documented(row, account, own, self.count_account(base) if base else None)
        documented = self.device is None and judgement.share is not None
        return Counted(
            name=f"{self.table.name}/{row.setup}",
            account=account,
            limits=_compute_limits(
                account, self.device or self.table.device, precision, every=self.device is None
            ),
            judgement=judgement,
            latency_s=judgement.latency_s if documented else None,
        )

    def count_account(self, row: Row) -> Account:
        """Return what one call of a row asks of a GPU.

        Raises:
            SdSpeedError: it cannot be counted.
        """
        if row.setup not in self.known:
            from pytest_sdspeed.run.accounting import count_setup
            from pytest_sdspeed.setups.catalog import ResolvedSetup

            resolved = ResolvedSetup(
                table=self.table,
                setup=row.setup,
                optimizations=row.optimizations,
                recipe=row.recipe,
                row=row,
                baseline=row.baseline,
            )
            try:
                self.known[row.setup] = count_setup(resolved, self._stack(row))
            except Exception as error:
                raise explain(row.setup, error) from error
        return self.known[row.setup]

    def _stack(self, row: Row) -> Any:
        from pytest_sdspeed.setups.registry import Registry

        where = f"{self.table.path}: row {row.setup!r}"
        return Registry().stack(row.optimizations, where, row.recipe)

    def find_precision(self, row: Row) -> str:
        """Return the type in which a row's float32 matrix products run."""
        from pytest_sdspeed.pipelines.optimization import find_precision

        return find_precision(self._stack(row), row.recipe.dtype)


def add_dry(commands: Any) -> argparse.ArgumentParser:
    """Add the command ``dry`` to the parsers of commands, and return its own.

    Args:
        commands: what ``argparse`` adds the parsers of commands to.
    """
    dry: argparse.ArgumentParser = commands.add_parser(
        "dry",
        help=(
            "count what a generation asks of a GPU, on a machine without one, and the least time it"
            " takes on real ones"
        ),
    )
    dry.add_argument(
        "target",
        metavar="TARGET",
        help=(
            "TABLE/ROW, TABLE (all its rows), or the folder of a saved pipeline of diffusers, whose"
            " weights are not read and may be missing"
        ),
    )
    dry.add_argument(
        "--sd-tables",
        action="append",
        default=[],
        dest="tables",
        metavar="PATH",
        help="a table file, or a folder of some, beside the built-in tables (repeatable)",
    )
    dry.add_argument(
        "--device",
        metavar="NAME",
        help=(
            "the device whose limits are computed, as torch names it; by default the table's, or"
            " all that are known"
        ),
    )
    dry.add_argument("--json", action="store_true", help="print a list with one object each")
    folder = dry.add_argument_group("for a folder")
    folder.add_argument(
        "--dtype", choices=_DTYPES, default="float32", help="type of its weights (default: float32)"
    )
    folder.add_argument(
        "--steps", type=int, metavar="N", help="denoising steps (default: the pipeline's)"
    )
    folder.add_argument("--height", type=int, metavar="PIXELS", help="height of the pictures")
    folder.add_argument("--width", type=int, metavar="PIXELS", help="width of the pictures")
    folder.add_argument("--prompt", metavar="TEXT", help="the text to draw")
    folder.add_argument("--seed", type=int, default=0, metavar="N", help="seed (default: 0)")
    folder.add_argument(
        "--call",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=(
            "a further argument of the pipeline's call: a number, true or false, a list, the path"
            " of a picture, or else a text (repeatable)"
        ),
    )
    return dry


def count_target(options: argparse.Namespace) -> int:
    """Count a target and print it.

    Returns:
        0; 1 if a row could not be counted or is contradicted by its account.

    Raises:
        UnknownNameError: there is no such table, row or device.
        UsageMistakeError: an argument of the call is unknown or missing.
        SdSpeedError: what else stands in the way.
    """
    if options.device is not None and not find_specs(options.device):
        known = [spec.name for spec in DEVICES]
        raise UnknownNameError("device", options.device, known, "--device")
    folder = Path(options.target)
    if (folder / _INDEX).is_file():
        found: Iterator[Counted | str] = iter((_count_folder(folder, options),))
    else:
        found = _count_rows(options)
    listed: list[dict[str, Any]] = []
    status = 0
    for one in found:
        if isinstance(one, str):
            print(one, file=sys.stderr)  # noqa: T201 - a command's message
            status = 1
            continue
        if one.judgement and one.judgement.errors:
            status = 1
        if options.json:
            listed.append(_to_json(one))
        else:
            print("\n".join(_describe(one)), flush=True)  # noqa: T201 - a command's answer
    if options.json:
        print(json.dumps(listed, indent=2, allow_nan=False))  # noqa: T201 - a command's answer
    return status


def _count_rows(options: argparse.Namespace) -> Iterator[Counted | str]:
    """Count rows of a table; one that cannot be counted is a message, unless it is the only one."""
    table, wanted = _find_rows(options)
    rows = TableCounter(table, options.device)
    for row in wanted:
        try:
            yield rows.count(row)
        except SdSpeedError as error:
            if len(wanted) == 1:
                raise
            yield f"{table.name}/{row.setup}: {error}"


def _find_rows(options: argparse.Namespace) -> tuple[Table, tuple[Row, ...]]:
    from pytest_sdspeed.tables import open_tables

    target: str = options.target
    tables = open_tables(options.tables, None)
    name, _, row_name = target.partition("/")
    found = tables.find(name)
    if not found:
        if Path(target).is_dir():
            raise ModelUnavailableError(
                f"{target}: no saved pipeline: {_INDEX} is missing, and no table has that name"
            )
        raise UnknownNameError("table, or folder of a saved pipeline,", target, tables.names, "dry")
    table = found[-1]
    if not row_name:
        return table, table.rows
    row = table.row(row_name)
    if row is None:
        known = [one.setup for one in table.rows]
        raise UnknownNameError(f"row of table {name!r}", row_name, known, "dry")
    return table, (row,)


def _count_folder(folder: Path, options: argparse.Namespace) -> Counted:
    from pytest_sdspeed.run.folder_accounting import count_folder

    given: dict[str, Any] = {
        "num_inference_steps": options.steps,
        "height": options.height,
        "width": options.width,
        "prompt": options.prompt,
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    arguments |= dict(map(_parse_argument, options.call))
    found = count_folder(folder, arguments, dtype=options.dtype, seed=options.seed)
    device = options.device or ""
    return Counted(
        name=f"{folder}: {found.pipeline}, {options.dtype}, called with"
        f" {', '.join(found.arguments)}",
        account=found.account,
        limits=_compute_limits(found.account, device, options.dtype, every=not device),
    )


def _parse_argument(text: str) -> tuple[str, Any]:
    """Parse ``KEY=VALUE`` of ``--call``: a value of TOML, the path of a picture, or a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageMistakeError(f"--call {text!r}: valid: KEY=VALUE, such as guidance_scale=3.5")
    if value.lower().endswith(_PICTURES) and Path(value).is_file():
        from PIL import Image

        return name, Image.open(value).convert("RGB")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _compute_limits(
    account: Account, device: str, precision: str, *, every: bool
) -> tuple[Limit, ...]:
    """Compute the limit of a device, or those of all if it is not known and ``every`` is set."""
    from pytest_sdspeed.dry.limits import compute_limit

    if every and not find_specs(device):
        return tuple(compute_limit(account, spec.name, precision) for spec in DEVICES)
    return (compute_limit(account, device, precision),)


def _describe(counted: Counted) -> Iterator[str]:
    from pytest_sdspeed.report import account_text

    account, judgement = counted.account, counted.judgement
    weights = account_text.format_weights(account)
    yield f"{counted.name}   {account.steps} denoising steps, {weights}"
    yield from account_text.format_account(account)
    places = account_text.format_places(account)
    if places:
        yield from ("", "host syncs, copies and casts", *places)
    latency = counted.latency_s
    documented = {} if latency is None else {counted.limits[0].device: latency}
    limits = list(account_text.format_limits(counted.limits, documented))
    if limits:
        yield from ("", "least time of a call", *limits)
    yield from (f"note: {note}" for note in account.notes)
    if judgement:
        yield from (f"note: {note}" for note in judgement.notes)
        yield from (f"error: {error}" for error in judgement.errors)
    yield ""


def _to_json(counted: Counted) -> dict[str, Any]:
    judgement = counted.judgement
    return {
        "name": counted.name,
        "account": asdict(counted.account),
        "limits": [asdict(limit) for limit in counted.limits],
        "documented": asdict(judgement) if judgement else None,
    }
