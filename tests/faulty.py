"""Documents with faults: what a valid one becomes when parts are dropped, replaced, renamed, doubled or swapped."""

from __future__ import annotations

import copy

from hypothesis import strategies as st


def places(holder):
    """Yield every place of a document: what holds it, and its key or index."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], (dict, list)):
            yield from places(holder[key])


@st.composite
def faulty(draw, documents, keys, values, most=3):
    """One of some valid documents, with a few faults of which some are none.

    Args:
        draw: hypothesis'.
        documents: dicts of dicts, lists and scalars.
        keys: strategy of names that take the place of one.
        values: strategy of what takes the place of anything.
        most: how many faults.
    """
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, most))):
        known = list(places(document))
        if not known:
            break
        holder, key = draw(st.sampled_from(known))
        change = draw(st.sampled_from(["replace", "drop", "rename", "double", "copy"]))
        if change == "drop":
            del holder[key]
        elif change == "rename" and isinstance(holder, dict):
            holder[draw(keys)] = holder.pop(key)
        elif change == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif change == "copy":
            other, place = draw(st.sampled_from(known))
            holder[key] = copy.deepcopy(other[place])
        else:
            holder[key] = draw(values)
    return document
