"""What listings state as ``Value`` and ``Unit``: mostly the quantity, in many spellings, and sometimes nonsense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import Draws, Integers
from .latent_products import Products
from .vocabulary import CATEGORIES

NOT_STATED = -1
"""Stands for a ``Value`` or a ``Unit`` that the listing leaves open."""


@dataclass(frozen=True)
class Spelling:
    """One way to write a unit, and what it takes to get there from the category's unit."""

    text: str
    multiply: int = 1
    divide: int = 1
    weight: int = 1
    """Out of 64."""


_SPELLINGS_BY_UNIT = {
    "Ounce": (
        Spelling("Ounce", weight=50),
        Spelling("ounce", weight=6),
        Spelling("oz", weight=4),
        Spelling("OZ"),
        Spelling("ounces"),
        Spelling("Pound", divide=16),
        Spelling("gram", multiply=2835, divide=100),
    ),
    "Fl Oz": (
        Spelling("Fl Oz", weight=56),
        Spelling("fl oz", weight=4),
        Spelling("Fl. Oz"),
        Spelling("Fluid Ounce"),
        Spelling("FL OZ"),
        Spelling("millilitre", multiply=2957, divide=100),
    ),
    "Count": (
        Spelling("Count", weight=56),
        Spelling("count", weight=5),
        Spelling("ct"),
        Spelling("COUNT"),
        Spelling("Each"),
    ),
}

SPELLINGS = tuple(spelling for group in _SPELLINGS_BY_UNIT.values() for spelling in group)

_COUNT = next(index for index, spelling in enumerate(SPELLINGS) if spelling.text == "Count")
_ABSURD_LOW = 1_000_000
_ABSURD_SPAN = 3_600_000


@dataclass(frozen=True)
class StatedQuantities:
    """What N listings state; ``NOT_STATED`` where they do not."""

    hundredths: Integers
    """``Value`` times 100."""
    spelling: Integers
    """Index into ``SPELLINGS``."""
    lines_left_out: NDArray[np.bool_]
    """Whether the text has neither a ``Value`` nor a ``Unit`` line; otherwise an open one reads ``None``."""


def state_quantities(products: Products, seed: int) -> StatedQuantities:
    """Write down quantities as sellers do.

    Out of 1,000 listings, 12 state neither value nor unit (every second one has no such lines at all), 6 no unit, 30
    the value 1 count, 60 the packs instead of the contents, 3 an absurd value (10,000 to 46,000) and 2 zero.
    """
    draws = Draws(seed, "quantities")
    count = len(products)
    spelling = _draw_spellings(draws, products)
    multiply = np.array([entry.multiply for entry in SPELLINGS])[spelling]
    divide = np.array([entry.divide for entry in SPELLINGS])[spelling]
    value = products.contents * products.packs * multiply // divide
    absurd = _ABSURD_LOW + draws.below(_ABSURD_SPAN, count)
    roll = draws.below(1_000, count)
    open_both, open_unit = roll < 12, (roll >= 12) & (roll < 18)
    one, packs = (roll >= 18) & (roll < 48), (roll >= 48) & (roll < 108)
    value = np.select(
        [open_both, one, packs, (roll >= 108) & (roll < 111), (roll >= 111) & (roll < 113)],
        [np.full(count, NOT_STATED), np.full(count, 100), 100 * products.packs, absurd, np.zeros(count, np.int64)],
        default=value,
    )
    spelling = np.select(
        [open_both | open_unit, one | packs], [np.full(count, NOT_STATED), np.full(count, _COUNT)], default=spelling
    )
    owner = products.text_of
    return StatedQuantities(value[owner], spelling[owner], (open_both & (roll % 2 == 0))[owner])


def _draw_spellings(draws: Draws, products: Products) -> Integers:
    """Index into ``SPELLINGS`` for each product, by the weights of its category's unit."""
    tables = {}
    start = 0
    for unit, group in _SPELLINGS_BY_UNIT.items():
        indices = np.arange(start, start + len(group))
        tables[unit] = np.repeat(indices, [entry.weight for entry in group])
        start += len(group)
    by_category = np.stack([tables[entry.unit] for entry in CATEGORIES])
    chosen: Integers = by_category[products.category, draws.below(by_category.shape[1], len(products))]
    return chosen
