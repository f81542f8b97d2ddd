"""Train the miniature; a run that was stopped continues where it was.

``python benchmarks/miniature/train.py`` draws pictures, trains autoencoder, teacher, student, tiny
autoencoder and the classifier that reads their pictures, writes float16 safetensors with a model
card into the work folder's ``out``, and evaluates them. The whole training takes under three hours
on two cores; if every gate of the evaluation holds, its models replace those of the package.
``--scale 0.01`` tries all of it in minutes, and does not change the package. Exit code 1: a gate
does not hold.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[2]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from miniature.loop import Trained


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / ".miniature",
        help="folder of pictures, checkpoints and results",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the steps (default: all)"
    )
    parser.add_argument(
        "--batch", type=int, help="pictures a step, for every stage (default: the plan's)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parsed = parser.parse_args(given)
    if not 0 < parsed.scale <= 1:
        parser.error(f"--scale must be above 0 and at most 1, not {parsed.scale}")
    if parsed.batch is not None and parsed.batch < 1:
        parser.error(f"--batch must be 1 or more, not {parsed.batch}")
    if parsed.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            parser.error("--device cuda: torch sees no CUDA device")
    return parsed


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    out = options.work / "out"
    records, pictures = train(options, out)
    holds = evaluate(options, records, pictures, out)
    if options.scale < 1 or not holds:
        print(f"the package keeps its models; these are in {out}")
        return 0 if holds else 1
    from miniature.evaluate import CLASSIFIER
    from pytest_sdspeed.pipelines.embedded import EMBEDDED, WEIGHTS

    for model in EMBEDDED:
        shutil.rmtree(WEIGHTS / model, ignore_errors=True)
        shutil.copytree(out / model, WEIGHTS / model)
    shutil.copy(out / CLASSIFIER.name, CLASSIFIER)
    print(f"the package's models in {WEIGHTS} are new")
    return 0


def train(options: argparse.Namespace, out: Path) -> tuple[list[Trained], int]:
    """Run all stages, and write their models.

    Returns:
        The record of each stage, and the number of pictures that were drawn.
    """
    import torch

    from miniature.autoencoders import encoded, train_autoencoder, train_tiny
    from miniature.classifier import Classifier, train_classifier
    from miniature.data import Captions, Drawn
    from miniature.diffusion import Latents, distill, train_teacher
    from miniature.evaluate import CLASSIFIER
    from miniature.export import export, export_classifier
    from miniature.loop import Run
    from miniature.models import untrained
    from miniature.plan import scaled

    options.work.mkdir(parents=True, exist_ok=True)
    count, stages = scaled(options.scale, options.batch)
    _hold_to(
        {
            "seed": options.seed,
            "pictures": count,
            "stages": [asdict(stage) for stage in stages.values()],
        },
        options.work,
    )
    run = Run(stages=stages, folder=options.work, seed=options.seed)
    drawn = Drawn(options.work, count, options.seed)
    parts = untrained(options.seed, options.device)
    torch.manual_seed(options.seed + 6)
    classifier = Classifier().to(options.device)

    records = [train_autoencoder(run, parts.vae, drawn)]
    scaled_latents = _kept(
        options.work / "latents.pt", lambda: encoded(parts.vae, drawn, torch.arange(count)).cpu()
    )
    latents = Latents(
        scaled=scaled_latents,
        captions=Captions(parts.tokenizer, drawn.scenes),
        scheduler=parts.scheduler,
    )
    records += [
        train_teacher(run, parts, latents),
        distill(run, parts, latents),
        train_tiny(run, parts.tiny_vae, parts.vae, drawn),
    ]
    records += [train_classifier(run, classifier, drawn, options.device)]

    export(out, parts)
    export_classifier(out / CLASSIFIER.name, classifier)
    return records, count


def evaluate(
    options: argparse.Namespace, records: Sequence[Trained], pictures: int, out: Path
) -> bool:
    """Write the model card with the figures, print them, and tell whether every gate holds."""
    from miniature import evaluation
    from miniature.card import card
    from miniature.evaluate import (
        CAPTIONS,
        CLASSIFIER,
        SPEEDUP_S,
        STEPS,
        figures,
        gates,
        report,
    )
    from pytest_sdspeed.device.machine import describe_cpu, describe_cuda

    machine = describe_cuda() if options.device == "cuda" else describe_cpu()
    captions = max(4, round(CAPTIONS * options.scale))
    speedup_s = max(1.0, SPEEDUP_S * options.scale)
    reader = evaluation.classifier(out / CLASSIFIER.name)
    found = figures(evaluation.Models(out), reader, captions, STEPS, speedup_s)
    text = report(found, gates(found))
    print(text)
    written = card(
        records,
        text,
        pictures=pictures,
        scale=options.scale,
        seed=options.seed,
        device=machine.device,
    )
    (out / "miniature" / "README.md").write_text(written, encoding="utf-8")
    return not any(gate.problem for gate in gates(found))


def _hold_to(plan: Mapping[str, Any], folder: Path) -> None:
    """Exit unless the folder was begun with this plan: its checkpoints fit no other."""
    file = folder / "plan.json"
    if not file.is_file():
        if any(folder.glob("*.pt")):
            sys.exit(
                f"{folder} has checkpoints of an unknown plan: delete it, or name another --work"
            )
        file.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    elif json.loads(file.read_text(encoding="utf-8")) != plan:
        sys.exit(
            f"{folder} was begun with another seed, --scale, --batch or plan, see {file.name}:"
            " delete it, or name another --work"
        )


def _kept(file: Path, make: Callable[[], Any]) -> Any:
    import torch

    from miniature.loop import write_whole

    if not file.is_file():
        write_whole(file, lambda unfinished: torch.save(make(), unfinished))
    return torch.load(file, weights_only=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
