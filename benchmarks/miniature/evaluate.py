"""Evaluate the miniature on captions that training never saw.

``python benchmarks/miniature/evaluate.py [--quick] [--json OUT] [--sheet PNG]`` prints what a
classifier, trained on drawn pictures only, recognizes in the pictures of teacher and student; how
alike those are at the same seeds; how near the tiny autoencoder comes to the autoencoder;
parameters, and the UNets' speed side by side. Gates on pictures have a negative control. Exit code
1: a figure misses its gate, or a control reaches it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

CAPTIONS, STEPS = 256, 25
"""Pictures that each pipeline draws, and their steps; with ``--quick`` 48 and 20."""

SPEEDUP_S = 5.0
"""Seconds for each speed-up."""

CLASSIFIER = Path(__file__).with_name("classifier.safetensors")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure and what it must be.

    Attributes:
        name: name of the figure.
        value: its measured value.
        least: its lower bound.
        control: the same figure of something wrong, which must miss the bound, or None.
    """

    name: str
    value: float
    least: float
    control: float | None = None

    @property
    def problem(self) -> str | None:
        """Return what is wrong, in words, or None."""
        if not self.value >= self.least:
            return f"{self.name} is {self.value:.3g}, under {self.least:g}"
        if self.control is not None and not self.control < self.least:
            return (
                f"{self.name}: the negative control reaches {self.control:.3g}, so that the gate at"
                f" {self.least:g} has no power"
            )
        return None


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer captions and steps")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="PNG",
        help="draw a contact sheet: eight prompts by every pipeline",
    )
    parser.add_argument(
        "--models", type=Path, help="folder of the trained models (default: the package's)"
    )
    parser.add_argument(
        "--classifier", type=Path, default=CLASSIFIER, help="file of the classifier"
    )
    parsed = parser.parse_args(given)
    for option in ("json", "sheet"):
        path = getattr(parsed, option)
        if path and not path.absolute().parent.is_dir():
            parser.error(f"--{option} {path}: there is no folder {path.absolute().parent}")
    if parsed.models and not (parsed.models / "miniature").is_dir():
        parser.error(f"--models {parsed.models}: there is no folder miniature in it")
    if not parsed.classifier.is_file():
        parser.error(f"--classifier {parsed.classifier}: there is no such file")
    return parsed


def figures(
    models: Any, reader: Any, captions: int, steps: int, speedup_s: float = SPEEDUP_S
) -> dict[str, Any]:
    """Measure everything."""
    from miniature import evaluation

    scenes = evaluation.scenes(captions)
    prompts = [scene.caption for scene in scenes]
    teacher, student = (
        evaluation.pictures(pipeline, prompts, steps)
        for pipeline in (models.teacher, models.student)
    )
    another_seed = evaluation.pictures(
        models.teacher, prompts[: len(prompts) // 4], steps, first_seed=len(prompts)
    )
    drawn = evaluation.drawn_pictures(scenes)
    one_word_off = evaluation.drawn_pictures(
        [evaluation.near_miss(scene, index) for index, scene in enumerate(scenes)]
    )
    return {
        "captions": captions,
        "steps": steps,
        "recognized": {
            "drawn": evaluation.recognized(reader, drawn, scenes),
            "teacher": evaluation.recognized(reader, teacher, scenes),
            "student": evaluation.recognized(reader, student, scenes),
            "control": evaluation.recognized(reader, one_word_off, scenes),
        },
        "student_against_teacher": evaluation.likeness(student, teacher),
        "another_seed_against_teacher": evaluation.likeness(
            another_seed, teacher[: len(another_seed)]
        ),
        "tiny_autoencoder": evaluation.autoencoders(models, drawn),
        "sizes": evaluation.sizes(models),
        "unet_speedup": {
            name: evaluation.unet_speedup(models, images, speedup_s)
            for name, images in (("one_picture", 1), ("four_pictures", 4))
        },
    }


def gates(found: Mapping[str, Any]) -> list[Gate]:
    """Return the gates of the figures.

    The last two bounds lie between what was measured and what another seed, or latents without
    their scaling, give.
    """
    from miniature.evaluation import STUDENT_SPEEDUP

    read, sizes = found["recognized"], found["sizes"]
    control = read["control"]["all"]
    return [
        Gate("share of the teacher's pictures recognized", read["teacher"]["all"], 0.9, control),
        Gate("share of the student's pictures recognized", read["student"]["all"], 0.85, control),
        Gate(
            "share of the teacher's parameters that the student saves",
            1 - sizes["student_parameters"] / sizes["teacher_parameters"],
            0.4,
        ),
        Gate(
            "speed-up of the student's UNet, one picture",
            found["unet_speedup"]["one_picture"]["speedup"],
            STUDENT_SPEEDUP,
        ),
        Gate(
            "speed-up of the student's UNet, four pictures",
            found["unet_speedup"]["four_pictures"]["speedup"],
            STUDENT_SPEEDUP,
        ),
        Gate(
            "SSIM of student against teacher",
            found["student_against_teacher"]["ssim"],
            0.58,
            found["another_seed_against_teacher"]["ssim"],
        ),
        Gate(
            "PSNR of tiny autoencoder against autoencoder",
            found["tiny_autoencoder"]["psnr"],
            25,
            found["tiny_autoencoder"]["control_psnr"],
        ),
    ]


def report(found: Mapping[str, Any], judged: Sequence[Gate]) -> str:
    """Write the figures as text."""
    read, sizes, fast = found["recognized"], found["sizes"], found["unet_speedup"]
    like, other, tiny = (
        found["student_against_teacher"],
        found["another_seed_against_teacher"],
        found["tiny_autoencoder"],
    )
    shares = [
        f"{name:<12}" + "".join(f"{column[name]:>10.1%}" for column in read.values())
        for name in read["drawn"]
    ]
    saved = (
        f"{sizes['teacher_parameters']:,} and {sizes['student_parameters']:,},"
        f" {sizes['student_parameters'] / sizes['teacher_parameters']:.0%}"
    )
    lines = [
        (
            f"{found['captions']} captions held out from training, {found['steps']} DDIM steps,"
            " guidance 7.5"
        ),
        "",
        f"{'recognized':<12}" + "".join(f"{name:>10}" for name in read),
        *shares,
        (
            "(drawn: pictures of the training's kind; control: drawn with another subject, color or"
            " place than asked for)"
        ),
        "",
        (
            f"student against teacher, same seeds    SSIM {like['ssim']:.3f}, PSNR"
            f" {like['psnr']:.1f} dB (medians)"
        ),
        (
            f"teacher against itself, another seed   SSIM {other['ssim']:.3f}, PSNR"
            f" {other['psnr']:.1f} dB"
        ),
        (
            f"tiny autoencoder against autoencoder   PSNR {tiny['psnr']:.1f} dB; on latents without"
            f" their scaling {tiny['control_psnr']:.1f} dB"
        ),
        f"autoencoder against drawn pictures     PSNR {tiny['autoencoder_psnr']:.1f} dB",
        f"UNet parameters, teacher and student   {saved}",
        (
            f"speed-up of the student's UNet         {_interval(fast['one_picture'])} for one"
            f" picture, {_interval(fast['four_pictures'])} for four"
        ),
        f"shipped                                {sizes['shipped_bytes'] / 1e6:.2f} MB",
        "",
    ]
    problems = [gate.problem for gate in judged if gate.problem]
    return "\n".join(
        [
            *lines,
            *(
                problems
                or [f"all {len(judged)} gates hold, and every negative control misses its gate"]
            ),
        ]
    )


def _interval(speedup: Mapping[str, float]) -> str:
    return f"x{speedup['speedup']:.2f} [{speedup['low']:.2f}, {speedup['high']:.2f}]"


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    start = time.monotonic()
    from miniature import evaluation
    from pytest_sdspeed.pipelines.embedded import WEIGHTS

    models, reader = (
        evaluation.Models((options.models or WEIGHTS).resolve()),
        evaluation.classifier(options.classifier),
    )
    captions, steps = (48, 20) if options.quick else (CAPTIONS, STEPS)
    found = figures(models, reader, captions, steps)
    judged = gates(found)
    print(report(found, judged))
    if options.sheet:
        from miniature.sheet import contact_sheet

        contact_sheet(models).save(options.sheet)
    if options.json:
        gated = [{**asdict(gate), "holds": gate.problem is None} for gate in judged]
        options.json.write_text(
            json.dumps(
                {**found, "gates": gated, "seconds": round(time.monotonic() - start, 1)}, indent=1
            )
            + "\n"
        )
    return 1 if any(gate.problem for gate in judged) else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
