"""What every slot of an arm returned, and which slots returned something broken.

What is counted here was looked at right after its slot: see ``measure.picture_log``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import Case

NOTHING = "returned nothing"
"""The word of a slot that returned None."""

UNREADABLE = "returned no picture"
"""The word of a slot that returned what is neither pictures nor an array."""

_LEAST_PERIODS = 3
"""Broken slots that make a period: two have some distance in any case."""
_ORDINALS = {1: "first", 2: "other", 3: "third"}


@dataclass(frozen=True, slots=True)
class SlotLook:
    """What one slot returned, as it was seen right after it.

    Attributes:
        case: what it drew.
        word: what is wrong with it in a word or two, or "".
        details: the same in sentences.
        form: kind and size of what it returned, in words; "" if it returned no output.
        differs: whether it is sound, and not what the first sound slot of the case returned.
    """

    case: Case
    word: str = ""
    details: tuple[str, ...] = ()
    form: str = ""
    differs: bool = False


@dataclass(frozen=True, slots=True)
class ArmPictures:
    """What an arm returned in all of its slots.

    Attributes:
        looks: every slot, in order: warm-up, timed ones, and those of discarded blocks.
        outputs: case -> distinct outputs. The first is that of the first sound slot, which the
            others are compared with; of those that differ from it the ones that differ most, the
            most different one first. If no slot was sound, the first that returned an output.
    """

    looks: tuple[SlotLook, ...] = ()
    outputs: Mapping[Case, tuple[Output, ...]] = field(default_factory=dict)

    @property
    def returned(self) -> bool:
        """Tell whether any slot returned something, whatever it was."""
        return any(look.word != NOTHING for look in self.looks)

    @property
    def first(self) -> dict[Case, Output]:
        """Return each case's first output."""
        return {case: outputs[0] for case, outputs in self.outputs.items() if outputs}

    @property
    def differing(self) -> int:
        """Return how many slots returned something else than the first of their case."""
        return sum(look.differs for look in self.looks)

    def only(self, case: Case) -> ArmPictures:
        """Return what it returned for one case."""
        return ArmPictures(
            tuple(look for look in self.looks if look.case == case),
            {drawn: outputs for drawn, outputs in self.outputs.items() if drawn == case},
        )


def find_broken_slots(pictures: ArmPictures, role: str = "") -> list[str]:
    """Find what is wrong in some slots of an arm or in all of them, and in how many.

    An arm that returned None in every slot draws nothing, which is not wrong in itself.

    Args:
        pictures: what the arm returned.
        role: side that drew them, for the reasons; "" for the candidate.

    Returns:
        One sentence for each word, ``2 of 12 slots black``, or ``6 of 12 slots not finite, every
        other one``; and one for slots whose size or number differs from the others'.
    """
    if not pictures.returned:
        return []
    lead = f"the {role}: " if role else ""
    broken: dict[str, list[int]] = {}
    for index, look in enumerate(pictures.looks):
        if look.word:
            broken.setdefault(look.word, []).append(index)
    total = len(pictures.looks)
    found = [
        f"{lead}{_describe_share(indices, total)} {word}{_describe_pattern(indices, total)}"
        for word, indices in broken.items()
    ]
    return found + [f"{lead}{said}" for said in _find_odd_sizes(pictures.looks)]


def list_details(pictures: ArmPictures, role: str = "") -> list[str]:
    """List what is wrong in sentences, once for each case and word: ``seed 0: black: ...``.

    What is wrong with a case's first output is left out: the gate judges it, and says so itself.

    Args:
        pictures: what the arm returned.
        role: side that drew them, for the reasons; "" for the candidate.
    """
    sound = {look.case for look in pictures.looks if not look.word}
    found: dict[tuple[Case, str], tuple[str, ...]] = {}
    judged: dict[Case, tuple[Case, str]] = {}
    for look in pictures.looks:
        if look.word:
            found.setdefault((look.case, look.word), look.details)
            if look.form and look.case not in sound:
                judged.setdefault(look.case, (look.case, look.word))
    leads = {True: f"the {role} ", False: f"the {role}'s picture is "} if role else {}
    return [
        f"{case}: {leads.get(word == UNREADABLE, '')}{detail}"
        for (case, word), details in found.items()
        if judged.get(case) != (case, word)
        for detail in details
    ]


def _describe_share(indices: Sequence[int], total: int) -> str:
    return f"{len(indices)} of {total} {'slot' if total == 1 else 'slots'}"


def _describe_pattern(indices: Sequence[int], total: int) -> str:
    """Describe which slots they are, if that has a name; "" for all of them."""
    count, first, last = len(indices), indices[0], indices[-1]
    if count == total:
        return ""
    if last - first == count - 1:  # one after another
        if first == 0:
            return ", the first one" if count == 1 else f", the first {count}"
        if last == total - 1:
            return ", the last one" if count == 1 else f", from slot {first + 1} on"
        return ""
    steps = {later - earlier for earlier, later in itertools.pairwise(indices)}
    period = steps.pop()
    if steps or count < _LEAST_PERIODS or first >= period or last + period < total:
        return ""
    return f", every {_ORDINALS.get(period, f'{period}th')} one"


def _find_odd_sizes(looks: Sequence[SlotLook]) -> list[str]:
    """Find slots whose size or number differs from that of most slots of their case."""
    found = []
    for case in dict.fromkeys(look.case for look in looks):
        forms = Counter(look.form for look in looks if look.case == case and look.form)
        total = sum(forms.values())
        usual = max(forms, key=forms.__getitem__, default="")
        found += [
            f"{_describe_share(range(count), total)} of another size: {form}, not {usual} ({case})"
            for form, count in forms.items()
            if form != usual
        ]
    return found
