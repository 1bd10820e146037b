"""Tables with a column of floats for each dimension of a vector: which columns these are, and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from price_fusion.data.readers.names import absent
from price_fusion.errors import DataError, few

_NUMBERED = re.compile(r"(.*?)([0-9]+)")
_WILD = re.compile(r"[*?\[]")
_TARGETS = ("price", "target", "label")
"""Columns of floats that are never a dimension."""


def dimensions(floats: Sequence[str], others: Sequence[str], pattern: str | None, origin: str) -> list[str]:
    """Names of the columns of a vector, in the order of its dimensions.

    Columns that are numbered through (``emb_0``, ``emb_1``, ...) are put in the order of their numbers, in the places that they have.

    Args:
        floats: columns of floats, in the order of the file.
        others: columns that are neither floats nor the ids.
        pattern: what the names of the wanted columns look like, such as ``emb_*``; by default all columns of floats are wanted, and
            there must be no others.
        origin: the file, for messages.

    Raises:
        DataError: if there are none, others that nothing tells apart, or a target among them.
    """
    if pattern is not None and not _WILD.search(pattern):
        raise absent(origin, "column", pattern, [*floats, *others])
    wanted = list(floats) if pattern is None else [name for name in floats if fnmatchcase(name, pattern)]
    doubtful = [] if pattern else [*others, *(name for name in floats if name.strip().lower() in _TARGETS)]
    if doubtful or not wanted:
        what = (
            f"columns that are no dimensions ({few(list(map(repr, doubtful)))})" if doubtful else "no column of floats"
        )
        raise DataError(
            f"{origin}: found no column {pattern or 'embedding'!r}, and {what}, expected a column of vectors, or a column of floats "
            "for each dimension and nothing else but ids. Name the columns in the catalog entry (embeddings: NAME, or embeddings: "
            "'emb_*' for a column a dimension), or leave the others out."
        )
    return _in_order(wanted)


def _in_order(names: list[str]) -> list[str]:
    found = [_NUMBERED.fullmatch(name) for name in names]
    prefixes = [match[1] for match in found if match]
    if not prefixes:
        return names
    prefix = max(dict.fromkeys(prefixes), key=prefixes.count)
    numbered = {int(match[2]): match[0] for match in found if match and match[1] == prefix}
    places = [place for place, match in enumerate(found) if match and match[1] == prefix]
    if sorted(numbered) not in (list(range(len(places))), list(range(1, len(places) + 1))):
        return names
    ordered = list(names)
    for place, number in zip(places, sorted(numbered), strict=True):
        ordered[place] = numbered[number]
    return ordered
