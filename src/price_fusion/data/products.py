"""Product tables: the CSV files with ids, texts, image links and, for labelled products, prices in currency units."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from price_fusion.data.columns import number_format
from price_fusion.data.ids import parse_ids
from price_fusion.data.placeholders import without_placeholders
from price_fusion.data.prices import parse_prices
from price_fusion.data.readers.delimited import read_records
from price_fusion.data.readers.layout import Layout
from price_fusion.errors import combined


def read_products(
    path: Path, *, labelled: bool, layout: Layout | None = None, sha256: str | None = None
) -> pd.DataFrame:
    """Read a table of products.

    Args:
        path: CSV file with a header. Quoted fields may hold newlines, delimiters and doubled quotes; blank lines and columns
            without a name are left out.
        labelled: whether prices are wanted. Without, a ``price`` column is dropped unread.
        layout: delimiter, encoding and number format, where the file does not show them.
        sha256: hexadecimal digest that the file must have.

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
    needed = ["sample_id", "catalog_content", "image_link", *(["price"] if labelled else [])]
    records = read_records(path, needed, layout, sha256=sha256, addresses="image_link")
    text = {name: column for name, column in records.columns.items() if labelled or name != "price"}
    ids, wrong_ids = parse_ids(text["sample_id"], str(path), place="record", numbers=records.numbers)
    problems = [*records.problems, *wrong_ids]
    columns: dict[str, object] = dict(text)
    columns["sample_id"] = ids
    columns |= {name: without_placeholders(text[name]) for name in ("catalog_content", "image_link")}
    if labelled:
        columns["price"], wrong_prices = parse_prices(
            text["price"],
            text["sample_id"],
            str(path),
            numbers=records.numbers,
            decimal=layout.decimal,
            thousands=layout.thousands,
        )
        problems += wrong_prices
    if problems:
        raise combined(str(path), problems)
    as_text = {
        name: pd.array(list(column), dtype="str") for name, column in columns.items() if isinstance(column, tuple)
    }
    frame = pd.DataFrame(columns | as_text)
    frame.attrs |= number_format(layout)
    return frame
