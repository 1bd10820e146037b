"""Products of a CSV file."""

from __future__ import annotations

from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from price_fusion.data.products import read_products
from price_fusion.data.readers.layout import Layout
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.raw_files import ProductFilesDataset


class ProductTableDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """``train.csv`` or ``test.csv``, checked: ``sample_id``, ``catalog_content``, ``image_link`` and, labelled, ``price``.

    Args:
        filepath: the CSV file.
        labelled: whether it has prices (in currency units, positive and finite).
        delimiter: between fields, where it is none of ``,``, ``;``, tab and ``|``, which are found by themselves.
        decimal: between whole and fractional digits.
        thousands: between groups of three digits of a price, where there is such a character.
        encoding: as Python names them, where it is not UTF-8.
        sha256: digest that the file must have; it is compared before anything is read.
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
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = local_path(filepath)
        if not isinstance(labelled, bool):
            raise DatasetFileError(f"{filepath}: labelled is {labelled!r}, expected true or false.")
        self._labelled = labelled
        with kedro_errors():
            self._layout = Layout(delimiter=delimiter, encoding=encoding, decimal=decimal, thousands=thousands)
        self._sha256 = sha256
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read and check all products."""
        with kedro_errors():
            return read_products(self._filepath, labelled=self._labelled, layout=self._layout, sha256=self._sha256)

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
        )

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is never written."""
        raise DatasetError(f"{self._filepath} is raw data and is never written.")

    @kedro_errors()
    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "labelled": self._labelled}
