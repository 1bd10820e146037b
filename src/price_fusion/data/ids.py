"""Product ids: which ids there may be, and how those of two files are compared.

The ids of a file are int64 where each is a whole number within 64 bits written without leading zeros, and text otherwise.
Numbers and text are compared as text: ``123`` is ``"123"``, and ``"00123"`` is another product. Text is compared character
by character, without outer blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from price_fusion.errors import SHOWN, AlignmentError, DataError, few
from price_fusion.lazy import pd

Ids = NDArray[np.int64] | NDArray[np.str_]

LONGEST = 256
"""Characters of an id."""
_FORMULA = "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
_NEGATIVE_NUMBER = re.compile(r"-[1-9][0-9]*")
_DECIMALS = re.compile(r"\.0+$")

_RULES: tuple[tuple[Callable[[str], bool], str, str], ...] = (
    (lambda text: not text, "missing", "Give each product an id, or remove it"),
    (lambda text: len(text) > LONGEST, f"longer than {LONGEST} characters", "Shorten them, everywhere alike"),
    (
        lambda text: not text.isprintable(),
        "with characters that cannot be seen (control characters, or blanks other than the plain one)",
        "Remove these characters, everywhere alike",
    ),
    (
        lambda text: text.startswith(tuple(_FORMULA)) and not _NEGATIVE_NUMBER.fullmatch(text),
        "such as a spreadsheet reads as a formula (they begin with =, +, - or @)",
        "Rename them, everywhere alike",
    ),
)
"""What an id must not be, what a message calls it, and what to do."""


def parse_ids(
    values: Sequence[str],
    origin: str,
    *,
    place: str = "row",
    numbers: Sequence[int] | None = None,
    repeats: bool = False,
) -> tuple[Ids, list[DataError]]:
    """Ids of one file from their text.

    Args:
        values: N ids; outer blanks are removed.
        origin: the file, for messages.
        place: what a place in the file is called.
        numbers: of the places, (N,); 0 to N - 1 by default.
        repeats: whether the same id may occur again; ``repeated_ids`` is then for the caller.

    Returns:
        int64 or fixed-width unicode (N,), and all that is wrong with them, of one kind each. The ids are of use only
        where nothing is.
    """
    numbers = range(len(values)) if numbers is None else numbers
    text = [value.strip() for value in values]
    whole = whole_numbers(text)
    if whole is not None:
        return whole, [] if repeats else repeated_ids(whole, origin, place=place, numbers=numbers)
    problems = []
    for broken, what, advice in _RULES:
        rows = [row for row, value in enumerate(text) if broken(value)]
        if rows:
            shown = _listing([f"{place} {numbers[row]}: {_shortened(values[row])}" for row in rows])
            problems.append(DataError(f"{origin}: {len(rows):,} id(s) {what}: {shown}. {advice}."))
    if problems:
        # One id that is too long makes a wide array; half a surrogate pair cannot be looked up.
        text = [value if len(value) <= LONGEST and value.isprintable() else "" for value in text]
    ids = np.array(text, dtype=np.str_)
    return ids, problems if repeats else [*problems, *repeated_ids(ids, origin, place=place, numbers=numbers)]


def whole_numbers(text: Sequence[str]) -> NDArray[np.int64] | None:
    """The ids as int64 (N,) if each is a whole number within 64 bits without leading zeros or signs, else nothing."""
    try:
        numbers = list(map(int, text))
        return np.array(numbers, dtype=np.int64) if list(map(str, numbers)) == list(text) else None
    except (ValueError, OverflowError):
        return None


def repeated_ids(
    ids: Ids, origin: str, *, place: str = "row", numbers: Sequence[int] | None = None, advice: str = ""
) -> list[DataError]:
    """An error if ids occur twice, and one if there are ids that only Unicode's ways to write a letter tell apart.

    Args:
        ids: (N,).
        origin: the file, for messages.
        place: what a place in the file is called.
        numbers: of the places, (N,); 0 to N - 1 by default.
        advice: what else may be done about ids that occur twice.
    """
    numbers = range(len(ids)) if numbers is None else numbers
    index = pd.Index(ids)
    index = index[index != ""] if ids.dtype.kind == "U" else index
    problems: list[DataError] = []
    repeats = index[index.duplicated()].unique()
    if len(repeats):
        shown = _listing(
            [
                f"{_named(value)} in {_places(np.flatnonzero(ids == value), place, numbers)}"
                for value in repeats[:SHOWN]
            ],
            len(repeats),
        )
        problems.append(
            AlignmentError(
                f"{origin}: {len(repeats):,} id(s) occur more than once: {shown}; expected each id once. "
                f"Keep one {place} for each product{advice}."
            )
        )
    twins = _twins(index.unique().tolist()) if ids.dtype.kind == "U" else []
    if twins:
        shown = _listing([f"{one!a} and {other!a}" for one, other in twins])
        problems.append(
            AlignmentError(
                f"{origin}: {len(twins):,} pair(s) of ids look the same and are written with other Unicode characters: "
                f"{shown}; expected ids that are distinguishable. Write each letter in one way (NFC) in all files."
            )
        )
    return problems


def ids_of(column: pd.Series[Any]) -> Ids:
    """A frame's ids as an array (N,): int64, or fixed-width unicode."""
    if pd.api.types.is_integer_dtype(column.dtype):
        return column.to_numpy(np.int64)
    return np.array([str(value) for value in column.tolist()], dtype=np.str_)


def id_column(values: pd.Series[str]) -> pd.Series[Any]:
    """Ids of a file that was written by this program: as int64 if all are whole numbers, else as they are."""
    numbers = whole_numbers(values.tolist())
    return values if numbers is None else pd.Series(numbers, index=values.index, name=values.name)


def rows_of(wanted: ArrayLike, among: ArrayLike) -> NDArray[np.int64]:
    """Row of each wanted id, (M,), among unique ids (N,); -1 where it is not there."""
    wanted, among = comparable(wanted, among)
    if among.dtype.kind == "U":
        places = pd.Index(among.tolist(), dtype=object).get_indexer(pd.Index(wanted.tolist(), dtype=object))
        return np.asarray(places, dtype=np.int64)
    if not len(among):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(among, kind="stable")
    ordered = among[order]
    places = np.minimum(np.searchsorted(ordered, wanted), len(among) - 1)
    return np.where(ordered[places] == wanted, order[places], -1).astype(np.int64)


def are_among(ids: ArrayLike, others: ArrayLike) -> NDArray[np.bool_]:
    """(N,) whether each id is one of the others."""
    ids, others = comparable(ids, others)
    return np.isin(ids, others)


def same_ids(ids: ArrayLike, others: ArrayLike) -> bool:
    """Whether two files have the same ids in the same order."""
    return bool(np.array_equal(*comparable(ids, others)))


def lacking(ids: ArrayLike, others: ArrayLike) -> Ids:
    """Those of the ids that are none of the others, sorted."""
    return np.setdiff1d(*comparable(ids, others))


def comparable(ids: ArrayLike, others: ArrayLike) -> tuple[Ids, Ids]:
    """Both as int64 if both are numbers, else both as text."""
    both = tuple(ids_of(each) if isinstance(each, pd.Series) else np.asarray(each) for each in (ids, others))
    if all(each.dtype.kind in "iu" or not each.size for each in both):
        return both[0].astype(np.int64, copy=False), both[1].astype(np.int64, copy=False)
    return both[0].astype(np.str_, copy=False), both[1].astype(np.str_, copy=False)


def lookalikes(missing: Ids, unmatched: Ids) -> list[tuple[Any, Any]]:
    """Pairs of an id that was not found and one that nothing asked for, and that may be meant to be the same.

    They differ by leading zeros, a ``.0`` at the end, capitals, blanks or other Unicode characters for the same letters.
    """
    if missing.dtype.kind != "U" and unmatched.dtype.kind != "U":
        return []
    known = {likeness(str(value)): value for value in unmatched.tolist()}
    found = ((value, known.get(likeness(str(value)))) for value in missing.tolist())
    return [(value, other) for value, other in found if other is not None]


def described_lookalikes(pairs: Sequence[tuple[Any, Any]]) -> str:
    """Pairs of ids in a message, and what may be the matter."""
    shown = _listing([f"{_named(one)} and {_named(other)}" for one, other in pairs])
    return (
        f"{len(pairs):,} id(s) look alike but for leading zeros, '.0', capitals, blanks or Unicode characters ({shown}); "
        "ids are never matched by guessing: write them in one way in all files, as text where zeros lead"
    )


def listed(ids: ArrayLike) -> str:
    """The first ids in a message."""
    array = np.asarray(ids)
    return few([_named(value) for value in array[:SHOWN].tolist()], len(array))


def likeness(text: str) -> str:
    """What is left of an id without leading zeros, a ``.0`` at the end, capitals, blanks and other ways to write a letter.

    The one comparison of ids that look alike, in memory and in partitions; a microsecond each. Letters are compared as Unicode's compatibility caseless match does (NFKC, case folded): ``STRASSE`` and ``straße`` are alike.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _DECIMALS.sub("", "".join(folded.split())).lstrip("0")


def _twins(texts: Sequence[str]) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    composed = ((text, unicodedata.normalize("NFC", text)) for text in texts)
    return [(first[key], text) for text, key in composed if first.setdefault(key, text) != text]


def _places(rows: NDArray[np.intp], place: str, numbers: Sequence[int]) -> str:
    return f"{place}s {', '.join(str(numbers[row]) for row in rows[:SHOWN])}"


def _listing(items: Sequence[str], count: int | None = None) -> str:
    count = len(items) if count is None else count
    return "; ".join(items[:SHOWN]) + (f" and {count - SHOWN:,} more" if count > SHOWN else "")


def _named(value: Any) -> str:
    return _shortened(value) if isinstance(value, str) else str(value)


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."
