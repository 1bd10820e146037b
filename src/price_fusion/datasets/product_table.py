"""Products of a CSV or parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args

from kedro.io import AbstractDataset, DatasetError

from price_fusion.data.ids import Ids, ids_of
from price_fusion.data.products import ProductRows, read_products
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.product_records import files_of_products
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.raw_files import ProductFilesDataset
from price_fusion.lazy import pd


class ProductTableDataset(AbstractDataset[NoReturn, "pd.DataFrame"]):
    """``train.csv`` or ``test.csv``, checked: ``sample_id``, ``catalog_content``, ``image_link`` and, labelled, ``price``.

    Args:
        filepath: a CSV file, plain or compressed with gzip; a parquet file, or a folder of such.
        labelled: whether it has prices (in currency units, positive and finite).
        delimiter: between fields, where it is none of ``,``, ``;``, tab and ``|``, which are found by themselves.
        decimal: between whole and fractional digits.
        thousands: between groups of three digits of a price, where there is such a character.
        encoding: as Python names them, where it is not UTF-8.
        sha256: digest that the file must have; it is compared before anything is read.
        columns: what the file calls them: ``{id: sku, price: price_eur, text: [title, description], image: photo}``, with
            ``template`` for how texts are joined; see ``data/readers/column_names.py``.
        rows: ``labelled`` or ``unlabelled``: the rows with or without a price, of a file that has both.
        metadata: for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        labelled: bool,
        delimiter: str | None = None,
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str | None = None,
        sha256: str | None = None,
        columns: Mapping[str, Any] | None = None,
        rows: ProductRows = "all",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = local_path(filepath)
        if not isinstance(labelled, bool):
            raise DatasetFileError(f"{filepath}: labelled is {labelled!r}, expected true or false.")
        self._labelled = labelled
        with kedro_errors():
            self._layout = Layout(delimiter=delimiter, encoding=encoding, decimal=decimal, thousands=thousands)
            self._names = ColumnNames.of(columns)
        if rows not in get_args(ProductRows):
            raise DatasetFileError(f"{filepath}: rows is {rows!r}, expected one of {', '.join(get_args(ProductRows))}.")
        self._columns, self._rows = columns, rows
        self._sha256 = sha256
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read and check all products."""
        with kedro_errors():
            return read_products(
                self._filepath,
                labelled=self._labelled,
                layout=self._layout,
                sha256=self._sha256,
                names=self._names,
                rows=self._rows,
            )

    def ids_in_file(self) -> Ids:
        """Ids of all products of the file, with or without a price, in its order."""
        with kedro_errors():
            products = read_products(
                self._filepath, labelled=False, layout=self._layout, sha256=self._sha256, names=self._names
            )
        return ids_of(products["sample_id"])

    def files(self) -> list[Path]:
        """The files that are read."""
        with kedro_errors():
            return files_of_products(self._filepath)

    def in_pieces(self) -> ProductFilesDataset:
        """The same products, to be read piece by piece."""
        layout = self._layout
        return ProductFilesDataset(
            filepath=str(self._filepath),
            labelled=self._labelled,
            delimiter=layout.delimiter,
            decimal=layout.decimal,
            thousands=layout.thousands,
            encoding=layout.encoding,
            sha256=self._sha256,
            columns=self._columns,
            rows=self._rows,
        )

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is never written."""
        raise DatasetError(f"{self._filepath} is raw data and is never written.")

    @kedro_errors()
    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "labelled": self._labelled}
