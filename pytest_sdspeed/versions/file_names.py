"""Names of files in the accounts of two environments: a worktree, site-packages, a checkout."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model import Account


class NamedAccount(NamedTuple):
    """An account whose files have the names that its environment alone does not decide.

    Attributes:
        account: the account.
        modules: name of a file in it -> its path from the folder of its package, if a module is
            loaded from it.
    """

    account: Account
    modules: Mapping[str, str]


def name_from_packages(account: Account, roots: Sequence[str]) -> NamedAccount:
    """Name the files of an account that this process counted from the folders of their packages.

    Those that are in no root, such as tests, keep their names.

    Args:
        account: account of a call.
        roots: folders that this process imports its version from.
    """
    modules, names = dict[str, str](), dict[str, str]()
    for file, (path, module) in _find_modules({place.file for place in account.places}).items():
        if any(Path(path).is_relative_to(root) for root in roots):
            names[file] = module
        modules[names.get(file, file)] = module
    return NamedAccount(rename_files(account, names), modules)


def _find_modules(files: set[str]) -> dict[str, tuple[str, str]]:
    """Return name of a file -> its full path, and its path from the folder of its package."""
    from pytest_sdspeed.dry.callers import shorten

    found: dict[str, tuple[str, str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or name == "__main__" or (short := shorten(file)) not in files:
            continue
        package = "/__init__" if file.endswith("__init__.py") else ""
        found.setdefault(short, (file, f"{name.replace('.', '/')}{package}.py"))
    return found


def find_names(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Find how the version in hand names the files that the other version's account names.

    Args:
        ours: name of a file of the version in hand -> its path from the folder of its package.
        theirs: the same of the other version.
    """
    known = {module: file for file, module in ours.items()}
    return {
        file: known.get(module, module if PurePath(file).is_absolute() else file)
        for file, module in theirs.items()
    }


def rename_files(account: Account, names: Mapping[str, str]) -> Account:
    """Return an account whose places have other names of files.

    Args:
        account: account of a call.
        names: name of a file -> its name from now on; the others stay.
    """
    return replace(
        account,
        places=tuple(
            replace(place, file=names.get(place.file, place.file)) for place in account.places
        ),
        per_step=account.per_step and rename_files(account.per_step, names),
        stages={name: rename_files(part, names) for name, part in account.stages.items()},
    )
