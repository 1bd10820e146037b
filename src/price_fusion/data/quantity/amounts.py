"""Quantities of many products, made of what their texts say."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.quantity.units import FLUID_OUNCE, LARGEST, OUNCE, UNKNOWN, parse_unit
from price_fusion.lazy import pd

if TYPE_CHECKING:
    from price_fusion.data.quantity.wording import Wording

logger = logging.getLogger(__name__)

Numbers = NDArray[np.float64]
Kinds = NDArray[np.object_]
Flags = NDArray[np.bool_]

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

AMOUNT: Final = "amount"
AMOUNT_KIND: Final = "amount_kind"
"""How much of a product there is, and of which kind: amounts of one kind can be compared."""

GROWING: Final = MappingProxyType(
    {
        "weight": (AMOUNT, "weight", "title_weight"),
        "volume": (AMOUNT, "volume", "title_volume"),
        "count": (AMOUNT, "count", "title_count", "pieces"),
    }
)
"""Numeric columns that grow with the amount of each kind where a pack holds more."""

_LIGHTEST: Final = 15.0
"""Grams or millilitres a piece that a total leaves at least; below, the size in a title is that of one piece."""
_SAME: Final = 1.05
"""A stated quantity up to this many times the size in the title is that size, rounded or converted."""
_MISSING: Final = frozenset({"", "none", "nan"})


class _Measure(NamedTuple):
    """Kinds and quantities in their base unit of N products; ``unknown`` and NaN where there is none."""

    kind: Kinds
    quantity: Numbers


class _Size(NamedTuple):
    """The size in each of N titles: its measure, its number there, and whether it is worded as that of each piece."""

    measure: _Measure
    number: Numbers
    of_each: Flags


def quantity_columns(texts: Iterable[object]) -> dict[str, NDArray[Any]]:
    """Quantities of N catalog texts.

    Args:
        texts: None, NaN and the like count as empty.

    Returns:
        ``NUMERIC``, (N,) float64 each, finite, or NaN where the text states nothing; and ``CATEGORICAL``, (N,) str each.
    """
    from price_fusion.data.quantity.wording import read_wording  # here, as its patterns take long to compile

    said = [read_wording(_as_text(text)) for text in texts]
    stated = _stated([text.value for text in said], [text.unit for text in said])
    size = _sizes(said, fluid=stated.kind == "volume")
    pack, count = _numbers([text.pack for text in said]), _numbers([text.pieces for text in said])
    stated_count = _of_kind(stated, "count")
    # A count that repeats the number of the title's size is that size with a wrong unit.
    further_count = np.where(stated_count == size.number, np.nan, stated_count)
    pieces = _pieces(count, pack, further_count)
    light = np.array([text.light for text in said], np.bool_)
    of_each = size.of_each | (_sized_by_piece(size, count, further_count) & ~light)
    packages = np.where(np.isnan(pack), _numbers([text.containers for text in said]), pack)
    amount = _amount(stated, size, np.where(of_each, pieces, packages), pieces)
    columns = {kind: _of_kind(stated, kind) for kind in LARGEST}
    columns |= {f"title_{kind}": _of_kind(size.measure, kind) for kind in ("weight", "volume")}
    columns |= {"title_count": count, "pack": pack, "pieces": pieces, "amount": amount.quantity}
    for name in ("title_length", "text_length", "bullet_points"):
        columns[name] = 1 + _numbers([getattr(text, name) for text in said])
    logs: dict[str, NDArray[Any]] = {name: np.log(columns[name]) for name in NUMERIC}
    return logs | {"unit_kind": stated.kind, "amount_kind": amount.kind}


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _numbers(numbers: Sequence[float]) -> Numbers:
    return np.array(numbers, np.float64)


def _of_kind(measure: _Measure, kind: str) -> Numbers:
    """(N,) quantities of one kind; NaN where a product's is another."""
    return np.where(measure.kind == kind, measure.quantity, np.nan)


def _stated(values: Sequence[str], units: Sequence[str]) -> _Measure:
    """Kind and quantity in its base unit of the fields; NaN where the value is missing, not a number, 0 or absurd."""
    kinds, factors = _parsed_units(units)
    unknown = [
        unit for unit, kind in zip(units, kinds, strict=True) if kind == UNKNOWN and unit.lower() not in _MISSING
    ]
    if unknown:
        spellings = ", ".join(sorted({*unknown})[:10])
        logger.info("quantity: %d product(s) with unit(s) that say no quantity: %s", len(unknown), spellings)
    plain = np.array([value.replace(",", "") for value in values], object)
    quantities = np.asarray(pd.to_numeric(plain, errors="coerce"), np.float64)
    return _Measure(kinds, _plausible(kinds, quantities * factors))


def _parsed_units(units: Sequence[str]) -> tuple[Kinds, Numbers]:
    """(N,) kinds and sizes in their base unit; each spelling is parsed once."""
    meaning = {unit: parse_unit(unit) for unit in {*units}}
    kinds, factors = [meaning[unit][0] for unit in units], [meaning[unit][1] for unit in units]
    return np.array(kinds, object), _numbers(factors)


def _plausible(kinds: Kinds | str, quantities: Numbers) -> Numbers:
    """The quantities, NaN where they are not above 0 or exceed what ``LARGEST`` allows their kind."""
    allowed = np.zeros(quantities.shape, np.bool_)
    for kind, largest in LARGEST.items():
        allowed |= (kinds == kind) & (quantities <= largest)
    return np.where(allowed & (quantities > 0), quantities, np.nan)


def _sizes(said: Sequence[Wording], *, fluid: Flags) -> _Size:
    """The first weight or volume in each title; ounces are fluid ounces where the product is sold by volume."""
    kinds, factors = _parsed_units([text.size_unit for text in said])
    fluid = fluid & (factors == OUNCE)
    kinds, factors = np.where(fluid, "volume", kinds).astype(object), np.where(fluid, FLUID_OUNCE, factors)
    numbers = _numbers([text.size for text in said])
    quantities = _plausible(kinds, numbers * factors)
    kinds = np.where(np.isnan(quantities), UNKNOWN, kinds).astype(object)
    return _Size(_Measure(kinds, quantities), numbers, np.array([text.of_each for text in said], np.bool_))


def _pieces(count: Numbers, pack: Numbers, stated: Numbers) -> Numbers:
    """Pieces in all packs, from the title's count and packs and the stated count; NaN where none is known.

    A count that is the number of packs says the same twice. One that is stated too, and that the packs divide, is of all.
    """
    packs = np.where(np.isnan(pack), 1, pack)
    of_all = (count == pack) | ((count == stated) & (count % packs == 0))
    of_title = np.where(np.isnan(count), pack, np.where(of_all, count, count * packs))
    return np.fmax(_plausible("count", of_title), stated)


def _sized_by_piece(size: _Size, count: Numbers, stated: Numbers) -> Flags:
    """Whether a title's size is too small to be that of all pieces, or none but the fields counts them."""
    of_one = (size.measure.quantity < _LIGHTEST * count) & (count > 1)
    uncounted = np.isnan(count) & (stated > 1)
    return of_one | uncounted


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
