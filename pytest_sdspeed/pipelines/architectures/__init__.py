"""Architectures by model name: the configurations that random weights are put into.

Each JSON file beside this module is the configuration folder of one model: the path of a file in
the folder -> its content. Keys with an underscore say what the folder does not: the ids of models
that have it (``_models``), where each configuration was taken from (``_source``), and how many
parameters are published, and where (``_parameters``).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sdspeed.errors import (
    NO_ARCHITECTURE,
    ModelUnavailableError,
    UnknownNameError,
    read_first_line,
)

Config = Mapping[str, Any]

INDEX = "model_index.json"
_CONFIGS = ("config.json", "scheduler_config.json", "preprocessor_config.json")
"""Names of a component's configuration: a network's, a scheduler's, a processor's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCount:
    """Number of parameters as somebody else states it.

    Attributes:
        number: as it is written: ``11,901,408,320``, or rounded, ``12.8B``.
        source: who states it.
    """

    number: str
    source: str

    def agrees(self, counted: int) -> bool:
        """Tell whether a count is that number, to as many digits as are stated."""
        units = {"K": 1e3, "M": 1e6, "B": 1e9}
        if self.number[-1] not in units:
            return counted == int(self.number.replace(",", ""))
        digits = self.number[:-1]
        decimals = len(digits.partition(".")[2])
        return f"{counted / units[self.number[-1]]:.{decimals}f}" == digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a model is made of, without its weights: the configuration files of its folder.

    Attributes:
        files: path of a file in the folder -> its content. ``model_index.json`` names the classes
            of the pipeline and its components, ``unet/config.json`` configures one component, and
            ``config.json`` a model that is one part alone.
        folder: where they were read, None if they are not those of a folder.
        parameters: name of a component -> how many parameters it is said to have.
        source: where the configurations were taken from.
    """

    files: Mapping[str, Config]
    folder: Path | None = None
    parameters: Mapping[str, PublishedCount] = field(default_factory=dict)
    source: tuple[str, ...] = ()

    @property
    def index(self) -> Config:
        """What the pipeline consists of; empty if the model is no whole pipeline."""
        return self.files.get(INDEX, {})

    def name_weights(self, model: str) -> str:
        """Return what random weights are named by: a folder's are those of its content.

        Args:
            model: name of the model, or path of the folder.
        """
        if self.folder is None:
            return model
        return f"{zlib.crc32(json.dumps(self.files, sort_keys=True).encode()):08x}"

    def find_config(self, component: str) -> Config | None:
        """Return the configuration of a component, or None."""
        paths = (f"{component}/{name}" for name in _CONFIGS)
        return next((self.files[path] for path in paths if path in self.files), None)

    def find_part(self, component: str) -> Config | None:
        """Return the configuration of what replaces a component in another pipeline, or None.

        It is the component of that name, or the whole model if that is one part alone.
        """
        return self.find_config(component) or self.files.get(_CONFIGS[0])


def make_architecture(model: str, files: Mapping[str, Any]) -> Architecture:
    """Make an architecture of the content of configuration files.

    Args:
        model: name of the model, for messages.
        files: path of a file in the model's folder -> its content.

    Raises:
        ModelUnavailableError: what is wrong with them.
    """
    kept = {path: content for path, content in files.items() if not path.startswith("_")}
    for path, content in kept.items():
        if not isinstance(content, Mapping) or not path.endswith(".json"):
            raise ModelUnavailableError(
                f"{model}: {path!r} is no configuration; valid: the paths of JSON files in a"
                " model's folder, such as 'unet/config.json', and their content"
            )
    if not kept:
        raise ModelUnavailableError(
            f"{model}: a configuration without any file: {INDEX} is missing"
        )
    if INDEX in kept and not isinstance(kept[INDEX].get("_class_name"), str):
        raise ModelUnavailableError(
            f"{model}: {INDEX} names no pipeline class of diffusers: '_class_name' must be a string"
        )
    return Architecture(files=kept)


def read_architecture(folder: Path) -> Architecture:
    """Read the configuration files of a saved model; its weights may be missing.

    Raises:
        ModelUnavailableError: what is missing or broken, and where.
    """
    paths = [path for path in (folder / INDEX, folder / _CONFIGS[0]) if path.is_file()]
    paths += sorted(path for name in _CONFIGS for path in folder.glob(f"*/{name}"))
    if not paths:
        raise ModelUnavailableError(f"{folder}: no saved pipeline: {INDEX} is missing")
    files = {path.relative_to(folder).as_posix(): _read_json(folder, path) for path in paths}
    made = make_architecture(str(folder), files)
    return Architecture(files=made.files, folder=folder)


def _read_json(folder: Path, path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailableError(
            f"{folder}: {path.relative_to(folder).as_posix()} cannot be read:"
            f" {read_first_line(error, 'no message')}"
        ) from None
    if not isinstance(content, dict) and path.name != INDEX:
        raise ModelUnavailableError(
            f"{folder}: {path.relative_to(folder).as_posix()} cannot be read: it is no JSON object"
        )
    return content if isinstance(content, dict) else {}


def _read_builtin(path: Path) -> tuple[list[str], Architecture]:
    content = json.loads(path.read_text(encoding="utf-8"))
    made = make_architecture(path.stem, content)
    return content["_models"], Architecture(
        files=made.files,
        source=tuple(content["_source"]),
        parameters={
            name: PublishedCount(number=count["published"], source=count["source"])
            for name, count in content["_parameters"].items()
        },
    )


ARCHITECTURES: Mapping[str, Architecture] = {
    model: architecture
    for path in sorted(Path(__file__).parent.glob("*.json"))
    for models, architecture in [_read_builtin(path)]
    for model in models
}
"""Id of a model on the hub -> its architecture."""

_FIRST = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SCHEDULER: Config = {
    name: value
    for name, value in ARCHITECTURES[_FIRST].files["scheduler/scheduler_config.json"].items()
    if not name.startswith("_")
}
"""Noise schedule of Stable Diffusion 1; PNDM and DDIM are both made from it."""


def find_architecture(
    model: str, registered: Mapping[str, Architecture] | None = None
) -> Architecture:
    """Return the architecture of a model by its hub id, or by the path of its folder.

    Args:
        model: id, name of a registered architecture, or path of a configuration folder.
        registered: architectures of this run, by name.

    Raises:
        UnknownNameError: this project knows no configuration of that model.
        ModelUnavailableError: its folder is broken or incomplete.
    """
    known = {**ARCHITECTURES, **(registered or {})}
    if model in known:
        return known[model]
    if Path(model).is_dir():
        return read_architecture(Path(model))
    raise UnknownNameError(NO_ARCHITECTURE, model, known)
