"""What shops call the columns of their products, in the languages that were met.

Names count as words: ``priceEUR``, ``price_eur`` and ``Price (EUR)`` are the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from importlib.resources import files

import yaml

_NAMES = yaml.safe_load(files(__package__).joinpath("headings.yml").read_text(encoding="utf-8"))
_ROLES = ("id", "price", "price_like", "title", "prose", "image")
ID, PRICE, PRICE_LIKE, TITLE, PROSE, IMAGE = (tuple(_NAMES[role].split()) for role in _ROLES)
ABOUT_PRICE = frozenset(_NAMES["about_price"].split())
"""Words of columns that may tell the price."""
_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "zł": "PLN"}
"""Signs of one currency; $ and ¥ are of several."""
CURRENCIES = frozenset(_NAMES["currency"].upper().split())


def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name, in lower case and without accents."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    plain = plain.replace("ł", "l").replace("Ł", "L")  # Unicode takes its stroke for no accent
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"[a-z0-9]+", parted.casefold()))


def match(name: str, known: Sequence[str]) -> float:
    """How well a name is one of those known, the first ones best: 0 not at all, at most 2."""
    words = words_of(name)
    whole = [one.replace("_", "") for one in known]
    if (joined := "".join(words)) in whole:
        return 2 - whole.index(joined) / len(known)
    inside = [known.index(word) for word in words if word in known]
    return 1 - min(inside) / len(known) if inside else 0.0


def currency_in(name: str) -> str | None:
    """The currency that a column's name has among its words."""
    named = [word.upper() for word in words_of(name) if word.upper() in CURRENCIES]
    return next(iter([*named, *(currency for sign, currency in _SIGNS.items() if sign in name)]), None)
