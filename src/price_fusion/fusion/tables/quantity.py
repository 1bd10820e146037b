"""How much of a product its catalog text offers: weight, volume, count and pack size, in one base unit each.

Catalog texts state a quantity twice: in fields (``Value: 72.0``, ``Unit: Fl Oz``) and in the title ("12 Ounce (Pack of
6)"). Neither is always there nor always right, so both are read, apart from each other, and a model may weigh them.
"""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Numbers = NDArray[np.float64]
Kinds = NDArray[np.object_]
Flags = NDArray[np.bool_]

UNKNOWN: Final = "unknown"
_OUNCE: Final = 28.349523
_FLUID_OUNCE: Final = 29.573530

_SPELLINGS: Final = {
    ("weight", 1e-3): "mg milligram milligrams",
    ("weight", 1.0): "g gr gm gms gram grams gramm gramme grammes",
    ("weight", 1e3): "kg kgs kilo kilos kilogram kilograms",
    ("weight", _OUNCE): "oz ozs ounce ounces onz onza onzas",
    ("weight", 453.59237): "lb lbs pound pounds",
    ("volume", 1.0): "ml mls millilitre millilitres milliliter milliliters",
    ("volume", 10.0): "cl centilitre centiliter",
    ("volume", 1e3): "l lt ltr litre litres liter liters",
    ("volume", _FLUID_OUNCE): "floz flozs fluidoz fluidounce fluidounces flounce flounces floza",
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

NUMERIC: Final = (
    "weight",
    "volume",
    "count",
    "title_weight",
    "title_volume",
    "title_count",
    "pack",
    "pieces",
    "amount",
    "title_length",
    "text_length",
    "bullet_points",
)
"""Numeric columns, natural logarithms all: grams, millilitres and pieces as the fields state them; the same of one item and
its packs as the title does; pieces in all; the likeliest total in the base unit of its kind; and 1 + characters of the title,
characters of the text and bullet points. NaN where nothing is stated."""
CATEGORICAL: Final = ("unit_kind", "amount_kind")
"""Categorical columns: the kind of the stated unit, and of ``amount``; ``unknown`` where there is none."""

_LIGHTEST: Final = 15.0
"""Grams or millilitres a piece that a total leaves at least; below, the size in a title is that of one piece."""
_SAME: Final = 1.05
"""A stated quantity up to this many times the size in the title is that size, rounded or converted."""
_MISSING: Final = frozenset({"", "none", "nan"})

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


class _Measure(NamedTuple):
    """Kinds and quantities in their base unit of N products; ``unknown`` and NaN where there is none."""

    kind: Kinds
    quantity: Numbers


class _Size(NamedTuple):
    """The size in each of N titles: its measure, its number there, and whether it is worded as that of each piece."""

    measure: _Measure
    number: Numbers
    of_each: Flags


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


def quantity_columns(texts: pd.Series[str]) -> pd.DataFrame:
    """Quantities of N catalog texts.

    Returns:
        (N,) rows with the columns of ``NUMERIC`` (finite, or NaN where the text states nothing) and ``CATEGORICAL``,
        indexed as ``texts``.
    """
    # Arrow strings would hand the patterns to a matcher that knows no lookbehind.
    texts = texts.astype(object).where(texts.notna(), "")
    titles = _titles(texts)
    # One space at most between words: the patterns' time grows with the square of longer gaps.
    plain = titles.str.translate(_PLAIN).str.lower().str.replace(r"\s+", " ", regex=True)
    stated = _stated(_last_field(texts, "Value"), _last_field(texts, "Unit"))
    size = _sizes(plain, fluid=stated.kind == "volume")
    pack, count = _first_of(plain, _PACKS), _first_of(plain, _COUNTS)
    stated_count = _of_kind(stated, "count")
    # A count that repeats the number of the title's size is that size with a wrong unit.
    further_count = np.where(stated_count == size.number, np.nan, stated_count)
    pieces = _pieces(count, pack, further_count)
    of_each = size.of_each | _sized_by_piece(plain, size, count, further_count)
    packages = np.where(np.isnan(pack), _first_of(plain, (_CONTAINERS,)), pack)
    amount = _amount(stated, size, np.where(of_each, pieces, packages), pieces)
    columns = {kind: _of_kind(stated, kind) for kind in LARGEST}
    columns |= {f"title_{kind}": _of_kind(size.measure, kind) for kind in ("weight", "volume")}
    columns |= {"title_count": count, "pack": pack, "pieces": pieces, "amount": amount.quantity}
    columns |= {"title_length": _plus_one(titles.str.len()), "text_length": _plus_one(texts.str.len())}
    columns |= {"bullet_points": _plus_one(texts.str.count(r"(?m)^[ \t]*Bullet Point"))}
    frame = pd.DataFrame({name: np.log(columns[name]) for name in NUMERIC}, index=texts.index)
    frame["unit_kind"], frame["amount_kind"] = stated.kind, amount.kind
    return frame


def _plus_one(numbers: pd.Series[int]) -> Numbers:
    return np.asarray(numbers, np.float64) + 1


def _of_kind(measure: _Measure, kind: str) -> Numbers:
    """(N,) quantities of one kind; NaN where a product's is another."""
    return np.where(measure.kind == kind, measure.quantity, np.nan)


def _titles(texts: pd.Series[str]) -> pd.Series[str]:
    """Titles: the field ``Item Name``, or the first line of a text without it."""
    named = texts.str.extract(r"(?m)^[ \t]*Item Name[ \t]*:[ \t]*(.*)$", expand=False)
    first_lines = texts.str.extract(r"\A\s*(?!Item Name[ \t]*:|Value[ \t]*:|Unit[ \t]*:)(.*)", expand=False)
    return named.fillna(first_lines).fillna("").astype(object)


def _last_field(texts: pd.Series[str], name: str) -> pd.Series[str]:
    """What the last line ``name: ...`` of each text says, as fields follow the description; empty where there is none."""
    return texts.str.extract(rf"\A(?s:.*)(?m:^)[ \t]*{name}[ \t]*:[ \t]*([^\n]*)", expand=False).fillna("").str.strip()


def _stated(values: pd.Series[str], units: pd.Series[str]) -> _Measure:
    """Kind and quantity in its base unit of the fields; NaN where the value is missing, not a number, 0 or absurd."""
    kinds, factors = _parsed_units(units)
    unknown = units[(kinds == UNKNOWN) & ~units.str.lower().isin(_MISSING).to_numpy()]
    if len(unknown):
        spellings = ", ".join(sorted(unknown.unique())[:10])
        logger.info("quantity: %d product(s) with unit(s) that say no quantity: %s", len(unknown), spellings)
    quantities = pd.to_numeric(values.str.replace(",", ""), errors="coerce").to_numpy(np.float64)
    return _Measure(kinds, _plausible(kinds, quantities * factors))


def _parsed_units(units: pd.Series[str]) -> tuple[Kinds, Numbers]:
    """(N,) kinds and sizes in their base unit; each spelling is parsed once."""
    codes, spellings = pd.factorize(units.fillna("").astype(object))
    parsed = [parse_unit(spelling) for spelling in spellings]
    kinds, factors = np.array([kind for kind, _ in parsed], object), np.array([factor for _, factor in parsed], float)
    return kinds[codes], factors[codes]


def _plausible(kinds: Kinds | str, quantities: Numbers) -> Numbers:
    """The quantities, NaN where they are not above 0 or exceed what ``LARGEST`` allows their kind."""
    of_kind = np.broadcast_to(np.asarray(kinds, object), quantities.shape)
    largest = pd.Series(of_kind, dtype=object).map(LARGEST).to_numpy(np.float64)
    return np.where((quantities > 0) & (quantities <= largest), quantities, np.nan)


def _sizes(titles: pd.Series[str], *, fluid: Flags) -> _Size:
    """The first weight or volume in each title; ounces are fluid ounces where the product is sold by volume."""
    found = titles.str.extract(_SIZE)
    kinds, factors = _parsed_units(found[1])
    fluid = fluid & (factors == _OUNCE)
    kinds, factors = np.where(fluid, "volume", kinds).astype(object), np.where(fluid, _FLUID_OUNCE, factors)
    numbers = _numbers(found[0])
    quantities = _plausible(kinds, numbers * factors)
    kinds = np.where(np.isnan(quantities), UNKNOWN, kinds).astype(object)
    return _Size(_Measure(kinds, quantities), numbers, found[2].notna().to_numpy(bool))


def _numbers(texts: pd.Series[str]) -> Numbers:
    """(N,) numbers that ``_NUMBER`` matched, NaN where it did not; each spelling is read once."""
    codes, spellings = pd.factorize(texts.astype(object))
    return np.array([*map(_number, spellings), np.nan])[codes]


def _number(text: str) -> float:
    """The number in a text that ``_NUMBER`` matches."""
    if "/" in text:
        return sum(float(Fraction(part)) for part in re.split(r"[\s-]", text))
    decimal_comma = re.fullmatch("[0-9]+,[0-9]{1,2}", text)
    return float(text.replace(",", "." if decimal_comma else ""))


def _first_of(titles: pd.Series[str], patterns: tuple[re.Pattern[str], ...]) -> Numbers:
    """The number that the first matching pattern finds in each title; NaN where none does, or it is absurd."""
    found = np.full(len(titles), np.nan)
    for pattern in patterns:
        numbers = _plausible("count", _numbers(titles.str.extract(pattern)[0]))
        found = np.where(np.isnan(found), numbers, found)
    return found


def _pieces(count: Numbers, pack: Numbers, stated: Numbers) -> Numbers:
    """Pieces in all packs, from the title's count and packs and the stated count; NaN where none is known.

    A count that is the number of packs says the same twice. One that is stated too, and that the packs divide, is of all.
    """
    packs = np.where(np.isnan(pack), 1, pack)
    of_all = (count == pack) | ((count == stated) & (count % packs == 0))
    of_title = np.where(np.isnan(count), pack, np.where(of_all, count, count * packs))
    return np.fmax(_plausible("count", of_title), stated)


def _sized_by_piece(titles: pd.Series[str], size: _Size, count: Numbers, stated: Numbers) -> Flags:
    """Whether a title's size is too small to be that of all pieces, or none but the fields counts them.

    Never where they may be as light as tea bags.
    """
    of_one = (size.measure.quantity < _LIGHTEST * count) & (count > 1)
    uncounted = np.isnan(count) & (stated > 1)
    return (of_one | uncounted) & ~titles.str.contains(_LIGHT).to_numpy(bool)


def _amount(stated: _Measure, size: _Size, items: Numbers, pieces: Numbers) -> _Measure:
    """The likeliest total: weight or volume as stated, else the title's size times its items, else pieces.

    A stated quantity of no more than the size in the title is that of one item.
    """
    kinds, sizes = size.measure
    times = _plausible(kinds, sizes * np.where(np.isnan(items), 1, items))
    of_title = np.where(np.isnan(times), sizes, times)
    measured = np.isin(stated.kind, ["weight", "volume"]) & ~np.isnan(stated.quantity)
    of_one = (stated.kind == kinds) & (stated.quantity <= _SAME * sizes)
    total = np.where(measured, np.where(of_one, np.fmax(stated.quantity, of_title), stated.quantity), of_title)
    counted = np.isnan(total) & ~np.isnan(pieces)
    kinds = np.where(counted, "count", np.where(measured, stated.kind, kinds)).astype(object)
    return _Measure(kinds, np.where(counted, pieces, total))
