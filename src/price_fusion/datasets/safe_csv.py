"""CSV files whose ids are read back as they were written, and which are safe to open in a spreadsheet."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from kedro_datasets.pandas import CSVDataset

from price_fusion.data.ids import id_column
from price_fusion.data.readers.column_names import ColumnNames
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.formulas import IDS, quoting_of, without_formulas
from price_fusion.storage.partitions.ordered import OrderedRows, write_ordered_csv


class SafeCSVDataset(CSVDataset):  # type: ignore[misc]
    """Kedro's ``pandas.CSVDataset`` for tables of products.

    Text that begins like a formula is saved with an apostrophe before it; loading gives what the file holds, apostrophes
    included. ``sample_id`` is never changed: pandas would read "007" as 7, and "NA" as a missing value.

    Saving takes a frame, or ``OrderedRows``, which are streamed to the file. Their columns are ids and numbers: nothing that
    a spreadsheet could take for a formula.

    Args:
        columns: what a shop's product files call id and price, as of ``ProductTableDataset``: the file has these names, and the
            table that is saved and loaded those of inside.
        arguments: as of ``kedro_datasets.pandas.CSVDataset``.
    """

    def __init__(self, *, columns: Mapping[str, Any] | None = None, **arguments: Any) -> None:
        with kedro_errors():
            self._names = ColumnNames.of(columns)
        super().__init__(**arguments)
        # The prefix keeps pandas from interpreting what a converter returns.
        self._load_args: dict[str, Any] = {"converters": {self._names.id: "id {}".format}} | self._load_args

    def load(self) -> pd.DataFrame:
        """As pandas reads it, but for ``sample_id``: whole numbers if all are, else text as it stands."""
        read: pd.DataFrame = super().load()
        table = read.rename(columns=self._names.inside)
        return table.assign(**{IDS: id_column(table[IDS].str.removeprefix("id "))}) if IDS in table else table

    def save(self, data: pd.DataFrame | OrderedRows) -> None:
        """Write the file."""
        if isinstance(data, OrderedRows):
            write_ordered_csv(Path(self._filepath), data, self._names.read_back)
            return
        table = without_formulas(data)
        quoted = self._copy(_save_args={"quoting": quoting_of(table)} | self._save_args)
        table = table.rename(columns=self._names.read_back)
        inspect.unwrap(CSVDataset.save)(quoted, table)  # Kedro's wrapper would hide an error of the disk
