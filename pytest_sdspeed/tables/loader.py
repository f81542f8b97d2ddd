"""Table files: they are found and read, and two tables of the same name are rejected."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import TableSet
from pytest_sdspeed.tables.parser import parse_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.model import Table

_BUILTIN = Path(__file__).parent
_SUFFIX = ".toml"


def list_builtin_names() -> tuple[str, ...]:
    """Return the sorted names of the built-in tables, from the file names: nothing is parsed."""
    return tuple(sorted(path.stem for path in _BUILTIN.glob(f"*{_SUFFIX}")))


def list_builtin_files() -> tuple[Path, ...]:
    """Return the files of the built-in tables, sorted by name."""
    return tuple(_BUILTIN / f"{name}{_SUFFIX}" for name in list_builtin_names())


def is_builtin(table: Table) -> bool:
    """Tell whether a table is one that the package brings."""
    return Path(table.path).parent == _BUILTIN


def load_table(path: Path | str, metrics: Collection[str] | None = ()) -> Table:
    """Read one table file.

    Args:
        path: a TOML file of schema 1 or 2.
        metrics: names of the registered metrics of pictures, on which gates may have bounds; None
            if any name may be one.

    Returns:
        The table; latencies are seconds, tolerances fractions.

    Raises:
        TableError: the file cannot be read, is not UTF-8 or not TOML, violates the schema, or
            contradicts itself.
    """
    return parse_table(_read(path), str(path), metrics)


def load_tables(
    extra: Iterable[Path | str] = (), metrics: Collection[str] | None = ()
) -> tuple[Table, ...]:
    """Read the built-in tables, and further ones.

    Args:
        extra: files, or folders whose ``*.toml`` files are read, without those of folders inside. A
            file that is named twice is read once.
        metrics: names of the registered metrics of pictures; None if any name may be one.

    Returns:
        The built-in tables sorted by name, then the others in the order given; those of a folder
        are sorted by file name.

    Raises:
        TableError: a path does not exist, a folder has no ``*.toml``, a table is malformed, two
            tables have the same name and device, or two tables that are not recorded share a name.
    """
    return tuple(open_tables(extra, metrics))


def open_tables(extra: Iterable[Path | str] = (), metrics: Collection[str] | None = ()) -> TableSet:
    """Read further tables, and find the built-in ones, which are read when they are asked for.

    A built-in table has the name of its file.

    Args:
        extra: see ``load_tables``.
        metrics: names of the registered metrics of pictures; None if any name may be one.

    Returns:
        The tables in the order of ``load_tables``.

    Raises:
        TableError: see ``load_tables``; what is wrong with a built-in table is said when it is
            read, and it is read if another one has its name.
    """
    known = None if metrics is None else tuple(metrics)
    tables = TableSet(
        {file.stem: partial(load_table, file, known) for file in list_builtin_files()}
    )
    files = [file for path in extra for file in _list_files(Path(path))]
    for file in _drop_repeats(files):
        tables = _add_checked(tables, load_table(file, known))
    return tables


def add_table(
    tables: TableSet, path: Path, metrics: Collection[str] | None = ()
) -> tuple[TableSet, Table]:
    """Read one more table, unless it is among those that were read, or built in.

    Args:
        tables: those that were read, and the built-in ones.
        path: its file.
        metrics: names of the registered metrics of pictures; None if any name may be one.

    Returns:
        All tables, and the one of the file.

    Raises:
        TableError: it is malformed, or one of the others has its name.
    """
    real = path.resolve()
    builtin = _resolve_builtin(_BUILTIN).get(real)
    for known in tables.added if builtin is None else tables.find(builtin):
        if Path(known.path).resolve() == real:
            return tables, known
    table = load_table(path, metrics)
    return _add_checked(tables, table), table


def _read(path: Path | str) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise TableError(path, "", f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TableError(repr(str(path)), "", f"cannot be read: {error}") from None
    try:
        # Editors of Windows begin a file with a byte order mark.
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            path,
            "",
            f"is not UTF-8 (byte 0x{data[error.start]:02x} at line {line}); TOML files are UTF-8",
        ) from None


def _list_files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            # Only existence is checked here: reading the file reports whatever else is wrong.
            path.stat()
            return [path]
        files = sorted(
            file for file in path.iterdir() if file.suffix == _SUFFIX and not file.is_dir()
        )
    except FileNotFoundError:
        raise TableError(
            path,
            "",
            f"no such file or folder; valid: a table file, or a folder with *{_SUFFIX} files",
        ) from None
    except OSError as error:
        raise TableError(path, "", f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TableError(repr(str(path)), "", f"cannot be read: {error}") from None
    if not files:
        raise TableError(
            path,
            "",
            f"the folder holds no *{_SUFFIX} file; valid: a table file, or a folder with *{_SUFFIX}"
            " files",
        )
    return files


def _drop_repeats(files: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that are not built in, each once, however they are named."""
    seen = set(_resolve_builtin(_BUILTIN)) if files else set()
    for file in files:
        real = file.resolve()
        if real not in seen:
            seen.add(real)
            yield file


@cache
def _resolve_builtin(folder: Path) -> Mapping[Path, str]:
    """Return the files of the built-in tables as they are without links -> names of the tables."""
    return {file.resolve(): file.stem for file in folder.glob(f"*{_SUFFIX}")}


def _add_checked(tables: TableSet, table: Table) -> TableSet:
    """Add a table, or refuse it if one of those of its name rules that out."""
    for other in tables.find(table.name):
        if other.device == table.device:
            problem = (
                f"{table.name!r} for device {table.device!r} is also in {other.path}; give one of"
                " them another name or leave it out"
            )
            raise TableError(table.path, "name", problem)
        if not (table.recorded or other.recorded):
            problem = (
                f"{table.name!r} is also in {other.path}, for device {other.device!r}; only a"
                " recorded table, one with a [recorded] section, may share a name with a table for"
                " another device"
            )
            raise TableError(table.path, "name", problem)
    return tables.add(table)
