"""Does a generation ask no more of a device than it may, or than it did?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.model import CountChange, PlaceChange
from pytest_sdspeed.model.account_results import (
    ACCOUNT_BOUNDS,
    PER_STEP,
    STEP_COUNTS,
    find_count,
)
from pytest_sdspeed.model.accounts import COUNTS, Account

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.model import Verdict
    from pytest_sdspeed.model.accounts import Place

_MOST_PLACES = 5
"""Places that a reason names; the others are counted."""
_NO_WORK = (
    "no operation ran on the device, so that nothing of it was counted: let what is counted use the"
    " device that it is given"
)
_LARGEST = frozenset({"peak_bytes", "weight_bytes"})
"""Counts of a call that are no sums over its parts."""
_BEYOND = " beyond its steps"
"""Follows the name of a count of a call without its denoising steps in steady state."""


class AccountJudgement(NamedTuple):
    """What became of bounds on an account.

    Attributes:
        verdict: ``pass``, ``fail`` or ``invalid``; None if there are no bounds.
        reasons: why it does not pass, a text for each bound.
    """

    verdict: Verdict | None
    reasons: tuple[str, ...] = ()


def check_names(names: Iterable[str], where: str) -> None:
    """Check that an account can be held to bounds of these names.

    Args:
        names: names of bounds.
        where: what has them, for the message.

    Raises:
        UnknownNameError: no count has that name.
    """
    for name in names:
        if name not in ACCOUNT_BOUNDS:
            raise UnknownNameError("bound of an account", name, ACCOUNT_BOUNDS, where)


def judge_account(account: Account, bounds: Mapping[str, int]) -> AccountJudgement:
    """Hold an account to upper bounds.

    A count that is over its bound fails. One that is not known is never within a bound: the verdict
    is then ``invalid``, and so it is if nothing ran on the device, whatever the bounds are.

    Args:
        account: account of a call.
        bounds: names of ``ACCOUNT_BOUNDS`` -> the most that passes.
    """
    if not account.operations:
        return AccountJudgement("invalid", (_NO_WORK,))
    over, unknown = [], []
    for name, bound in bounds.items():
        count = find_count(account, name)
        if count is None:
            unknown.append(f"{name} is not known, at most {bound:,}: {_explain(account, name)}")
        elif count > bound:
            part = account.per_step if name.endswith(PER_STEP) else account
            places = list_places(part, name.removesuffix(PER_STEP)) if part else ()
            over.append(f"{name} is {count:,}, at most {bound:,}{_name_places(places)}")
    if over:
        return AccountJudgement("fail", (*over, *unknown))
    if unknown:
        return AccountJudgement("invalid", tuple(unknown))
    return AccountJudgement("pass" if bounds else None)


def list_places(account: Account, count: str) -> list[Place]:
    """List the places of a count, those with most first.

    Args:
        account: account of a call, or of a step.
        count: one of ``COUNTS``; those that nobody counts by lines have no places.
    """
    return [place for place in account.places if place.kind in (count, count.removesuffix("s"))]


def _explain(account: Account, bound: str) -> str:
    """Explain why a count is not known."""
    if bound.endswith(PER_STEP):
        steps = f"{account.steps} denoising step{'' if account.steps == 1 else 's'}"
        return (
            f"{steps} of diffusers' schedulers, and a step in steady state lies between two: let it"
            " take two or more"
        )
    if bound == "weight_bytes":
        return "what a callable prepares is no weights: only a setup's are known"
    return "nothing is compiled here, or it was not counted"


def _name_places(places: Sequence[Place]) -> str:
    told = [f"{place.count:,} at {place}" for place in places[:_MOST_PLACES]]
    left = len(places) - len(told)
    told += [f"and {left:,} more place{'' if left == 1 else 's'}"] if left else []
    return f": {'; '.join(told)}" if told else ""


# Two accounts of the same work


class AccountComparison(NamedTuple):
    """What a new account is to an old one.

    Attributes:
        verdict: ``fail`` if any count rises; ``invalid`` if one is known on one side alone, or the
            two are not of the same work; else ``pass``.
        reasons: why it does not pass, a text for each count.
        fewer: counts that are less than before, a text for each.
        places: lines that ask for more than before, those of a step first.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    fewer: tuple[str, ...]
    places: tuple[PlaceChange, ...]


def compare_accounts(old: Account, new: Account) -> AccountComparison:
    """Compare what two versions ask for the same work: any count that rises fails.

    A count rises if it does so in a step, or in the call. What a step asks for more does so in
    every step: only what the call asks for beyond that is told of the call. A line of code that
    moves within its file is the same place. What takes another number of steps is other work. An
    amount (FLOPs, bytes) of the call that rises by less than 0.1% fails nothing.

    Args:
        old: account of a call of the old version.
        new: account of the same call of the new one.
    """
    if not (old.operations and new.operations):
        return AccountComparison("invalid", (_NO_WORK,), (), ())
    changes, places = list_changes(old, new), find_more(old, new)
    unknown = tuple(_find_incomparable(old, new))
    reasons = tuple(f"{one}{_name_changes(places, one.name)}" for one in changes if one.rises)
    if reasons:
        verdict: Verdict = "fail"
    else:
        verdict = "invalid" if unknown else "pass"
    return AccountComparison(
        verdict,
        (*reasons, *unknown),
        tuple(str(one) for one in changes if one.now < one.was),
        drop_repeats(places),
    )


def list_changes(old: Account, new: Account) -> list[CountChange]:
    """List the counts that are known in two accounts, and differ.

    Args:
        old: account of a call.
        new: account of the same call, of another version or another day.
    """
    return [
        CountChange(name, was, now)
        for name, was, now in _list_counts(old, new)
        if was is not None and now is not None and was != now
    ]


def find_more(old: Account, new: Account) -> tuple[PlaceChange, ...]:
    """Find the lines of code that ask for more than before, those of a step first.

    Given the other way round, it finds those that ask for less by now.

    Args:
        old: account of a call.
        new: account of the same call.
    """
    return (*_find_more(old.per_step, new.per_step, per_step=True), *_find_more(old, new))


def _find_incomparable(old: Account, new: Account) -> Iterator[str]:
    """Yield why two accounts do not tell of the same."""
    if old.steps != new.steps:
        yield (
            f"the call takes {old.steps:,} -> {new.steps:,} denoising steps: that is not the same"
            " work"
        )
    for name, was, now in _list_counts(old, new):
        if (was is None) != (now is None):
            yield f"{name} is not known on one side: {_say(was)} -> {_say(now)}"


def _list_counts(old: Account, new: Account) -> Iterator[tuple[str, int | None, int | None]]:
    """Yield what is compared: the name of a bound, its count then and now.

    The counts of a call are left out if their steps explain them: what remains of the difference
    is zero. So are those of calls that take another number of steps.
    """
    for name in STEP_COUNTS:
        if old.per_step is not None or new.per_step is not None:
            bound = name + PER_STEP
            yield bound, find_count(old, bound), find_count(new, bound)
    for name in COUNTS if old.steps == new.steps else ():
        was, now = find_count(old, name), find_count(new, name)
        beyond = _find_beyond(old, new, name)
        if beyond is not None:
            yield name + _BEYOND, *beyond
        elif not _is_explained(old, new, name, was, now):
            yield name, was, now


def _find_beyond(old: Account, new: Account, name: str) -> tuple[int, int] | None:
    """Find what the call asks for beyond its steps, if that rises while the steps ask for less.

    The steps would hide it: the count of the whole call falls. None if there is nothing to hide,
    or if steps that differ from each other leave open what is beyond them.
    """
    if old.per_step is None or new.per_step is None or old.steps != new.steps:
        return None
    if name not in STEP_COUNTS or name in (*_LARGEST, *old.uneven_steps, *new.uneven_steps):
        return None
    if getattr(new.per_step, name) >= getattr(old.per_step, name):
        return None
    was, now = _count_beyond(old, name), _count_beyond(new, name)
    return (was, now) if was is not None and now is not None and now > was else None


def _count_beyond(account: Account, name: str) -> int | None:
    if account.per_step is None:
        return None
    step: int = getattr(account.per_step, name)
    return int(getattr(account, name)) - step * (account.steps - 1)


def read_count(account: Account, name: str) -> int | None:
    """Read the count that a change is told by, or None if it is not known.

    Args:
        account: account of a call.
        name: ``CountChange.name``.
    """
    if name.endswith(_BEYOND):
        return _count_beyond(account, name.removesuffix(_BEYOND))
    return find_count(account, name)


def _is_explained(old: Account, new: Account, name: str, was: int | None, now: int | None) -> bool:
    """Tell whether a count of the call differs by what its steps differ by, and nothing else."""
    if None in (was, now) or old.per_step is None or new.per_step is None or old.steps != new.steps:
        return False
    if name not in STEP_COUNTS:
        return False
    step = getattr(new.per_step, name) - getattr(old.per_step, name)
    call = (now or 0) - (was or 0)
    if name in _LARGEST:
        return bool(step) and step == call
    return bool(step) and call in (step * (new.steps - 1), step * new.steps)


def _say(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _find_more(
    old: Account | None, new: Account | None, *, per_step: bool = False
) -> tuple[PlaceChange, ...]:
    """Find the lines of code that ask for more than before, wherever in their file they are."""
    if old is None or new is None:
        return ()
    before = Counter[tuple[str, str, str]]()
    for place in old.places:
        before[place.kind, place.file, place.code] += place.count
    now: dict[tuple[str, str, str], list[Place]] = {}
    for place in new.places:
        now.setdefault((place.kind, place.file, place.code), []).append(place)
    known = {(place.kind, place.file, place.line): place.count for place in old.places}
    found = []
    for key, places in now.items():
        more = sum(place.count for place in places) - before[key]
        # Of equal lines, those that were not there before are told first.
        for place in sorted(places, key=lambda one: known.get((one.kind, one.file, one.line), 0)):
            if more > 0:
                told = min(more, place.count)
                found.append(PlaceChange(place, told, per_step))
                more -= told
    return tuple(found)


def drop_repeats(places: Sequence[PlaceChange]) -> tuple[PlaceChange, ...]:
    """Leave out what the call says of lines that the step has told of already.

    Args:
        places: lines of code, those of a step first.
    """
    told: dict[tuple[str, str, int], PlaceChange] = {}
    for change in places:
        told.setdefault((change.place.kind, change.place.file, change.place.line), change)
    return tuple(told.values())


def _name_changes(places: Sequence[PlaceChange], bound: str) -> str:
    """Name the lines that a rise comes from."""
    per_step = bound.endswith(PER_STEP)
    count = bound.removesuffix(PER_STEP).removesuffix(_BEYOND)
    own = [
        change
        for change in places
        if change.per_step == per_step and change.place.kind in (count, count.removesuffix("s"))
    ]
    told = [f"+{change.more:,} at {change.place}" for change in own[:_MOST_PLACES]]
    left = len(own) - len(told)
    told += [f"and {left:,} more place{'' if left == 1 else 's'}"] if left else []
    return f": {'; '.join(told)}" if told else ""
