"""Units as catalogs spell them: their kind, and their size in the base unit of that kind."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

UNKNOWN: Final = "unknown"
OUNCE: Final = 28.349523
FLUID_OUNCE: Final = 29.573530

_SPELLINGS: Final = {
    ("weight", 1e-3): "mg milligram milligrams",
    ("weight", 1.0): "g gr gm gms gram grams gramm gramme grammes",
    ("weight", 1e3): "kg kgs kilo kilos kilogram kilograms",
    ("weight", OUNCE): "oz ozs ounce ounces onz onza onzas",
    ("weight", 453.59237): "lb lbs pound pounds",
    ("volume", 1.0): "ml mls millilitre millilitres milliliter milliliters",
    ("volume", 10.0): "cl centilitre centiliter",
    ("volume", 1e3): "l lt ltr litre litres liter liters",
    ("volume", FLUID_OUNCE): "floz flozs fluidoz fluidounce fluidounces flounce flounces floza",
    ("volume", 473.17647): "pt pint pints",
    ("volume", 946.35295): "qt quart quarts",
    ("volume", 3785.4118): "gal gallon gallons",
    ("count", 1.0): (
        "count counts ct cts each ea piece pieces pc pcs can cans jar jars bottle bottles bag bags teabag teabags pack packs "
        "packet packets pouch pouches box boxes bar bars stick sticks pod pods kcup kcups capsule capsules cup cups roll "
        "rolls sachet sachets tablet tablets unit units serving servings tin tins carton cartons"
    ),
}

UNITS: Final = MappingProxyType(
    {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
)
"""Kind (``weight``, ``volume``, ``count``) and size in its base unit (gram, millilitre, piece) of each spelling, written in
lower case without anything but letters. The avoirdupois and US customary units are those of NIST Handbook 44, appendix C."""

LARGEST: Final = MappingProxyType({"weight": 1e5, "volume": 1e5, "count": 1e4})
"""Above 100 kg, 100 l or 10,000 pieces a stated quantity is taken for a mistake, and for missing."""


def parse_unit(text: str) -> tuple[str, float]:
    """Kind and size in its base unit of a unit as a catalog spells it; ``("unknown", nan)`` where it is none.

    Examples:
        >>> parse_unit("Fl. Oz")
        ('volume', 29.57353)
        >>> parse_unit("20 oz.")
        ('weight', 28.349523)
        >>> parse_unit("furlong")
        ('unknown', nan)
    """
    first = re.split(r"[/,;(:]", text, maxsplit=1)[0]
    return UNITS.get(re.sub(r"[^a-z]", "", first.lower()), (UNKNOWN, float("nan")))
