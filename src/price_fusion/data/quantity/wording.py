"""How catalog texts word quantities: what one text says, before anything is made of it."""

from __future__ import annotations

import re
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

from price_fusion.data.quantity.units import LARGEST, UNITS

_FRACTIONS: Final = MappingProxyType(
    {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "⅛": " 1/8", "\N{FRACTION SLASH}": "/"}
)
_SIGNS: Final = MappingProxyType({"x": "\u00d7", "-": "\u2010\u2011\u2012\u2013\u2014", " ": "\u00a0\u2009\u202f"})
_PLAIN: Final = str.maketrans({**_FRACTIONS, **{sign: plain for plain, signs in _SIGNS.items() for sign in signs}})


def _any_of(kind: str, but: str = "") -> str:
    """What matches the spellings of a kind in running text, longest first."""
    names = sorted((name for name, (of, _) in UNITS.items() if of == kind and name not in but.split()), key=len)
    return "|".join(reversed(names))


_DIGITS = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+"
_NUMBER = (
    rf"(?:[0-9]+[\s-])?(?:1/[2348]|2/3|3/[48]|[57]/8)|[0-9]+,[0-9]{{1,2}}(?![0-9])|(?:{_DIGITS})?\.[0-9]+|{_DIGITS}"
)
"""12, 1,200.5, .75, the 3,53 of a decimal comma, and the fractions of a kitchen; any other 24/5 is 24 packs of 5."""
_START = r"(?=[0-9.])(?:(?<![\w.])|(?<=[0-9]x))(?!0[0-9])"
_MEASURE = (
    rf"(?:fl\.?\s*(?:oz|ounces?)|fluid\s*(?:oz|ounces?)|{_any_of('volume')}"
    rf"|{_any_of('weight', but='mg milligram milligrams')})(?![a-z])"
)
_LIGHT_PIECE = r"(?:tea\s*bags?|k-?\s*cups?|pods?|capsules?|tablets?|sachets?|packets?|pieces?|pcs?|infusers?)"
_CONTAINER = r"(?:bottles?|cans?|jars?|pouches|bags?|boxes|tins?|cartons?|canisters?|tubs?|trays?|units?)"
_GROUP = r"(?:packs?|pks?|cases?|sets?|boxes|bags|cartons|tins|bundles?)"
_NUTRIENT = (
    r"(?:proteins?|fib(?:er|re)|sugars?|carbs?|carbohydrates|(?:trans\s|saturated\s)?fat|caffeine|sodium|collagen|omega"
    r"|(?:whole\s)?grains|per\s+serving)"
)
_NUTRITION = rf"[0-9]{{1,2}}(?:\.[0-9]+)?\s*g(?:rams?)?[\s-]+(?:of\s+)?(?:[a-z-]+\s+){{0,2}}?{_NUTRIENT}\b"
"""24g protein: what is in a serving, not how much is sold."""

_SIZE = re.compile(
    rf"{_START}(?!{_NUTRITION})({_NUMBER})\s*-?\s*({_MEASURE})"
    r"(?:\.?\s*(?:\([^)]*\)\s*)?(?:[a-z]+\s+)?"
    r"(each|ea|per|bottles|cans|jars|bags|pouches|boxes|bars|tins|cartons|cups|sticks|packets|packages|tubs)\b)?"
)
"""Number, unit, and what tells that it is the size of each of several pieces, as in 1.4 oz bars."""
_LIGHT = re.compile(rf"\b(?:tea|teas|coffee|gums?|gumballs?|{_LIGHT_PIECE})\b")
"""Where pieces are as light as tea bags, the size in a title is that of all of them."""
_PACKS = (
    re.compile(rf"{_START}([0-9]+)[\s-]?{_GROUP}\s+of\s+(?=[0-9])"),
    re.compile(
        r"\b(?:(?:packs?|cases?|set|bundle|lot|pk|carton|quantity|qty)\s*(?:of|:)|pk\s*-)"
        rf"\s*([0-9]+)(?!\.?[0-9]|\s*-?\s*(?:{_MEASURE}|{_LIGHT_PIECE}\b))"
    ),
    re.compile(rf"{_START}([0-9]+)\)?\s*-?\s*(?:snack\s+)?(?:packs?|pk|pck|case)\b"),
    re.compile(rf"{_START}([0-9]+)\s*(?:per|/|in\s+a|a)\s*(?:case|cs|pack|carton)\b"),
    re.compile(
        rf"{_START}([0-9]+)\s*x\s*(?=(?:{_NUMBER})\s*-?\s*(?:{_MEASURE}|{_LIGHT_PIECE}\b|(?:ct|count|bags?)\b))"
    ),
    re.compile(rf"{_START}(?!(?:{_NUMBER})\s*-?\s*{_MEASURE})([0-9]+)\s*/\s*(?=(?:{_NUMBER})\s*-?\s*{_MEASURE})"),
    re.compile(rf"[0-9]\s*{_MEASURE}\.?\)?\s*x\s*([0-9]+)(?!\.?[0-9]|\s*-?\s*{_MEASURE})"),
)
"""How many of an item are sold together, the clearest wording first."""
_AMONG = rf"{_START}(?<![0-9]-)(?<!#)({_DIGITS})\s*-?\s*"
_CONTAINERS = re.compile(rf"{_AMONG}{_CONTAINER}\b(?!\s*of\b)")
_COUNTS = (
    re.compile(rf"[0-9][\s-]?{_GROUP}\s+of\s+([0-9]+)(?!\.?[0-9]|\s*-?\s*{_MEASURE})"),
    re.compile(rf"{_AMONG}(?:counts?|cts?|each|ea|pieces?|pcs?)\b"),
    re.compile(rf"{_AMONG}(?:[a-z-]+\s+){{0,2}}?{_LIGHT_PIECE}(?![a-z])"),
    re.compile(rf"\bbox\s+of\s+([0-9]+)(?!\.?[0-9]|\s*-?\s*{_MEASURE})"),
    re.compile(rf"{_START}([0-9]+)\s*(?:per|/|in\s+a|a)\s*box\b"),
    re.compile(rf"{_AMONG}(?:bars?|sticks?|rolls?|cups)\b(?!\s*of\b)"),
    _CONTAINERS,
)
"""How many pieces an item holds."""

_FIRST_LINE = re.compile(r"\A\s*(?!Item Name[ \t]*:|Value[ \t]*:|Unit[ \t]*:)(.*)")
_NAME = re.compile(r"(?m)^[ \t]*Item Name[ \t]*:[ \t]*(.*)$")
_VALUE, _UNIT = (re.compile(rf"\A(?s:.*)(?m:^)[ \t]*{name}[ \t]*:[ \t]*([^\n]*)") for name in ("Value", "Unit"))
"""The last line of its kind, as fields follow the description."""
_BULLET_POINT = re.compile(r"(?m)^[ \t]*Bullet Point")
_BLANKS = re.compile(r"\s+")
_DECIMAL_COMMA = re.compile("[0-9]+,[0-9]{1,2}")
_NAN = float("nan")


class Wording(NamedTuple):
    """What one text says; NaN where it says nothing."""

    value: str
    """Of the field; empty where there is none."""
    unit: str
    """Of the field; empty where there is none."""
    size: float
    """The number of the first weight or volume in the title."""
    size_unit: str
    """Its unit; empty where there is none."""
    of_each: bool
    """Whether that size is worded as that of each of several pieces."""
    pack: float
    """How many of an item are sold together, by the title."""
    pieces: float
    """How many pieces an item holds, by the title."""
    containers: float
    """How many bottles, cans or the like the title counts."""
    light: bool
    """Whether pieces may be as light as tea bags."""
    title_length: int
    """Characters."""
    text_length: int
    """Characters."""
    bullet_points: int


def read_wording(text: str) -> Wording:
    """What a catalog text says of quantities, in its fields and, apart from them, in its title."""
    title = _title(text)
    # One space at most between words: the patterns' time grows with the square of longer gaps.
    plain = _BLANKS.sub(" ", title.translate(_PLAIN).lower())
    size = _SIZE.search(plain)
    return Wording(
        value=_field(_VALUE, text),
        unit=_field(_UNIT, text),
        size=_number(size[1]) if size else _NAN,
        size_unit=size[2] if size else "",
        of_each=bool(size and size[3]),
        pack=_first_of(_PACKS, plain),
        pieces=_first_of(_COUNTS, plain),
        containers=_first_of((_CONTAINERS,), plain),
        light=bool(_LIGHT.search(plain)),
        title_length=len(title),
        text_length=len(text),
        bullet_points=len(_BULLET_POINT.findall(text)),
    )


def _title(text: str) -> str:
    """The field ``Item Name``, or the first line of a text without it."""
    found = _NAME.search(text) or _FIRST_LINE.match(text)
    return found[1] if found else ""


def _field(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return found[1].strip() if found else ""


def _first_of(patterns: tuple[re.Pattern[str], ...], title: str) -> float:
    """The number that the first matching pattern finds in a title; NaN where none does, or it is absurd."""
    for pattern in patterns:
        found = pattern.search(title)
        if found and 0 < (number := _number(found[1])) <= LARGEST["count"]:
            return number
    return _NAN


def _number(text: str) -> float:
    """The number in a text that ``_NUMBER`` matches."""
    if text.isdecimal():
        return float(text)
    if "/" in text:
        return sum(float(Fraction(part)) for part in re.split(r"[\s-]", text))
    return float(text.replace(",", "." if _DECIMAL_COMMA.fullmatch(text) else ""))
