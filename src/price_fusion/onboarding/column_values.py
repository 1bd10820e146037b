"""What the values of a column show: numbers, links, dates, prose, or how many there are. Each is worked out once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.placeholders import without_placeholders
from price_fusion.data.prices import parse_numbers
from price_fusion.data.readers.layout import Layout

_LAYOUTS = (Layout(), Layout(decimal=","), Layout(thousands=","), Layout(decimal=",", thousands="."))
"""Of numbers, that are tried in this order."""
_FIRST = 100
_LINK = re.compile(r"(?:https?://|www\.)\S+$|\S+\.(?:jpe?g|png|webp|gif)$", re.IGNORECASE)
_PICTURE = re.compile(r"\.(?:jpe?g|png|webp|gif)(?:$|\?)", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}")


class ColumnValues:
    """The values of a column.

    Args:
        texts: (N,) as the file has them.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = without_placeholders(texts)
        """(N,), empty where there is none."""
        self._numbers: dict[Layout, NDArray[np.float64]] = {}

    @cached_property
    def known(self) -> list[str]:
        """Those that are not empty, without outer blanks."""
        return [text.strip() for text in self.texts if text]

    @cached_property
    def different(self) -> int:
        """How many different ones there are."""
        return len(set(self.known))

    @cached_property
    def repeated(self) -> dict[str, int]:
        """How often there is each value that is there more than once."""
        return {value: count for value, count in Counter(self.known).items() if count > 1}

    @property
    def each_once(self) -> bool:
        """Whether there is one for each product, none of them twice."""
        return len(self.texts) == len(self.known) == self.different

    @cached_property
    def layout(self) -> Layout | None:
        """The separators under which all known ones are numbers; None: there are none, or no values."""
        return next((layout for layout in _LAYOUTS if self.known and self.are_numbers(layout)), None)

    @cached_property
    def not_numbers(self) -> list[str]:
        """The known ones that are not numbers, under the separators that leave the fewest of them."""
        left = [
            [value for value, number in zip(self.known, self.numbers(layout), strict=True) if np.isnan(number)]
            for layout in _LAYOUTS
        ]
        return min(left, key=len)

    def are_numbers(self, layout: Layout) -> bool:
        """Whether all known ones are numbers."""
        first = parse_numbers(
            self.known[:_FIRST], layout.decimal, layout.thousands
        )  # most texts are none from the start
        return not np.isnan(first).any() and not np.isnan(self.numbers(layout)).any()

    def numbers(self, layout: Layout) -> NDArray[np.float64]:
        """The known ones as numbers, NaN where one is none."""
        if layout not in self._numbers:
            self._numbers[layout] = np.array(parse_numbers(self.known, layout.decimal, layout.thousands))
        return self._numbers[layout]

    @cached_property
    def has_fractions(self) -> bool:
        """Whether they are numbers of which some are not whole."""
        return self.layout is not None and bool(np.any(self.numbers(self.layout) % 1))

    @cached_property
    def have_leading_zeros(self) -> bool:
        """Whether one of them begins with a zero that a number would not have: ``007``, but neither ``0`` nor ``0.7``."""
        return any(_LEADING_ZERO.match(value) for value in self.known)

    @cached_property
    def words(self) -> float:
        """Words of a value, on average."""
        return sum(len(value.split()) for value in self.known) / max(1, len(self.known))

    @cached_property
    def are_links(self) -> bool:
        """Whether most of them are."""
        return self._mostly(_LINK)

    @cached_property
    def are_dates(self) -> bool:
        """Whether most of them are."""
        return self._mostly(_DATE)

    @cached_property
    def has_pictures(self) -> bool:
        """Whether one of them is a link of a picture."""
        return any(_PICTURE.search(value) for value in self.known)

    def _mostly(self, pattern: re.Pattern[str]) -> bool:
        return sum(bool(pattern.match(value)) for value in self.known) > len(self.known) / 2


Columns = Mapping[str, ColumnValues]
"""By name."""


def rank_correlation(column: ColumnValues, other: ColumnValues, layout: Layout, least: int) -> float:
    """How nearly two columns of numbers put products in the same order, or the opposite one: 0 to 1.

    Args:
        column: of numbers.
        other: likewise.
        layout: of both.
        least: how many products must have both; 0 of fewer.
    """
    both = np.array([bool(one) and bool(two) for one, two in zip(column.texts, other.texts, strict=True)])
    if both.sum() < least:
        return 0.0
    ranks = [_ranks(part, both, layout) for part in (column, other)]
    return 0.0 if min(one.max() for one in ranks) == 0 else float(abs(np.corrcoef(ranks[0], ranks[1])[0, 1]))


def _ranks(column: ColumnValues, wanted: NDArray[np.bool_], layout: Layout) -> NDArray[np.intp]:
    has = np.array([bool(one) for one in column.texts])
    return np.unique(column.numbers(layout)[wanted[has]], return_inverse=True)[1]
