"""The miniature's models and their training: parts of the right kind, a run that goes on where it stopped, and the whole of it, shortened."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from miniature import evaluation, loop, models, train
from miniature.data import Captions, Drawn, tokens
from miniature.diffusion import Latents
from miniature.loop import Run, Stage
from miniature.plan import STAGES, scaled
from miniature.scenes import OPENINGS, Scene, vocabulary
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

pytestmark = pytest.mark.slow

SCENES = [Scene(subject="ball", color="red", place="beach"), Scene(subject="horse", color="brown", place="mars", rider="astronaut")]


@pytest.fixture(scope="module")
def tokenizer():
    return models.word_tokenizer()


@pytest.fixture(scope="module")
def parts():
    return models.untrained(0, "cpu")


def test_every_word_of_a_caption_is_one_token(tokenizer):
    assert isinstance(tokenizer, CLIPTokenizer)
    assert [word for word in vocabulary() if len(tokenizer(word, add_special_tokens=False).input_ids) != 1] == []


@pytest.mark.parametrize("text", ["zebra", "ünïcode", "日本 😀", "Astronaut!", "hors", "o"])
def test_every_other_text_is_bytes_and_nothing_is_unknown(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert ids
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(ids)
    assert all(0 <= index < len(tokenizer) for index in ids)


def test_texts_are_told_apart(tokenizer):
    assert len({tuple(tokenizer(text).input_ids) for text in ("a horse", "horse a", "hors e", "horses", "日本")}) == 5
    assert tokens(tokenizer, ["a", "a horse"]).shape == (2, 77)


def test_parts_are_the_real_classes(parts, tokenizer):
    assert isinstance(parts.vae, AutoencoderKL)
    assert isinstance(parts.tiny_vae, AutoencoderTiny)
    assert isinstance(parts.text_encoder, CLIPTextModel)
    assert isinstance(parts.unet, UNet2DConditionModel)
    attending = [block for block in parts.unet.down_blocks if hasattr(block, "attentions")]
    assert len(attending) == 2
    assert parts.text_encoder.get_input_embeddings().num_embeddings == len(tokenizer)


def test_the_student_is_its_teacher_without_second_blocks_and_mid_block(parts):
    assert parts.student.mid_block is None
    for ours, theirs in zip(parts.student.down_blocks, parts.unet.down_blocks, strict=True):
        assert (len(ours.resnets), len(theirs.resnets)) == (1, 2)
    assert models.parameters([parts.student]) <= 0.6 * models.parameters([parts.unet])


def test_a_student_takes_the_blocks_it_keeps(parts):
    student, weights = models.student(), parts.unet.state_dict()
    models.from_teacher(student, weights)
    state = student.state_dict()
    assert torch.equal(state["down_blocks.1.attentions.0.proj_in.weight"], weights["down_blocks.1.attentions.0.proj_in.weight"])
    assert torch.equal(state["up_blocks.1.resnets.0.conv1.weight"], weights["up_blocks.1.resnets.0.conv1.weight"])
    assert torch.equal(state["up_blocks.1.resnets.1.conv1.weight"], weights["up_blocks.1.resnets.2.conv1.weight"])
    assert torch.equal(state["up_blocks.0.attentions.1.proj_in.weight"], weights["up_blocks.0.attentions.2.proj_in.weight"])


def test_the_same_seed_gives_the_same_weights(parts):
    again, other = models.untrained(0, "cpu"), models.untrained(1, "cpu")
    assert torch.equal(parts.unet.conv_in.weight, again.unet.conv_in.weight)
    assert not torch.equal(parts.unet.conv_in.weight, other.unet.conv_in.weight)
    assert not torch.equal(parts.unet.conv_in.weight, parts.student.conv_in.weight)


def test_captions_open_in_every_way_and_are_dropped_as_often_as_asked(tokenizer):
    captions = Captions(tokenizer, SCENES)
    numbers = torch.Generator().manual_seed(0)
    ids = captions.draw(torch.zeros(2000, dtype=torch.long), numbers, 0.1)
    empty = (ids == captions.empty).all(1)
    assert 0.07 < empty.float().mean() < 0.13
    wanted = {tuple(row) for row in tokens(tokenizer, [opening + SCENES[0].caption for opening in OPENINGS]).tolist()}
    assert {tuple(row) for row in ids[~empty].tolist()} == wanted


def test_noisy_latents_weigh_early_times_less_and_late_ones_in_full(tokenizer):
    latents = Latents(scaled=torch.ones(2, 4, 16, 16), captions=Captions(tokenizer, SCENES), scheduler=models.scheduler())
    batch = latents.noisy(256, torch.Generator().manual_seed(0), "cpu")
    alphas = latents.scheduler.alphas_cumprod[batch.timesteps]
    snr = alphas / (1 - alphas)
    assert torch.allclose(batch.weights, torch.minimum(snr, torch.tensor(5.0)) / snr)
    assert batch.weights.min() < 0.1
    assert batch.weights.max() == 1
    mixed = alphas.sqrt()[:, None, None, None] + (1 - alphas).sqrt()[:, None, None, None] * batch.noise
    assert torch.allclose(batch.latents, mixed, atol=1e-5)
    error = batch.error(batch.noise + 2, batch.noise)
    assert torch.isclose(error, 4 * batch.weights.mean())


def test_pictures_that_are_trained_on_are_none_of_those_held_out(tmp_path):
    drawn = Drawn(tmp_path, 300, 0)
    assert not any(scene.held_out for scene in drawn.scenes)
    assert drawn.pictures([3, 5]).shape == (2, 3, 64, 64)
    again = Drawn(tmp_path, 300, 0)
    assert again.scenes == drawn.scenes
    assert torch.equal(again.pictures([7]), drawn.pictures([7]))


class Line:
    """Fits a line to noise: a stage that trains in microseconds, and may be interrupted at a step."""

    def __init__(self, folder, stop=None, **stage):
        self.module = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.module.weight, 0.0)
        torch.nn.init.constant_(self.module.bias, 0.0)
        self.stop, self.steps = stop, 0
        self.run = Run(
            stages={"line": Stage(**{"name": "line", "steps": 60, "batch": 4, "learning_rate": 0.1, **stage})}, folder=folder, seed=0
        )

    def losses(self, size, numbers):
        if self.steps == self.stop:
            raise KeyboardInterrupt
        self.steps += 1
        x = torch.randn((size, 1), generator=numbers)
        return {"squared": (self.module(x) - 3 * x - 1).square().mean(), "seen": torch.tensor(1.0)}

    def train(self):
        return self.run.train("line", [self.module], self.losses)


def test_training_learns_averages_and_records(tmp_path):
    line = Line(tmp_path)
    trained = line.train()
    assert trained.losses["squared"][-1] < 0.1 * trained.losses["squared"][0]
    assert torch.allclose(line.module.weight, torch.tensor([[3.0]]), atol=0.3)
    assert trained.stage["steps"] == line.steps == 60
    assert not line.module.training
    assert set(trained.losses["seen"]) == {1.0}


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    monkeypatch.setattr("miniature.loop.CHECKPOINT_S", 0.0)
    (tmp_path / "whole").mkdir()
    whole = Line(tmp_path / "whole")
    expected = whole.train()
    stopped = Line(tmp_path, stop=23)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = Line(tmp_path)
    trained = resumed.train()
    assert resumed.steps == 60 - 23
    assert torch.equal(resumed.module.weight, whole.module.weight)
    assert trained.losses == expected.losses
    again = Line(tmp_path)
    assert again.train().losses == expected.losses
    assert (again.steps, again.module.weight.item()) == (0, whole.module.weight.item())


def test_the_plan_shrinks_to_two_steps_at_least():
    count, stages = scaled(0.01)
    assert (count, stages["teacher"].steps, stages["teacher"].batch) == (400, STAGES["teacher"].steps // 100, STAGES["teacher"].batch)
    count, stages = scaled(1e-6, 3)
    assert {count, *(stage.steps for stage in stages.values())} == {2}
    assert {stage.batch for stage in stages.values()} == {3}
    assert stages.keys() == STAGES.keys()


@pytest.mark.parametrize("wrong", [["--scale", "0"], ["--scale", "2"], ["--batch", "0"]])
def test_wrong_arguments_are_named(wrong, capsys):
    with pytest.raises(SystemExit):
        train.arguments(wrong)
    assert f"{wrong[0]} must be" in capsys.readouterr().err


SHORT = ["--scale", "0.0025", "--batch", "4"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The work folder of the command for a small part of the steps, killed once on its way, and finished by a process of its own."""
    work = tmp_path_factory.mktemp("miniature") / "work"
    save = loop.Training._save

    def save_and_stop(training):
        save(training)
        if training._stage.name == "teacher":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, torch.random.fork_rng():
        patched.setattr(loop, "CHECKPOINT_S", 0)
        patched.setattr(loop.Training, "_save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train.main(["--work", str(work), *SHORT])
    assert torch.load(work / "teacher.pt", weights_only=True)["step"] == 1
    assert not (work / "student.pt").exists()
    command = [sys.executable, train.__file__, "--work", str(work), *SHORT]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 1, finished.stderr
    assert "under 0.9" in finished.stdout
    assert f"the package keeps its models; these are in {work / 'out'}" in finished.stdout
    return work


def test_a_small_part_of_the_training_lowers_the_losses_of_every_stage(trained):
    for stage in STAGES:
        curves = torch.load(trained / f"{stage}.pt", weights_only=True)["curves"]
        # Of the latents, which start at zero, the divergence from a standard normal rises.
        losses = [
            sum(loss for _, loss in step) for step in zip(*(curve for name, curve in curves.items() if name != "divergence"), strict=True)
        ]
        third = len(losses) // 3
        assert third
        assert sum(losses[-third:]) < 0.9 * sum(losses[:third]), stage


def test_a_folder_that_was_begun_otherwise_is_refused(trained):
    before = (trained / "teacher.pt").stat().st_mtime_ns
    for other in (["--seed", "1"], ["--batch", "5"], ["--scale", "0.02"]):
        given = ["--work", str(trained), *SHORT, *other]
        with pytest.raises(SystemExit, match=r"was begun with another seed, --scale, --batch or plan, see plan\.json"):
            train.main(given)
    assert (trained / "teacher.pt").stat().st_mtime_ns == before


def test_checkpoints_of_an_unknown_plan_are_refused(tmp_path):
    (tmp_path / "teacher.pt").touch()
    with pytest.raises(SystemExit, match="has checkpoints of an unknown plan"):
        train.main(["--work", str(tmp_path), "--scale", "0.01"])


def test_what_was_trained_is_a_pipeline_that_draws(trained):
    models = evaluation.Models(trained / "out")
    shown = evaluation.pictures(models.tiny, ["a red ball on a beach"], 2)
    assert shown.shape == (1, 64, 64, 3)
    assert {file.suffix for file in (trained / "out").rglob("*") if file.is_file()} == {".safetensors", ".json", ".md", ".txt"}
    assert all(weights.dtype == torch.float16 for weights in load_file(trained / "out" / "classifier.safetensors").values())


def test_the_tokenizer_is_the_same_in_every_process(trained, tokenizer):
    # The command's process has saved its own.
    other = CLIPTokenizer.from_pretrained(trained / "out" / "miniature" / "tokenizer")
    assert other.get_vocab() == tokenizer.get_vocab()
    assert other("horse astronaut zebra").input_ids == tokenizer("horse astronaut zebra").input_ids


def test_the_card_says_how_it_was_made(trained):
    card = (trained / "out" / "miniature" / "README.md").read_text()
    assert "train.py --scale 0.0025`, seed 0" in card
    assert [line.split("|")[1].strip() for line in card.splitlines() if line.startswith("| ") and "losses" not in line] == list(STAGES)
    assert "4 captions held out from training" in card
