"""CSV files of tables in buckets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.datasets.whole_files import WholeCSVDataset
from price_fusion.storage.buckets.ordered import OrderedRows, write_ordered_csv


class OrderedCSVDataset(WholeCSVDataset):
    """A CSV file whose rows are in the order of the product file. Saving takes ``OrderedRows``.

    Its columns are ids, which are never changed, and numbers: nothing that a spreadsheet could take for a formula.
    """

    def _write(self, data: OrderedRows, path: Path, **changed: Any) -> None:  # type: ignore[override]
        write_ordered_csv(path, data)
