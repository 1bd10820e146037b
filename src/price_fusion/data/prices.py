"""Prices in currency units from their text."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.placeholders import EMPTY
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.layout import Layout
from price_fusion.errors import SHOWN, DataError

LOWEST, HIGHEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
"""Models are trained in float32, which holds no price beyond these."""
_CURRENCY_CODE = re.compile(r"(?<![A-Za-z])(?:[A-Z]{3}|Rs\.?)(?![A-Za-z])")
_SEPARATED = re.compile(r"[+-]?[0-9]+(?:[.,'\N{RIGHT SINGLE QUOTATION MARK}\s][0-9]+)+")
_SEPARATORS = re.compile(r"[^0-9+-]")
_EXPECTED = "expected a finite price above 0"
_ADVICE = {
    "missing": "Add them, or remove these records.",
    "with a currency sign": "Remove the signs; prices in another currency must be converted.",
    "with separators that may mean several things": (
        "Say in the catalog entry of the file what separates them: 'decimal' (now {decimal!r}) and 'thousands' (now "
        "{thousands!r}). {example}"
    ),
    "beyond what models can hold": f"Fix these records, or remove them: a price is between {LOWEST:.1e} and {HIGHEST:.1e}.",
    "of 0": "The price of these products is not known: remove these records.",
    "below 0": "Remove these records, or correct them.",
    "that are not numbers": "Fix these records, or remove them.",
}


def parse_prices(
    values: Sequence[str],
    ids: Sequence[object],
    origin: str,
    *,
    numbers: Sequence[int],
    layout: Layout | None = None,
    names: ColumnNames | None = None,
) -> tuple[NDArray[np.float64], list[DataError]]:
    """Prices of N products.

    Args:
        values: (N,) text.
        ids: (N,) for messages.
        origin: the file, for messages.
        numbers: (N,) of the records, for messages.
        layout: of the numbers.
        names: of the columns, for messages.

    Returns:
        float64 (N,) in currency units, NaN where a price is none, and what is wrong, one error a kind.
    """
    layout, names = layout or Layout(), names or ColumnNames()
    decimal, thousands = layout.decimal, layout.thousands
    prices = prices_of(values, decimal, thousands)
    text = [value.strip() for value in values]
    wrong: dict[str, list[int]] = {}
    for row in np.flatnonzero(np.isnan(prices)).tolist():
        number = parse_numbers([text[row]], decimal, thousands)[0]
        wrong.setdefault(_fault(text[row], number), []).append(row)
    problems = []
    for kind, rows in wrong.items():
        shown = "; ".join(
            f"record {numbers[row]} ({names.id} {ids[row]}): {names.price} is {repr(text[row][:60]) if text[row] else 'missing'}"
            for row in rows[:SHOWN]
        )
        more = f"; and {len(rows) - SHOWN:,} further records" if len(rows) > SHOWN else ""
        advice = _ADVICE[kind].format(decimal=decimal, thousands=thousands, example=_example(text[rows[0]]))
        problems.append(DataError(f"{origin}: {len(rows):,} price(s) {kind}: {shown}{more}; {_EXPECTED}. {advice}"))
    return prices, problems


def prices_of(values: Sequence[str], decimal: str = ".", thousands: str | None = None) -> NDArray[np.float64]:
    """Prices (N,), NaN where a text is none; arguments as of ``parse_prices``."""
    found = np.array(parse_numbers([value.strip() for value in values], decimal, thousands), dtype=np.float64)
    return np.where((found >= LOWEST) & (found <= HIGHEST), found, np.nan)


def parse_numbers(values: Sequence[str], decimal: str = ".", thousands: str | None = None) -> list[float]:
    """The numbers that N texts without outer blanks are, NaN where one is none.

    Args:
        values: (N,) text.
        decimal: between whole and fractional digits.
        thousands: between groups of three digits.
    """
    pattern = _pattern(decimal, thousands)
    return [_number(value, pattern, decimal, thousands) for value in values]


def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    point = re.escape(decimal)
    whole = r"[0-9]+" if thousands is None else rf"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _number(text: str, pattern: re.Pattern[str], decimal: str, thousands: str | None) -> float:
    """The number that a text is, or NaN."""
    if not pattern.fullmatch(text):
        return math.nan
    plain = text if thousands is None else text.replace(thousands, "")
    return float(plain.replace(decimal, "."))


def _fault(text: str, number: float) -> str:
    """What is wrong with a price, as ``_ADVICE`` has it."""
    if not text or text.lower() in EMPTY:
        return "missing"
    if not math.isnan(number):
        return "of 0" if number == 0 else "below 0" if number < 0 else "beyond what models can hold"
    has_code = any(map(str.isdigit, text)) and _CURRENCY_CODE.search(text.strip("0123456789"))
    if has_code or any(unicodedata.category(character) == "Sc" for character in text):
        return "with a currency sign"
    return "with separators that may mean several things" if _SEPARATED.fullmatch(text) else "that are not numbers"


def _example(text: str) -> str:
    """What to say of the separators of a number such as ``1.299,99``; nothing of one without."""
    found = _SEPARATORS.findall(text)
    if not found:
        return ""
    last = found[-1]
    other = next((one for one in found if one != last), None)
    whole = f"decimal: {',' if last == '.' else '.'!r} and thousands: {last!r}"
    if other is not None:
        return f"For {text[:40]!r}: decimal: {last!r} and thousands: {other!r}."
    if len(found) > 1:
        return f"For {text[:40]!r}: {whole}."
    if len(text.rpartition(last)[2]) == len("000"):
        return f"If {text[:40]!r} is above a thousand: {whole}; else decimal: {last!r}."
    return f"For {text[:40]!r}: decimal: {last!r}."
