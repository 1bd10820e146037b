"""Product tables: the CSV or parquet files with ids, texts, image links and, for labelled products, prices in currency units."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import Literal

from price_fusion.data.columns import number_format
from price_fusion.data.ids import parse_ids
from price_fusion.data.placeholders import without_placeholders
from price_fusion.data.prices import parse_prices
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.delimited import Records
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.product_records import read_product_records
from price_fusion.errors import DataError, combined
from price_fusion.lazy import pd

ProductRows = Literal["all", "labelled", "unlabelled"]
"""Which rows of a file."""


def read_products(
    path: Path,
    *,
    labelled: bool,
    layout: Layout | None = None,
    sha256: str | None = None,
    names: ColumnNames | None = None,
    rows: ProductRows = "all",
) -> pd.DataFrame:
    """Read a table of products.

    Args:
        path: CSV file with a header, plain or compressed with gzip; parquet file, or folder of such. In a CSV, quoted fields may
            hold newlines, delimiters and doubled quotes; blank lines and columns without a name are left out.
        labelled: whether prices are wanted. Without, a ``price`` column is dropped unread.
        layout: delimiter, encoding and number format, where the file does not show them.
        sha256: hexadecimal digest that the file must have.
        names: of its columns, where they are not those of the returned table.
        rows: ``labelled`` or ``unlabelled``: those with or without a price, of a file that holds both.

    Returns:
        The file's rows in its order, with ``sample_id`` int64 or str (see ``ids.py``), ``catalog_content`` and
        ``image_link`` str (empty where missing, blank or a placeholder such as ``nan``), ``price`` float64 in currency units if labelled, and further columns as text.

    Raises:
        DataError: if the file is missing, empty, malformed or of another encoding or digest, or a column is missing; else
            naming all records with too few or too many fields, ids that cannot be used, prices that are not positive and
            finite, and texts that hold further records.
        AlignmentError: if the only fault is that an id occurs twice.
    """
    layout = layout or Layout()
    names = names or ColumnNames()
    needed = names.needed(labelled=labelled or rows != "all")
    records = _chosen(
        read_product_records(path, needed, layout, sha256=sha256, addresses=names.image), names.price, rows, path
    )
    text = names.as_inside(records.columns)
    if not labelled:
        text.pop("price", None)
    ids, wrong_ids = parse_ids(text["sample_id"], str(path), place="record", numbers=records.numbers)
    problems = [*records.problems, *wrong_ids]
    columns: dict[str, object] = dict(text)
    columns["sample_id"] = ids
    if labelled:
        columns["price"], wrong_prices = parse_prices(
            text["price"],
            text["sample_id"],
            str(path),
            numbers=records.numbers,
            layout=layout,
            names=names,
        )
        problems += wrong_prices
    if problems:
        raise combined(str(path), problems)
    as_text = {
        name: pd.array(list(column), dtype="str")
        for name, column in columns.items()
        if isinstance(column, tuple | list)
    }
    frame = pd.DataFrame(columns | as_text)
    frame.attrs |= number_format(layout) | names.attributes
    return frame


def _chosen(records: Records, price: str, rows: ProductRows, path: Path) -> Records:
    """The records with or without a price.

    Raises:
        DataError: if there are none.
    """
    if rows == "all":
        return records
    has_price = [bool(value) for value in without_placeholders(records.columns[price])]
    wanted = [has is (rows == "labelled") for has in has_price]
    if not any(wanted):
        found = "no record has a price" if rows == "labelled" else "each record has a price"
        raise DataError(
            f"{path}: {found} in the column {price!r}, but its catalog entry says 'rows: {rows}', expected some of them. Remove "
            "'rows:', or name the file that has both."
        )
    columns = {name: tuple(compress(column, wanted)) for name, column in records.columns.items()}
    return Records(columns, list(compress(records.numbers, wanted)), records.problems)
