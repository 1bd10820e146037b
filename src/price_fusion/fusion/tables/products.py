"""Product tables: the CSV files with ids, texts, image links and, for labelled products, prices in USD."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.errors import AlignmentError, DataError

_WHOLE_NUMBER = r"-?(?:0|[1-9][0-9]*)"
_LARGEST_ID = str(np.iinfo(np.int64).max)
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_EXPECTED_PRICE = "a finite price above 0 in USD, with a decimal point and no thousands separator, such as 1299.99"
_SHOWN = 5
"""How many offenders a message names; the rest are counted."""


def read_products(path: Path, *, labelled: bool) -> pd.DataFrame:
    """Read a table of products.

    Args:
        path: CSV file in UTF-8, with or without a byte order mark, comma-separated. Quoted fields may hold newlines.
        labelled: whether prices are wanted. Without, a ``price`` column is dropped unread.

    Returns:
        The file's rows in its order, with ``sample_id`` int64, ``catalog_content`` and ``image_link`` str (empty where
        missing), ``price`` float64 in USD if labelled, and further columns as text.

    Raises:
        DataError: if the file is missing, empty, malformed or not UTF-8, a column is missing, an id is not a whole
            number within 64 bits, or a price is not positive and finite.
        AlignmentError: if an id occurs twice.
    """
    needed = ["sample_id", "catalog_content", "image_link", *(["price"] if labelled else [])]
    raw = _read_text(path, needed)
    products = raw.copy() if labelled else raw.drop(columns="price", errors="ignore")
    products["sample_id"] = _ids(raw["sample_id"], path)
    if labelled:
        products["price"] = _prices(raw["price"], products["sample_id"], path)
    return products


def _read_text(path: Path, needed: list[str]) -> pd.DataFrame:
    """All of the file as text, with the needed columns and at least one row."""
    try:
        header = _read_csv(path, header=None, nrows=1).iloc[0].tolist()
        _check_header(header, needed, path)
        products = _read_csv(path, header=0)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except pd.errors.EmptyDataError as error:
        raise DataError(
            f"{path}: found an empty file, expected a CSV with {', '.join(needed)}. Write it again."
        ) from error
    except (pd.errors.ParserError, ValueError) as error:
        raise _malformed(path, str(error).strip()) from error
    except OSError as error:
        raise DataError(
            f"{path}: could not be opened ({error.strerror or error}), expected a CSV with {', '.join(needed)}. "
            "Put it there, or mend its path in the catalog."
        ) from error
    if not isinstance(products.index, pd.RangeIndex):
        raise _malformed(path, f"the header names {len(header)} columns, and the rows have more")
    if products.empty:
        raise DataError(f"{path}: found a header and no products, expected at least one. Write the file again.")
    return products


def _read_csv(path: Path, *, header: int | None, nrows: int | None = None) -> pd.DataFrame:
    # Nothing is taken for a missing value: a product may well be called "NA".
    return pd.read_csv(
        path, header=header, nrows=nrows, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig"
    )


def _check_header(header: list[str], needed: list[str], path: Path) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        near = difflib.get_close_matches(missing[0], header, n=1)
        raise DataError(
            f"{path}: lacks the column(s) {', '.join(missing)}; found {', '.join(map(repr, header))[:500]}"
            f"{f', of which {near[0]!r} may be meant' if near else ''}; expected {', '.join(needed)}, "
            "separated by commas. Rename or add them."
        )
    twice = [name for name in needed if header.count(name) > 1]
    if twice:
        raise DataError(
            f"{path}: found more than one column {', '.join(twice)}, expected one of each. Rename or remove the others."
        )


def _ids(column: pd.Series[str], path: Path) -> NDArray[np.int64]:
    """Ids as int64 (N,), each a whole number that occurs once."""
    text = column.str.strip()
    digits = text.str.lstrip("-")
    lengths = digits.str.len()
    # Numbers of equal length sort as their text does.
    too_big = (lengths > len(_LARGEST_ID)) | ((lengths == len(_LARGEST_ID)) & (digits > _LARGEST_ID))
    wrong = ~text.str.fullmatch(_WHOLE_NUMBER) | too_big
    if wrong.any():
        records = np.flatnonzero(wrong)
        raise DataError(
            f"{path}: {_listing('sample_id', column, records)}; expected a whole number without leading zeros, "
            "within 64 bits. Number the products so; ids that are text are not supported yet."
        )
    ids = text.to_numpy(dtype=object).astype(np.int64)
    _refuse_duplicates(ids, path)
    return ids


def _refuse_duplicates(ids: NDArray[np.int64], path: Path) -> None:
    repeated = np.flatnonzero(pd.Series(ids).duplicated())
    if len(repeated):
        first = ids[repeated[0]]
        records = ", ".join(str(record + 1) for record in np.flatnonzero(ids == first)[:_SHOWN])
        others = f"; {len(repeated)} records in all repeat an earlier one" if len(repeated) > 1 else ""
        raise AlignmentError(
            f"{path}: sample_id {first} is in records {records}{others}; expected each id once. "
            "Keep one record for each product."
        )


def _prices(column: pd.Series[str], ids: pd.Series[int], path: Path) -> NDArray[np.float64]:
    """Prices in USD as float64 (N,), each positive and finite."""
    text = column.str.strip()
    numeric = text.str.fullmatch(_NUMBER).to_numpy(dtype=bool)
    prices = np.full(len(text), np.nan)
    prices[numeric] = text.to_numpy(dtype=object)[numeric].astype(np.float64)
    records = np.flatnonzero(~(np.isfinite(prices) & (prices > 0)))
    if len(records):
        raise DataError(
            f"{path}: {_listing('price', column, records, ids)}; expected {_EXPECTED_PRICE}. "
            "Mend these records or remove them."
        )
    return prices


def _listing(name: str, column: pd.Series[str], records: NDArray[np.intp], ids: pd.Series[int] | None = None) -> str:
    """The first offenders, each by its record (1 is the first product), id and value, and how many there are."""
    shown = []
    for record in records[:_SHOWN]:
        of_product = "" if ids is None else f" (sample_id {ids.iloc[record]})"
        value = column.iloc[record]
        shown.append(f"record {record + 1}{of_product}: {name} is {repr(value[:60]) if value.strip() else 'missing'}")
    further = f"; and {len(records) - _SHOWN} further records" if len(records) > _SHOWN else ""
    return "; ".join(shown) + further


def _not_utf8(path: Path) -> DataError:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
        where = "in a place that cannot be told"
    except UnicodeDecodeError as error:
        # pandas counts from the start of its own chunk.
        line = content.count(b"\n", 0, error.start) + 1
        where = f"at byte {error.start} (0x{content[error.start]:02x}), line {line}"
    return DataError(
        f"{path}: found bytes that are not UTF-8 {where}, expected a CSV in UTF-8. Convert it, for example with "
        "iconv -f WINDOWS-1252 -t UTF-8."
    )


def _malformed(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path}: found a malformed CSV ({reason[:200]}), expected as many comma-separated fields in each record as "
        "in the header, with quotes around text that holds commas, quotes or newlines. Write the file again."
    )
