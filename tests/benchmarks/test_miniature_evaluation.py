"""The evaluation: its gates pass what is good, fail what is planted, and say when a control shows them powerless."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
import torch
from miniature import evaluate, evaluation
from miniature.classifier import ANSWERS, Classifier
from miniature.draw import draw
from miniature.scenes import Scene, draw_scene

from pytest_sdspeed.pipelines.embedded import EMBEDDED, WEIGHTS

pytestmark = pytest.mark.slow

GOOD = {
    "captions": 48,
    "steps": 20,
    "recognized": {
        name: {"all": share, "subject": share} for name, share in (("drawn", 1), ("teacher", 0.95), ("student", 0.9), ("control", 0.01))
    },
    "student_against_teacher": {"psnr": 20.0, "ssim": 0.8},
    "another_seed_against_teacher": {"psnr": 10.0, "ssim": 0.3},
    "tiny_autoencoder": {"psnr": 30.0, "control_psnr": 10.0, "autoencoder_psnr": 28.0},
    "sizes": {"teacher_parameters": 100, "student_parameters": 55, "shipped_bytes": 11_000_000},
    "unet_speedup": {images: {"speedup": 1.7, "low": 1.6, "high": 1.8} for images in ("one_picture", "four_pictures")},
}


def planted(*path, value):
    found = copy.deepcopy(GOOD)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def problems(found):
    return [gate.problem for gate in evaluate.gates(found) if gate.problem]


def test_good_figures_pass_every_gate():
    assert problems(GOOD) == []
    assert evaluate.report(GOOD, evaluate.gates(GOOD)).endswith("all 7 gates hold, and every negative control misses its gate")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("recognized", "teacher", "all"), 0.89, "share of the teacher's pictures recognized is 0.89, under 0.9"),
        (("recognized", "student", "all"), 0.84, "share of the student's pictures recognized is 0.84, under 0.85"),
        (("sizes", "student_parameters"), 61, "parameters that the student saves is 0.39, under 0.4"),
        (("unet_speedup", "one_picture", "speedup"), 1.29, "one picture is 1.29, under 1.3"),
        (("unet_speedup", "four_pictures", "speedup"), 1.0, "four pictures is 1, under 1.3"),
        (("student_against_teacher", "ssim"), 0.3, "SSIM of student against teacher is 0.3, under"),
        (("tiny_autoencoder", "psnr"), 15.0, "PSNR of tiny autoencoder against autoencoder is 15, under"),
        (("another_seed_against_teacher", "ssim"), 0.9, "the negative control reaches 0.9, so that the gate at"),
        (("tiny_autoencoder", "control_psnr"), 29.0, "the negative control reaches 29, so that the gate at"),
    ],
)
def test_what_is_planted_is_named(path, value, said):
    found = planted(*path, value=value)
    (problem,) = problems(found)
    assert said in problem
    assert problem in evaluate.report(found, evaluate.gates(found))


@pytest.mark.parametrize("path", [("recognized", "student", "all"), ("tiny_autoencoder", "psnr"), ("tiny_autoencoder", "control_psnr")])
def test_what_is_no_number_holds_no_gate(path):
    assert len(problems(planted(*path, value=float("nan")))) == 1


def test_pictures_recognized_under_any_caption_show_gates_without_power():
    assert len(problems(planted("recognized", "control", "all", value=0.95))) == 2


def test_held_out_captions_are_many_and_always_the_same():
    scenes = evaluation.scenes(300)
    assert len({scene.caption for scene in scenes}) == 300
    assert all(scene.held_out for scene in scenes)
    assert scenes[:48] == evaluation.scenes(48)


class Oracle:
    """Answers what it was told."""

    def __init__(self, scenes):
        self.scenes = scenes

    def answers(self, pictures):
        assert pictures.shape[1:] == (3, 64, 64)
        return [{name: getattr(scene, name) for name in ANSWERS} for scene in self.scenes]


BLANK = np.zeros((2, 64, 64, 3), dtype=np.float32)
RIDER = Scene(subject="horse", color="brown", place="mars", rider="astronaut")
FISH = Scene(subject="fish", color="red", place="sea", count=2)


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (RIDER, set()),
        (Scene(subject="horse", color="brown", place="mars", rider="knight"), {"all", "subject"}),
        (Scene(subject="horse", color="white", place="mars", rider="astronaut"), {"all", "color"}),
        (Scene(subject="horse", color="brown", place="moon", rider="astronaut"), {"all", "place"}),
    ],
)
def test_recognized_is_all_that_was_asked_for(seen, wrong):
    shares = evaluation.recognized(Oracle([seen, FISH]), BLANK, [RIDER, FISH])
    assert {name for name, share in shares.items() if share < 1} == wrong
    assert "position" not in shares


def test_a_wrong_count_is_told_apart():
    shares = evaluation.recognized(Oracle([RIDER, Scene(subject="fish", color="red", place="sea")]), BLANK, [RIDER, FISH])
    assert (shares["all"], shares["count"]) == (1, 0)


def test_a_near_miss_is_one_attribute_off():
    for index, scene in enumerate(evaluation.scenes(200)):
        other = evaluation.near_miss(scene, index)
        same = [getattr(scene, name) == getattr(other, name) for name in ("subject", "rider", "color", "place")]
        assert same.count(False) == 1
        draw(other, 0)


def test_the_classifier_has_an_answer_for_every_scene():
    rng = random.Random(0)
    for scene in (draw_scene(rng) for _ in range(1000)):
        assert all(getattr(scene, name) in answers for name, answers in ANSWERS.items())
    (answer,) = Classifier().answers(torch.zeros(1, 3, 64, 64))
    assert answer.keys() == ANSWERS.keys()


# The shipped weights, on the CPU, in seconds: eval on more captions is benchmarks/miniature/evaluate.py.


@pytest.fixture(scope="module")
def models():
    return evaluation.Models(WEIGHTS)


@pytest.fixture(scope="module")
def reader():
    return evaluation.classifier(evaluate.CLASSIFIER)


@pytest.fixture(scope="module")
def asked():
    return evaluation.scenes(12)


@pytest.fixture(scope="module")
def taught(models, asked):
    return evaluation.pictures(models.teacher, [scene.caption for scene in asked], 12)


def test_the_shipped_teacher_draws_what_it_is_asked_for(reader, taught, asked):
    assert evaluation.recognized(reader, taught, asked)["all"] >= 0.75
    assert evaluation.recognized(reader, taught, asked[1:] + asked[:1])["all"] <= 0.25


def test_the_shipped_student_draws_nearly_the_same(models, taught, asked):
    prompts = [scene.caption for scene in asked]
    student, another_seed = (evaluation.pictures(models.student, prompts, 12, first_seed=seed) for seed in (0, 100))
    (bound,) = [gate.least for gate in evaluate.gates(GOOD) if gate.name.startswith("SSIM")]
    assert evaluation.likeness(another_seed, taught)["ssim"] < bound <= evaluation.likeness(student, taught)["ssim"]


def test_the_shipped_classifier_reads_drawn_pictures(reader):
    scenes = evaluation.scenes(200)
    shares = evaluation.recognized(reader, evaluation.drawn_pictures(scenes), scenes)
    assert min(shares.values()) > 0.97
    near = evaluation.drawn_pictures([evaluation.near_miss(scene, index) for index, scene in enumerate(scenes)])
    assert evaluation.recognized(reader, near, scenes)["all"] < 0.1


def test_the_shipped_autoencoders_agree(models, asked):
    found = evaluation.autoencoders(models, evaluation.drawn_pictures(asked))
    (bound,) = [gate.least for gate in evaluate.gates(GOOD) if gate.name.startswith("PSNR")]
    assert found["psnr"] >= bound > found["control_psnr"]
    assert found["autoencoder_psnr"] > 25


def test_what_is_shipped_is_small_and_has_its_card():
    files = [file for file in WEIGHTS.rglob("*") if file.is_file()]
    assert {file.relative_to(WEIGHTS).parts[0] for file in files} == set(EMBEDDED)
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert {file.suffix for file in files} == {".safetensors", ".json", ".md", ".txt"}
    card = (WEIGHTS / "miniature" / "README.md").read_text()
    assert "## Training" in card
    assert "every negative control misses its gate" in card


def test_the_command_writes_its_figures_and_fails_for_a_gate(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "figures", lambda *_: GOOD)
    assert evaluate.main(["--quick", "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert [gate["holds"] for gate in found["gates"]] == [True] * 7
    assert "held out" in capsys.readouterr().out
    monkeypatch.setattr(evaluate, "figures", lambda *_: planted("unet_speedup", "one_picture", "speedup", value=1.1))
    assert evaluate.main(["--quick"]) == 1


def test_pictures_of_a_seed_do_not_depend_on_their_batch(models):
    prompts = ["a red ball on a beach"] * 2
    both = evaluation.pictures(models.student, prompts, 2)
    second = evaluation.pictures(models.student, prompts[1:], 2, first_seed=1)
    assert np.allclose(both[1], second[0], atol=1e-3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--json", "/no/where/out.json"], "--json /no/where/out.json: there is no folder /no/where"),
        (["--sheet", "/no/where/out.png"], "--sheet /no/where/out.png: there is no folder /no/where"),
        (["--models", "/no/where"], "--models /no/where: there is no folder miniature in it"),
        (["--classifier", "/no/where"], "--classifier /no/where: there is no such file"),
    ],
)
def test_what_is_not_there_is_named_before_anything_is_measured(given, said, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(given)
    assert said in capsys.readouterr().err
