"""Parquet files of products that a user reads back by the names of the shop."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pandas as pd
from kedro_datasets.pandas import ParquetDataset

from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.datasets.errors import kedro_errors


class NamedParquetDataset(ParquetDataset):  # type: ignore[misc]
    """Kedro's ``pandas.ParquetDataset`` for tables of products.

    Args:
        columns: what a shop's product files call id and price, as of ``ProductTableDataset``: the file has these names, and the
            table that is saved and loaded those of inside.
        arguments: as of ``kedro_datasets.pandas.ParquetDataset``.
    """

    def __init__(self, *, columns: Mapping[str, Any] | None = None, **arguments: Any) -> None:
        with kedro_errors():
            self._names = ColumnNames.of(columns)
        super().__init__(**arguments)

    def load(self) -> pd.DataFrame:
        """As pandas reads it, with the names of inside."""
        read: pd.DataFrame = super().load()
        return read.rename(columns=self._names.inside)

    def save(self, data: pd.DataFrame) -> None:
        """Write the file."""
        # Kedro's wrapper would hide an error of the disk.
        inspect.unwrap(ParquetDataset.save)(self, data.rename(columns=self._names.read_back))
