"""Pictures side by side: a case, its baseline, what each setup made of it, the negative control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.model import Exhibit, ImageVerdict, Result
    from pytest_sdspeed.report.page.thumbnails import Thumbnail

PIXELATED = 128
"""Pixels of the longer side up to which a picture is shown pixel by pixel."""

_METRICS = {
    "psnr": "PSNR {:.1f} dB",
    "ssim": "SSIM {:.3f}",
    "mae": "mean difference {:.4f}",
    "flip": "FLIP {:.3f}",
    "clip": "CLIP score {:.3f}",
    "clip_drop": "CLIP score drop {:.3f}",
    "temporal": "error of motion {:.3f}",
}
_ROLES = {"candidate": "candidate", "error_map": "error map", "reference": "reference"}
_FRAMES = ("first", "middle", "last")
_CONTROL_SAYS: dict[ImageVerdict | None, str] = {
    "pass": "fails the gate, as it must",
    "powerless": "passes the gate, though it must fail: the gate is powerless",
    "fail": "must fail the gate; not checked, since the setup's own pictures fail",
    None: "must fail a gate; none judged these pictures",
}


class Picture(NamedTuple):
    """One place of a picture on the page.

    Attributes:
        key: tells embedded pictures apart.
        first: whether this place embeds the picture; the others copy it from there.
        label: what stands under it; alt: what it shows, in words.
        thumbnail: what is embedded.
        strip: whether it is a row of frames.
    """

    key: str
    first: bool
    label: str
    alt: str
    thumbnail: Thumbnail
    strip: bool = False

    @property
    def pixelated(self) -> bool:
        """Tell whether it is so small that its pixels should be seen."""
        return not self.strip and max(self.thumbnail.original) <= PIXELATED

    @property
    def about(self) -> str:
        """Describe what became of it on the way into the page."""
        (width, height), (original_width, original_height) = (
            self.thumbnail.size,
            self.thumbnail.original,
        )
        if self.thumbnail.lossless:
            return f"{width} x {height} pixels, lossless"
        return f"{width} x {height} pixels, compressed, of {original_width} x {original_height}"


@dataclass
class Entry:
    """Pictures beside each other, the setups they belong to, and how they fared, a line each."""

    title: str
    pictures: list[Picture]
    lines: list[str]
    control: bool = False


@dataclass
class CaseShown:
    """One case: the baseline's pictures, an entry for each setup, and the negative controls."""

    title: str
    prompt: str
    baseline: Picture | None = None
    baseline_frames: list[Picture] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Gallery:
    """Places pictures on a page, each embedded once.

    Args:
        thumbnails: picture -> what is embedded of it.
    """

    def __init__(self, thumbnails: Mapping[bytes, Thumbnail]) -> None:
        self._thumbnails = thumbnails
        self._keys: dict[bytes, str] = {}

    def make_cases(self, results: Sequence[Result]) -> list[CaseShown]:
        """Return a campaign's cases, in order of appearance, those of one batch side by side."""
        groups: dict[tuple[int, str, int], list[tuple[Result, Exhibit]]] = {}
        for result in results:
            for exhibit in result.exhibits:
                groups.setdefault((exhibit.seed, exhibit.prompt, exhibit.place[0]), []).append(
                    (result, exhibit)
                )
        appeared = list(dict.fromkeys((seed, prompt) for seed, prompt, _ in groups))
        order = sorted(groups, key=lambda key: (appeared.index(key[:2]), key[2]))
        return [self._make_case(groups[key]) for key in order]

    def _make_case(self, group: list[tuple[Result, Exhibit]]) -> CaseShown:
        result, exhibit = group[0]
        case = CaseShown(_title_case(result, exhibit), exhibit.prompt)
        of_baseline = next((one for _, one in group if "baseline" in one.pictures), None)
        shared = None if of_baseline is None else of_baseline.pictures["baseline"]
        if of_baseline is not None and shared is not None:
            label = _name_frame("baseline", of_baseline)
            case.baseline = self._make_picture(
                shared, label, f"{result.baseline}: {label}, {case.title}"
            )
            case.baseline_frames = self._make_frames(
                of_baseline, "baseline", result.baseline, case.title
            )
        case.entries = [*self._list_candidates(group, shared), *self._list_controls(group)]
        return case

    def _list_candidates(
        self, group: list[tuple[Result, Exhibit]], shared: bytes | None
    ) -> Iterator[Entry]:
        shown = set()
        for result, exhibit in group:
            key = (result.setup, *exhibit.pictures.values())
            if exhibit.control or result.is_baseline or key in shown:
                continue
            shown.add(key)
            own = exhibit.pictures.get("baseline", shared)
            before = (
                [
                    self._make_picture(
                        own,
                        _name_frame("its baseline", exhibit),
                        _name_frame(f"{result.baseline}, as {result.setup} met it", exhibit),
                    )
                ]
                if own and own != shared
                else []
            )
            roles = self._make_roles(exhibit, result.setup, _title_case(result, exhibit))
            yield Entry(result.setup, [*before, *roles], _format_lines(exhibit))

    def _list_controls(self, group: list[tuple[Result, Exhibit]]) -> Iterator[Entry]:
        """List the negative controls; setups that share one stand together."""
        merged: dict[tuple[bytes, ...], list[tuple[Result, Exhibit]]] = {}
        for result, exhibit in group:
            if exhibit.control:
                merged.setdefault(tuple(exhibit.pictures.values()), []).append((result, exhibit))
        for together in merged.values():
            said: dict[str, dict[str, None]] = {}
            for result, _ in together:
                said.setdefault(_CONTROL_SAYS[result.image_verdict], {})[result.setup] = None
            first, exhibit = together[0]
            lines = [
                *_format_lines(exhibit),
                *(f"{', '.join(setups)}: {words}" for words, setups in said.items()),
            ]
            yield Entry(
                "negative control",
                self._make_roles(exhibit, "negative control", _title_case(first, exhibit)),
                lines,
                control=True,
            )

    def _make_roles(self, exhibit: Exhibit, owner: str, title: str) -> list[Picture]:
        labels = _ROLES | ({"candidate": "other case"} if exhibit.control else {})
        shown = {role: _name_frame(label, exhibit) for role, label in labels.items()}
        return [
            *(
                self._make_picture(exhibit.pictures[role], label, f"{owner}: {label}, {title}")
                for role, label in shown.items()
                if role in exhibit.pictures
            ),
            *self._make_frames(exhibit, "candidate", owner, title),
            *self._make_frames(exhibit, "reference", f"reference of {owner}", title),
        ]

    def _make_frames(self, exhibit: Exhibit, side: str, owner: str, title: str) -> list[Picture]:
        """Show what an exhibit has of a side's video: some of its frames, and then its strip."""
        length = exhibit.frames or 0
        places = zip(_FRAMES, (0, (length - 1) // 2, length - 1), strict=True)
        frames = [
            self._make_picture(data, f"{name} frame", f"{owner}: {name} frame, {at}, {title}")
            for name, at in places
            if (data := exhibit.pictures.get(f"{side}_{name}"))
        ]
        strip = exhibit.pictures.get(f"{side}_strip")
        if strip is None:
            return frames
        row = ", ".join(map(str, exhibit.strip))
        marked = exhibit.place[1]
        mark = f", {marked} marked" if marked in exhibit.strip and not exhibit.control else ""
        alt = f"{owner}: frames {row} in a row{mark}, {title}"
        shown = self._make_picture(strip, f"frames {row}{mark}", alt)
        return [*frames, shown._replace(strip=True)]

    def _make_picture(self, data: bytes, label: str, alt: str) -> Picture:
        first = data not in self._keys
        key = self._keys.setdefault(data, f"picture-{len(self._keys)}")
        return Picture(key, first, label, alt, self._thumbnails[data])


def _name_frame(label: str, exhibit: Exhibit) -> str:
    """Name a picture, and of a video its frame, as messages do: ``candidate, frame 3``."""
    frame = exhibit.place[1]
    return label if frame is None else f"{label}, frame {frame}"


def _title_case(result: Result, exhibit: Exhibit) -> str:
    place, frame = exhibit.place
    several = place or (result.recipe is not None and result.recipe.images > 1)
    what = "picture" if frame is None else "video"
    which = f", {what} {place + 1} of the batch" if several else ""
    length = f", frames 0 to {exhibit.frames - 1}" if exhibit.frames else ""
    return f"seed {exhibit.seed}{which}{length}"


def _format_lines(exhibit: Exhibit) -> list[str]:
    """Format ``PSNR 58.2 dB, SSIM 0.998``; nothing if nothing was measured."""
    measured = ", ".join(_format_metric(name, value) for name, value in exhibit.metrics.items())
    return [measured] if measured else []


def _format_metric(name: str, value: float) -> str:
    return (
        _METRICS[name].format(value)
        if name in _METRICS
        else f"{name.replace('_', ' ')} {value:.4g}"
    )
