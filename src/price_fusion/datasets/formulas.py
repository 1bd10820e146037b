"""Text in CSV files that a spreadsheet would run, or that would end a row too early."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
IDS = "sample_id"
"""Column that is left as it is: changed ids would belong to no product."""


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before each text cell that begins as a formula does.

    Numbers, headings, the index and the column ``sample_id`` are left as they are.

    Args:
        table: (N, C), is not changed.

    Returns:
        the same table if there is no such cell, otherwise a copy.
    """
    safe = table
    for place, cells in _text_columns(table):
        risky = cells.map(_is_risky).astype(bool)
        if table.columns[place] != IDS and risky.any():
            safe = table.copy(deep=False) if safe is table else safe
            safe.isetitem(place, cells.mask(risky, "'" + cells[risky]).array)
    return safe


def quoting_of(table: pd.DataFrame) -> int:
    """What ``quoting`` a table needs in ``to_csv`` so that each row is read back as one.

    Before Python 3.13, ``csv`` writes a carriage return without quotes, and readers take it for the end of the row.

    Returns:
        ``csv.QUOTE_MINIMAL``, or ``csv.QUOTE_NONNUMERIC`` if a text cell holds a carriage return.
    """
    returns = any(cells.map(_has_return).any() for _, cells in _text_columns(table))
    return csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL


def _text_columns(table: pd.DataFrame) -> Iterator[tuple[int, pd.Series[Any]]]:
    """Place and cells of each column that may hold text."""
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        if not is_numeric_dtype(column):
            yield place, column.astype(object)


def _is_risky(cell: object) -> bool:
    return isinstance(cell, str) and cell.startswith(FORMULA_STARTS)


def _has_return(cell: object) -> bool:
    return isinstance(cell, str) and "\r" in cell
