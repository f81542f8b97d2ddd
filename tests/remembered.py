"""What every run of pytest inside asks anew though it stays the same: it is found once, which takes half of such a run's time away."""

import functools
import sys
import sysconfig
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import cpuinfo
from _pytest.pytester import SysModulesSnapshot
from pytest_benchmark import utils

from pytest_sdspeed.tables import loader

INSTALLED = sysconfig.get_path("purelib")


def remember_what_stays():
    """Remember the processor, what packages are installed, the built-in tables, installed modules, and that a folder is no checkout."""
    SysModulesSnapshot.restore = _keep_installed(SysModulesSnapshot.restore)
    cpuinfo.get_cpu_info = functools.cache(cpuinfo.get_cpu_info)  # It starts a process.
    for name in ("metadata", "entry_points"):
        setattr(PathDistribution, name, _remember_installed(getattr(Distribution, name).fget))
    loader.load_table = _remember_builtin(loader.load_table)
    names = utils.get_project_name.functions
    names[:] = map(_ask_checkouts, names)


def _keep_installed(restore):
    """Forget the modules that a run inside imported, except those of installed packages: torch cannot be imported twice in a process."""

    @functools.wraps(restore)
    def restore_others(snapshot):
        installed = {name: module for name, module in sys.modules.items() if _is_installed(name, module)}
        restore(snapshot)
        sys.modules.update(installed)

    return restore_others


def _is_installed(name, module):
    file = getattr(module, "__file__", None) or ""
    return file.startswith(INSTALLED) and name.partition(".")[0] != "pytest_sdspeed"


def _remember_installed(read):
    """Read a property of an installed package once; packages that tests write are read each time."""
    installed = Path(INSTALLED)
    remember = functools.cache(lambda path: read(PathDistribution(path)))
    return property(lambda package: remember(package._path) if package._path.parent == installed else read(package))


def _remember_builtin(load):
    """Load a built-in table once for the same names of metrics."""
    builtin = loader._BUILTIN
    remember = functools.cache(load)

    @functools.wraps(load)
    def load_table(path, metrics=()):
        if Path(path).parent != builtin:
            return load(path, metrics)
        return remember(path, None if metrics is None else tuple(sorted(metrics)))

    return load_table


def _ask_checkouts(name_project):
    """Ask git or Mercurial for the name of a project only in a checkout: elsewhere the process that it starts has no answer."""
    return lambda: name_project() if utils.in_any_parent(".git") or utils.in_any_parent(".hg") else None
