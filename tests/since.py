"""Which tests need more of another package than its oldest supported version has."""

from importlib.metadata import version

import pytest
from packaging.version import Version


def has(package, release):
    """Whether a package is of a release or later; a development version counts as the release that it becomes."""
    return Version(Version(version(package)).base_version) >= Version(release)


def needs(package, release, what):
    """Mark a test as one of ``what``, which a package has from a release on."""
    return pytest.mark.skipif(not has(package, release), reason=f"{what} is new in {package} {release}")
