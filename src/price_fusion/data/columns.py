"""Column sources: numbers and categories of the product table, brought into the form of an embedding table.

Such a table has no vectors. Its structural columns hold the numbers, NaN where a field is empty, and then for each
categorical column a code: 0 for an empty field or an unknown category, else 1 + its place in the vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.categories import as_written, warn_of_unknown
from price_fusion.data.ids import ids_of
from price_fusion.data.prices import parse_numbers
from price_fusion.data.quantity.amounts import AMOUNT, CATEGORICAL, NUMERIC, quantity_columns
from price_fusion.data.quantity.units import UNKNOWN
from price_fusion.data.readers.column_names import CALLED, TEMPLATE, TEXT, columns_of_file, joined, names_of
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.names import meant
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import TableDraft
from price_fusion.errors import SHOWN, DataError
from price_fusion.lazy import pd
from price_fusion.parameters import ColumnSourceParameters

logger = logging.getLogger(__name__)

NUMBER_FORMAT = "number_format"
"""Attribute of a product table: decimal and thousands separator of its numeric columns, where they are not '.' and none."""
MOST_CATEGORIES = 10_000
"""Above it a column is no set of categories, but text or an id."""

Columns = NDArray[np.float32]


def draft_columns(products: pd.DataFrame, declaration: ColumnSourceParameters, origin: str) -> TableDraft:
    """Read a column source from a product table.

    Args:
        products: a product table; its columns are text.
        declaration: of the source, as configured. What it leaves open, the columns of its parser and the vocabulary, is
            found here.
        origin: what the products are called in messages.

    Raises:
        DataError: if a column is missing, holds text where numbers are declared, or too many categories.
    """
    whole = completed(products, declaration, origin)
    matrix = column_matrix(products, whole, origin)
    _warn_of_useless(matrix, whole, origin)
    raw = RawEmbeddings(ids_of(products["sample_id"]), matrix, origin)
    return TableDraft(raw, whole, "float32", max(len(matrix), 1))


def completed(products: pd.DataFrame, declaration: ColumnSourceParameters, origin: str) -> ColumnSourceParameters:
    """The declaration with its parser's columns, and the categories of these products where it lists none."""
    parsed_numeric, parsed_categorical = (NUMERIC, CATEGORICAL) if declaration.parse else ((), ())
    hidden = [name for name in declaration.own_columns if name in (*parsed_numeric, *parsed_categorical)]
    if hidden:
        raise DataError(
            f"{origin}: column(s) {', '.join(hidden)} of a source have the names of columns that its parser "
            f"{declaration.parse!r} gives. Rename them, or read them by a source of their own."
        )
    numeric = (*parsed_numeric, *(name for name in declaration.numeric if name not in parsed_numeric))
    categorical = (*parsed_categorical, *(name for name in declaration.categorical if name not in parsed_categorical))
    columns = _read(products, declaration, origin)
    vocabulary = dict(declaration.vocabulary)
    for name in categorical:
        if name not in vocabulary:
            vocabulary[name] = tuple(sorted({*_categories(columns[name], (), f"{origin}: column {name!r}")} - {""}))
        if len(vocabulary[name]) > MOST_CATEGORIES:
            raise DataError(
                f"{origin}: column {name!r} has {len(vocabulary[name]):,} categories, expected at most "
                f"{MOST_CATEGORIES:,}. Take it out of 'categorical' (parameters.yml, sources), or group its values."
            )
    found: dict[str, object] = {
        "numeric": numeric,
        "categorical": categorical,
        "vocabulary": vocabulary,
        "parsed_columns": (*parsed_numeric, *parsed_categorical),
    }
    if declaration.parse:
        found |= {"text_columns": tuple(names_of(products, TEXT)), "text_template": products.attrs.get(TEMPLATE)}
    return declaration.model_copy(update=found)


def column_matrix(products: pd.DataFrame, declaration: ColumnSourceParameters, origin: str) -> Columns:
    """Numbers and codes of products, (N, K) float32, by a complete declaration.

    Args:
        products: a product table, or a frame with the columns of the shop's own files (``declaration.product_columns``).
        declaration: as ``completed`` gives it.
        origin: what the products are called in messages.

    Raises:
        DataError: if a column is missing, holds text where numbers are declared, or values that may be several categories.
    """
    columns = _read(products, declaration, origin)
    matrix = np.empty((len(products), declaration.width), np.float32)
    for place, name in enumerate(declaration.numeric):
        matrix[:, place] = _numbers(columns[name], products, name, origin)
    for place, name in enumerate(declaration.categorical, start=len(declaration.numeric)):
        where, vocabulary = f"{origin}: column {name!r}", declaration.vocabulary[name]
        found = _categories(columns[name], vocabulary, where)
        matrix[:, place] = codes(found, vocabulary)
        if name in declaration.own_columns:
            warn_of_unknown(found, vocabulary, where)
    return matrix


def codes(values: Iterable[str], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """1 + the place of each value in a vocabulary, (N,); 0 where it is not in it."""
    places = {value: place for place, value in enumerate(vocabulary, start=1)}
    return np.array([places.get(value, 0) for value in values], np.int64)


def translated(matrix: Columns, stored: ColumnSourceParameters, wanted: ColumnSourceParameters) -> Columns:
    """A matrix whose codes are of one vocabulary, with those of another; itself if they are the same."""
    if stored.vocabulary == wanted.vocabulary:
        return matrix
    matrix = np.array(matrix)
    for place, name in enumerate(wanted.categorical, start=len(wanted.numeric)):
        known = np.concatenate([[0], codes(stored.vocabulary[name], wanted.vocabulary[name])])
        matrix[:, place] = known[matrix[:, place].astype(np.int64)]
    return matrix


def _read(
    products: pd.DataFrame, declaration: ColumnSourceParameters, origin: str
) -> Mapping[str, pd.Series[Any] | NDArray[Any]]:
    """The parser's columns, as arrays, beside the product table's own, row for row."""
    parsed: dict[str, NDArray[Any]] = {}
    if declaration.parse:
        parsed = quantity_columns(_texts(products, declaration, origin))
    wanted = [name for name in (*declaration.numeric, *declaration.categorical) if name not in parsed]
    missing = [name for name in wanted if name not in products]
    if missing:
        raise _lacking(missing, columns_of_file(products), origin)
    return parsed | {name: products[name] for name in wanted}


def _texts(products: pd.DataFrame, declaration: ColumnSourceParameters, origin: str) -> Sequence[str] | NDArray[Any]:
    """(N,) what a parser reads: the text of a product table, or that which the columns of a shop's file make."""
    as_inside = (declaration.text_columns, declaration.text_template) == ((TEXT,), None)
    is_product_table = as_inside or CALLED in products.attrs or TEMPLATE in products.attrs
    needed = (TEXT,) if is_product_table else declaration.text_columns
    if missing := [name for name in needed if name not in products]:
        found = list(map(str, products.columns))
        raise DataError(
            f"{origin}: lacks the column(s) {', '.join(missing)} of the text that a source parses{meant(missing, found)}; "
            f"found {', '.join(found) or 'none'}."
        )
    if is_product_table:  # its objects: iterating over Arrow strings would take ten times as long
        return products[TEXT].to_numpy(object)
    if not needed:
        return [""] * len(products)
    return joined({name: products[name].fillna("").astype(str).tolist() for name in needed}, declaration.text_template)


def _lacking(missing: Sequence[str], found: Sequence[str], origin: str) -> DataError:
    return DataError(
        f"{origin}: lacks the column(s) {', '.join(missing)} that a source reads{meant(missing, found)}; found "
        f"{', '.join(found)}. Add them, or correct 'numeric' and 'categorical' (parameters.yml, sources)."
    )


def _categories(column: pd.Series[Any] | NDArray[Any], vocabulary: Sequence[str], where: str) -> Iterable[str]:
    """Categories as text without outer blanks; what a parser does not know is an empty field."""
    if isinstance(column, np.ndarray):
        return np.where(column == UNKNOWN, "", column)
    return as_written(column, vocabulary, where).str.strip().replace(UNKNOWN, "")


def number_format(layout: Layout) -> dict[str, list[str | None]]:
    """The attribute ``NUMBER_FORMAT`` of products of a file, where its numbers are not as Python writes them."""
    return (
        {} if (layout.decimal, layout.thousands) == (".", None) else {NUMBER_FORMAT: [layout.decimal, layout.thousands]}
    )


def _numbers(column: pd.Series[Any] | NDArray[Any], products: pd.DataFrame, name: str, origin: str) -> Columns:
    """(N,) numbers of a column; NaN where a field is empty, infinite or beyond float32."""
    decimal, thousands = products.attrs.get(NUMBER_FORMAT, (".", None))
    if (decimal, thousands) == (".", None) or pd.api.types.is_numeric_dtype(column):
        numbers = np.asarray(pd.to_numeric(column, errors="coerce"), np.float64)
    else:
        texts = pd.Series(column).fillna("").astype(str).str.strip().tolist()
        numbers = np.array(parse_numbers(texts, decimal, thousands), np.float64)
    if np.isnan(numbers).any() and not pd.api.types.is_numeric_dtype(column):
        _refuse_text(pd.Series(column), numbers, products, name, origin)
    return np.where(np.abs(numbers) <= np.finfo(np.float32).max, numbers, np.nan).astype(np.float32)


def _refuse_text(
    column: pd.Series[Any], numbers: NDArray[np.float64], products: pd.DataFrame, name: str, origin: str
) -> None:
    """Refuse fields that are neither numbers nor empty."""
    text = column.fillna("").astype(str).str.strip()
    wrong = np.flatnonzero(np.isnan(numbers) & ~text.str.lower().isin(["", "nan"]).to_numpy())
    if not len(wrong):
        return
    ids = products["sample_id"] if "sample_id" in products else products.index.to_series()
    shown = ", ".join(f"{ids.iloc[row]}: {text.iloc[row][:40]!r}" for row in wrong[:SHOWN])
    decimal, thousands = products.attrs.get(NUMBER_FORMAT, (".", None))
    between = f" and {thousands!r} between thousands" if thousands else ""
    raise DataError(
        f"{origin}: column {name!r} holds {len(wrong):,} value(s) that are not numbers ({shown}), expected numbers with "
        f"{decimal!r} before decimals{between} (decimal and thousands of the products' catalog entry), or empty fields. Fix "
        "them, or declare the column as categorical (parameters.yml, sources)."
    )


def _warn_of_useless(matrix: Columns, declaration: ColumnSourceParameters, origin: str) -> None:
    """Say which of the shop's columns can tell a model nothing, and whether a parser found no amount in its texts.

    Other columns of a parser are empty where texts are worded another way, and others say the same: nothing to do about it.
    """
    columns = dict(zip((*declaration.numeric, *declaration.categorical), matrix.T, strict=True))
    if declaration.parse and np.isnan(columns[AMOUNT]).all():
        texts = ", ".join(declaration.text_columns) or "no text"
        logger.warning(
            "%s: no amount such as '250 g' in the title or first line of %s; leave out the source that parses it",
            origin,
            texts,
        )
    own = {name: columns[name] for name in declaration.own_columns}
    empty = [name for name, column in own.items() if np.isnan(column).all()]
    constant = [
        name
        for name, column in own.items()
        if name not in empty and not np.isnan(column).any() and len(column) > 1 and np.ptp(column) == 0
    ]
    for what, found in (("nothing but missing values", empty), ("one and the same value everywhere", constant)):
        if found:
            logger.warning("%s: %s in %s; a model learns nothing from it", origin, what, ", ".join(found))
