"""Products of a CSV or parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, get_args

from price_fusion.data.ids import Ids, ids_of
from price_fusion.data.partitions.product_files import ProductFiles, versions_of
from price_fusion.data.products import ProductRows, read_products
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.product_records import files_of_products
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.datasets.raw_files import RawFiles
from price_fusion.lazy import pd


class ProductTableDataset(RawFiles["pd.DataFrame | ProductFiles"]):
    """``train.csv`` or ``test.csv``, checked: ``sample_id``, ``catalog_content``, ``image_link`` and, labelled, ``price``.

    Args:
        filepath: a CSV file, plain or compressed with gzip; a parquet file, or a folder of such. Where it is read in pieces, it may
            be an address in an object store.
        labelled: whether it has prices (in currency units, positive and finite).
        delimiter: between fields, where it is none of ``,``, ``;``, tab and ``|``, which are found by themselves.
        decimal: between whole and fractional digits.
        thousands: between groups of three digits of a price, where there is such a character.
        encoding: as Python names them, where it is not UTF-8.
        sha256: digest that the file must have; it is compared before anything is read.
        columns: what the file calls them: ``{id: sku, price: price_eur, text: [title, description], image: photo}``, with
            ``template`` for how texts are joined; see ``data/readers/column_names.py``.
        rows: ``labelled`` or ``unlabelled``: the rows with or without a price, of a file that has both.
        in_pieces: whether loading gives a handle, ``ProductFiles``, for runs with ``compute.partitions``; nothing is read.
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
        in_pieces: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, in_pieces=in_pieces, metadata=metadata)
        if not isinstance(labelled, bool):
            raise DatasetFileError(f"{filepath}: labelled is {labelled!r}, expected true or false.")
        self._labelled = labelled
        with kedro_errors():
            self._layout = Layout(delimiter=delimiter, encoding=encoding, decimal=decimal, thousands=thousands)
            self._names = ColumnNames.of(columns)
        if rows not in get_args(ProductRows):
            raise DatasetFileError(f"{filepath}: rows is {rows!r}, expected one of {', '.join(get_args(ProductRows))}.")
        self._rows = rows
        self._sha256 = sha256

    def load(self) -> pd.DataFrame | ProductFiles:
        """Read and check all products; or give the handle."""
        if self.in_pieces:
            return ProductFiles(self._filepath, self._labelled, self._layout, self._sha256, self._names, self._rows)
        with kedro_errors():
            return read_products(
                self._path,
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
                self._path, labelled=False, layout=self._layout, sha256=self._sha256, names=self._names
            )
        return ids_of(products["sample_id"])

    def files(self) -> list[Path]:
        """The files that are read."""
        with kedro_errors():
            return files_of_products(self._path)

    def versions(self) -> dict[str, Any]:
        """What tells the contents of files that are read in pieces from others, by their names."""
        files = ProductFiles(self._filepath, self._labelled)
        with kedro_errors():
            return {url.rpartition("/")[2]: version for url, version in versions_of(files).items()}

    def read_in_pieces(self) -> ProductTableDataset:
        """The same products, read piece by piece."""
        same = copy(self)
        same.in_pieces = True
        return same

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "labelled": self._labelled}
