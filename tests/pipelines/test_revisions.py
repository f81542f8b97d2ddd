"""What tells weights of one name apart: a commit of the hub, or a digest of a folder."""

import json
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


def test_what_else_lies_in_the_folder_begins_no_new_series(tmp_path):
    """Each run would have a model of its own, and no history a second run that could be slower."""
    copy = shutil.copytree(WEIGHTS / "miniature", tmp_path / "copy")
    before = find_revision(str(copy))
    (copy / "results").mkdir()
    (copy / "results" / "0001.json").write_text('{"run": 1}')
    (copy / "prompts.txt").write_text("a vase")
    (copy / "out.json").write_text("{}")
    find_revision.cache_clear()
    assert find_revision(str(copy)) == before


def test_a_model_that_a_newer_library_saved_again_is_the_same_one(tmp_path):
    copy = shutil.copytree(WEIGHTS / "miniature", tmp_path / "copy")
    before = find_revision(str(copy))
    for name in ("model_index.json", "unet/config.json"):
        config = json.loads((copy / name).read_text())
        saved = {"_name_or_path": "/elsewhere", **config, "_diffusers_version": "9.9"}
        (copy / name).write_text(json.dumps(saved, indent=7))
    find_revision.cache_clear()
    assert find_revision(str(copy)) == before


@pytest.mark.parametrize(
    ("name", "key"), [("model_index.json", "extra"), ("scheduler/scheduler_config.json", "beta_start"), ("unet/config.json", "sample_size")]
)
def test_another_configuration_is_another_revision(tmp_path, name, key):
    copy = shutil.copytree(WEIGHTS / "miniature", tmp_path / "copy")
    before = find_revision(str(copy))
    (copy / name).write_text(json.dumps(json.loads((copy / name).read_text()) | {key: 7}))
    find_revision.cache_clear()
    assert find_revision(str(copy)) != before


@pytest.mark.parametrize("name", ["vae/config.json", "tokenizer/merges.txt", "unet/diffusion_pytorch_model.safetensors"])
def test_a_part_that_is_missing_is_another_revision(tmp_path, name):
    copy = shutil.copytree(WEIGHTS / "miniature", tmp_path / "copy")
    before = find_revision(str(copy))
    (copy / name).unlink()
    find_revision.cache_clear()
    assert find_revision(str(copy)) != before


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
