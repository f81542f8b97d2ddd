"""The finder of a side: what it serves from the roots, and what it leaves to others."""

import sys
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec

import pytest
from checkouts import installed, write


def test_the_finder_serves_packages_modules_and_what_they_hold(tmp_path):
    theirs = write(tmp_path / "theirs", {"sdt_a/__init__.py": "", "sdt_a/b.py": "X = 1", "sdt_c.py": "X = 1"})
    ours = write(tmp_path / "ours", {"sdt_a/__init__.py": "", "sdt_a/b.py": "X = 2", "sdt_c.py": "X = 2", "sdt_d.py": "X = 2"})
    with installed([theirs], path=[ours]) as finder:
        sys.path.insert(0, str(ours))
        import sdt_a.b
        import sdt_c
        import sdt_d

        assert (sdt_a.b.X, sdt_c.X, sdt_d.X) == (1, 1, 2)
        assert finder.served == {"sdt_a", "sdt_c"}


def test_the_first_root_wins_and_the_path_is_extended_once(tmp_path):
    one, two = (write(tmp_path / str(x), {"sdt_a.py": f"X = {x}"}) for x in (1, 2))
    before = list(sys.path)
    with installed([one, two], path=[two, before[0], tmp_path]):
        import sdt_a

        assert sdt_a.X == 1
        assert sys.path == [str(one), str(two), *before, str(tmp_path)]


@pytest.mark.parametrize("kind", ["sdt_a.py", "sdt_a/__init__.py", "sdt_a/b.py"])
def test_excluded_names_come_from_elsewhere(tmp_path, kind):
    theirs, ours = write(tmp_path / "theirs", {kind: ""}), write(tmp_path / "ours", {kind: ""})
    with installed([theirs], ["sdt_a"], [ours]) as finder:
        spec = find_spec("sdt_a")
        assert (spec.origin or next(iter(spec.submodule_search_locations))).startswith(str(ours))
        import sdt_a

        sys.path.append(str(tmp_path))
        assert not any(entry.startswith(str(theirs)) for entry in getattr(sdt_a, "__path__", ()))
        assert finder.served == set()


def test_excluded_names_that_only_a_root_has_are_not_there(tmp_path):
    write(tmp_path, {"sdt_a.py": ""})
    with installed([tmp_path], ["sdt_a"]), pytest.raises(ModuleNotFoundError, match="No module named 'sdt_a'"):
        import sdt_a
    with installed([tmp_path]):
        import sdt_a  # noqa: F401


def test_folders_without_init_give_way_to_packages_and_come_first_among_themselves(tmp_path):
    theirs = write(tmp_path / "theirs", {"sdt_a/b.py": "X = 1", "sdt_n/one.py": "X = 1", "sdt_n/two.py": "X = 1", "sdt_e/x.txt": ""})
    ours = write(tmp_path / "ours", {"sdt_a/__init__.py": "X = 2", "sdt_n/two.py": "X = 2", "sdt_n/three.py": "X = 2"})
    hidden = write(tmp_path / "editable", {"sdt_e/__init__.py": "X = 2"})

    class Editable:
        """As an editable installation adds one, after the finder of the path."""

        def find_spec(self, name, path=None, target=None):
            return PathFinder.find_spec(name, [str(hidden)])

    with installed([theirs], path=[ours]):
        sys.meta_path.append(Editable())
        import sdt_a
        import sdt_e
        from sdt_n import one, three, two

        assert (sdt_a.X, sdt_e.X, one.X, two.X, three.X) == (2, 2, 1, 1, 2)


def test_metadata_is_that_of_the_roots(tmp_path):
    for place, release in (("theirs", 1), ("ours", 2)):
        write(tmp_path / place, {f"sdt_a-{release}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: sdt_a\nVersion: {release}\n"})
    with installed([tmp_path / "theirs"]):
        sys.path.insert(0, str(tmp_path / "ours"))
        assert metadata.version("sdt_a") == "1"
        assert [found.version for found in metadata.distributions(path=[str(tmp_path / "ours")])] == ["2"]
        assert metadata.version("pytest") == pytest.__version__
