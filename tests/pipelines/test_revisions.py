"""What tells weights of one name apart: a commit of the hub, or a digest of a folder."""

import shutil

import pytest

from pytest_sdspeed.pipelines import revisions
from pytest_sdspeed.pipelines.embedded import WEIGHTS
from pytest_sdspeed.pipelines.revisions import describe_revisions, find_revision

STUDENT = WEIGHTS / "miniature-student"


@pytest.fixture(autouse=True)
def forget():
    """Look again, as another process would."""
    find_revision.cache_clear()


def test_a_copy_of_the_same_weights_is_the_same_revision(tmp_path):
    copy = shutil.copytree(STUDENT, tmp_path / "copy")
    (copy / "README.md").write_text("notes")
    assert find_revision(str(copy)) == find_revision("miniature-student")
    assert len(find_revision(str(copy))) == 12


def test_weights_that_were_trained_again_are_another_revision(tmp_path, monkeypatch):
    monkeypatch.setattr(revisions, "_WHOLE", 8192)
    copy = shutil.copytree(STUDENT, tmp_path / "copy")
    before = find_revision(str(copy))
    weights = next(copy.rglob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-4096] + bytes(byte ^ 1 for byte in content[-4096:]))
    find_revision.cache_clear()
    assert find_revision(str(copy)) != before


def test_a_model_of_the_hub_has_the_commit_of_its_snapshot(monkeypatch):
    commit = "0123456789abcdef" * 2 + "01234567"

    def cached(model, name):
        return f"/cache/models--{model.replace('/', '--')}/snapshots/{commit}/{name}" if name == "config.json" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    assert describe_revisions(["org/model"]) == "model@0123456789ab"


def test_what_is_not_known_of_one_model_is_not_known_of_all(monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    assert find_revision("org/gone") is None
    assert describe_revisions(["miniature", "org/gone"]) is None
    assert describe_revisions(["miniature", "miniature", "miniature-student"]).count("@") == 2


def test_a_folder_that_cannot_be_read_costs_no_result(monkeypatch, tmp_path):
    def refuse(_folder):
        raise PermissionError

    monkeypatch.setattr(revisions, "_digest_folder", refuse)
    assert find_revision(str(tmp_path)) is None
