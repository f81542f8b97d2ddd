"""Scenes that the miniature can draw, their captions, and which are kept from training."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

PLACES = {
    "mars": "on mars",
    "moon": "on the moon",
    "beach": "on a beach",
    "forest": "in a forest",
    "snow": "in the snow",
    "city": "in a city",
    "table": "on a table",
    "sea": "under the sea",
}
RIDERS = ("astronaut", "knight", "robot", "wizard")
MOUNTS = {"horse": "brown", "elephant": "gray", "turtle": "green", "dinosaur": "green"}
"""Animals that are ridden, and their color if a caption names none."""

COLORS = ("red", "yellow", "green", "blue", "purple", "pink", "white", "black")
MATERIALS = ("golden", "silver", "wooden", "glass")
BOUQUETS = ("different", "red", "yellow", "white", "pink", "blue")
COUNTED = ("ball", "mushroom", "fish")
PLACED = ("car", "house", "boat", "umbrella", "rocket")
COUNTS = {1: "a", 2: "two", 3: "three"}
POSITIONS = {"center": "", "left": " on the left", "right": " on the right"}
OPENINGS = ("a photo of ", "a picture of ", "")

HELD_OUT = 10
"""One of so many combinations of subject, color and place is kept from training."""

ASTRONAUT = "a photo of an astronaut riding a horse on mars"
VASE = "a golden vase with different flowers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a picture shows.

    Attributes:
        subject: a mount, ``vase``, or a thing of ``COUNTED`` or ``PLACED``.
        color: color of the subject; a vase may have a material instead.
        place: key of ``PLACES``.
        rider: rider of a mount.
        bouquet: flowers in a vase.
        count: number of counted things.
        position: position of a placed thing, key of ``POSITIONS``.
    """

    subject: str
    color: str
    place: str
    rider: str | None = None
    bouquet: str | None = None
    count: int = 1
    position: str = "center"

    @property
    def caption(self) -> str:
        """Return the scene in words, without an opening.

        The usual color of a mount and the table of a vase are not mentioned.
        """
        where = PLACES[self.place]
        if self.rider:
            color = "" if self.color == MOUNTS[self.subject] else f"{self.color} "
            return f"{_a(self.rider)} riding {_a(color + self.subject)} {where}"
        if self.bouquet:
            return f"{_a(self.color)} vase with {self.bouquet} flowers" + (
                "" if self.place == "table" else f" {where}"
            )
        if self.count > 1:
            return f"{COUNTS[self.count]} {self.color} {_plural(self.subject)} {where}"
        return f"{_a(self.color)} {self.subject} {where}{POSITIONS[self.position]}"

    @property
    def held_out(self) -> bool:
        """Tell whether training never sees this subject, rider or bouquet in this color and place.

        Training sees the two prompts of the documented tables.
        """
        if self.caption in (ASTRONAUT.removeprefix(OPENINGS[0]), VASE):
            return False
        combination = f"{self.subject} {self.rider} {self.bouquet} {self.color} {self.place}"
        return zlib.crc32(combination.encode()) % HELD_OUT == 0


def draw_scene(rng: random.Random) -> Scene:
    """Draw a random scene; half of the scenes have a rider, which is the hardest to draw."""
    kind = rng.choices(("rider", "vase", "counted", "placed"), weights=(5, 2, 1.5, 1.5))[0]
    place = rng.choice(tuple(PLACES))
    if kind == "rider":
        mount = rng.choice(tuple(MOUNTS))
        color = MOUNTS[mount] if rng.random() < 0.5 else rng.choice(COLORS)
        return Scene(subject=mount, color=color, place=place, rider=rng.choice(RIDERS))
    if kind == "vase":
        place = "table" if rng.random() < 0.5 else place
        return Scene(
            subject="vase",
            color=rng.choice(MATERIALS * 2 + COLORS),
            place=place,
            bouquet=rng.choice(BOUQUETS),
        )
    color = rng.choice(COLORS)
    if kind == "counted":
        return Scene(
            subject=rng.choice(COUNTED), color=color, place=place, count=rng.choice(tuple(COUNTS))
        )
    return Scene(
        subject=rng.choice(PLACED), color=color, place=place, position=rng.choice(tuple(POSITIONS))
    )


def training_scene(rng: random.Random) -> Scene:
    """Draw a scene that training may see."""
    return _drawn(rng, held_out=False)


def held_out_scene(rng: random.Random) -> Scene:
    """Draw a scene whose combination training never sees."""
    return _drawn(rng, held_out=True)


def _drawn(rng: random.Random, *, held_out: bool) -> Scene:
    while True:
        scene = draw_scene(rng)
        if scene.held_out == held_out:
            return scene


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _plural(thing: str) -> str:
    return thing if thing == "fish" else f"{thing}s"


def vocabulary() -> list[str]:
    """Return every word of every caption, once."""
    words = {
        *COLORS,
        *MATERIALS,
        *BOUQUETS,
        *RIDERS,
        *MOUNTS,
        *COUNTED,
        *PLACED,
        *COUNTS.values(),
        *map(_plural, COUNTED),
    }
    phrases = [*PLACES.values(), *POSITIONS.values(), *OPENINGS, "an riding vase with flowers"]
    return sorted(words | {word for phrase in phrases for word in phrase.split()})
