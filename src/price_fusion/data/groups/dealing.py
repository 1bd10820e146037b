"""Whole groups dealt to parts, each part with its share of the rows of each price stratum.

A group is named by its canonically first product (``data/order.py``), and that product's price decides its stratum. All
arithmetic on the way to a part is of whole numbers: the parts depend on the products, their prices and the draw, and on
neither the order of rows, nor partitions, nor the number of threads. About 120 bytes a group are in memory at once.

The draw within a stratum sorts names by a bijective hash of 64 bits, the finalizer of SplitMix64 (Steele, Lea and Flood:
Fast Splittable Pseudorandom Number Generators, OOPSLA 2014), keyed by the draw. Names are MD5 sums: evenly spread already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids
from price_fusion.data.order import Keys, canonical_keys

Numbers = NDArray[np.int64]
_BITS = np.uint64(32)
"""Of the fractions, and of the offset within a group: a stratum may have up to 2**32 rows."""


@dataclass(frozen=True)
class Groups:
    """G groups of products that stay together."""

    names: Keys
    """(G, 2) keys of the canonically first product of each."""
    prices: NDArray[np.float64]
    """(G,) of that product."""
    sizes: Numbers
    """(G,) products in each."""

    def __len__(self) -> int:
        return len(self.sizes)

    def where(self, chosen: NDArray[np.bool_]) -> Groups:
        """Some of the groups, by a mask (G,)."""
        return Groups(self.names[chosen], self.prices[chosen], self.sizes[chosen])


def groups_of(ids: Ids, labels: NDArray[Any], prices: NDArray[np.float64]) -> tuple[Groups, Numbers]:
    """Groups of products in memory.

    Args:
        ids: (N,) of the products.
        labels: (N,) the same for products of one group.
        prices: (N,).

    Returns:
        the G groups, and the number (N,) of each product's group.
    """
    keys = canonical_keys(ids)
    _, group_of = np.unique(labels, return_inverse=True)
    order = np.lexsort((keys[:, 1], keys[:, 0], group_of))
    first = order[np.flatnonzero(np.diff(group_of[order], prepend=-1))]
    return Groups(keys[first], prices[first], np.bincount(group_of)), group_of


def deal(groups: Groups, fractions: Sequence[float], *, quantiles: int, draw: str, fill: bool = False) -> Numbers:
    """The part (G,) of each group.

    The groups of a stratum are put in an order drawn at random and laid end to end; a group goes to the part in which a
    point of its rows falls. An offset drawn per stratum spreads what rounding leaves over.

    Args:
        groups: G of them.
        fractions: of the parts, summing to 1.
        quantiles: number of strata; fewer where the smallest part would get less than one group of each, as chance alone
            would decide whether it gets any.
        draw: what the parts are for, and the seed; another text is another draw.
        fill: whether a part that should have some and got none gets a group of the part with the most.
    """
    parts = np.empty(len(groups), dtype=np.int64)
    if not len(groups):
        return parts
    least = min(fraction for fraction in fractions if fraction > 0)
    strata = _strata(groups.prices, max(1, min(quantiles, int(least * len(groups) + 1e-9))))
    last = int(np.flatnonzero(fractions)[-1])
    bounds = np.array([round(edge * 2**32) for edge in accumulate(fractions[:last])], dtype=np.uint64)
    drawn = _mixed(groups.names[:, 1] ^ _number(draw))
    order = np.lexsort((groups.names[:, 1], groups.names[:, 0], drawn, strata))
    for members in np.split(order, np.flatnonzero(np.diff(strata[order])) + 1):
        sizes = groups.sizes[members].astype(np.uint64)
        ends = np.cumsum(sizes)
        offset = _number(f"{draw}, stratum {strata[members[0]]}") >> _BITS
        points = ((ends - sizes) << _BITS) + sizes * offset
        parts[members] = np.searchsorted(bounds * ends[-1], points, side="right")
    if fill:
        _fill_empty_parts(parts, groups, fractions)
    return parts


def _fill_empty_parts(parts: Numbers, groups: Groups, fractions: Sequence[float]) -> None:
    """Give each part that should have some and got none the smallest group of the part with the most groups."""
    for part, fraction in enumerate(fractions):
        counts = np.bincount(parts, minlength=len(fractions))
        donor = int(counts.argmax())
        if fraction > 0 and not counts[part] and counts[donor] > 1:
            own = np.flatnonzero(parts == donor)
            smallest = np.lexsort((groups.names[own, 1], groups.names[own, 0], groups.sizes[own]))[0]
            parts[own[smallest]] = part


def _strata(prices: NDArray[np.float64], quantiles: int) -> Numbers:
    """(G,) price quantile of each group; equal prices are in the same."""
    cheaper = np.searchsorted(np.sort(prices), prices)
    return cheaper.astype(np.int64) * quantiles // len(prices)


def _number(text: str) -> np.uint64:
    """64 bits that follow from a text."""
    return np.uint64(int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[:8], "big"))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64: another order of the numbers below 2**64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
