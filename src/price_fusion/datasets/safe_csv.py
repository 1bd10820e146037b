"""CSV files whose ids are read back as they were written, and which are safe to open in a spreadsheet."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from kedro_datasets.pandas import CSVDataset

from price_fusion.data.ids import id_column
from price_fusion.datasets.formulas import IDS, quoting_of, without_formulas
from price_fusion.storage.buckets.ordered import OrderedRows, write_ordered_csv


class SafeCSVDataset(CSVDataset):  # type: ignore[misc]
    """Kedro's ``pandas.CSVDataset`` for tables of products.

    Text that begins like a formula is saved with an apostrophe before it; loading gives what the file holds, apostrophes
    included. ``sample_id`` is never changed: pandas would read "007" as 7, and "NA" as a missing value.

    Saving takes a frame, or ``OrderedRows``, which are streamed to the file. Their columns are ids and numbers: nothing that
    a spreadsheet could take for a formula.

    Args:
        arguments: as of ``kedro_datasets.pandas.CSVDataset``.
    """

    DEFAULT_LOAD_ARGS: ClassVar[dict[str, Any]] = {"converters": {IDS: "id {}".format}}
    """The prefix keeps pandas from interpreting what a converter returns."""

    def load(self) -> pd.DataFrame:
        """As pandas reads it, but for ``sample_id``: whole numbers if all are, else text as it stands."""
        table: pd.DataFrame = super().load()
        return table.assign(**{IDS: id_column(table[IDS].str.removeprefix("id "))}) if IDS in table else table

    def save(self, data: pd.DataFrame | OrderedRows) -> None:
        """Write the file."""
        if isinstance(data, OrderedRows):
            write_ordered_csv(Path(self._filepath), data)
            return
        table = without_formulas(data)
        quoted = self._copy(_save_args={"quoting": quoting_of(table)} | self._save_args)
        inspect.unwrap(CSVDataset.save)(quoted, table)  # Kedro's wrapper would hide an error of the disk
