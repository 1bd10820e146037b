"""Files that count as missing once they are older than what they were made from.

Kedro's ``--only-missing-outputs`` asks datasets whether they exist. An evaluation of a checkpoint that has since been
replaced or removed is no evaluation of the model that is there, so it does not; it is made again, and nothing is deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset


class _Derived:
    """Adds ``made_from`` to a dataset of a local file."""

    def __init__(self, *, filepath: str, made_from: dict[str, str], **arguments: Any) -> None:
        super().__init__(filepath=filepath, **arguments)  # type: ignore[call-arg]
        self._path = Path(filepath)
        self._made_from = Path(made_from["filepath"])  # Kedro makes values of this key absolute

    def _exists(self) -> bool:
        if not (self._path.is_file() and self._made_from.is_file()):
            return False
        return self._path.stat().st_mtime_ns >= self._made_from.stat().st_mtime_ns


class DerivedCSVDataset(_Derived, CSVDataset):  # type: ignore[misc]
    """A CSV table made from another file.

    Args:
        filepath: the table.
        made_from: ``{filepath: ...}`` of the file it was made from.
        arguments: as of ``kedro_datasets.pandas.CSVDataset``.
    """


class DerivedJSONDataset(_Derived, JSONDataset):  # type: ignore[misc]
    """A JSON document made from another file.

    Args:
        filepath: the document.
        made_from: ``{filepath: ...}`` of the file it was made from.
        arguments: as of ``kedro_datasets.json.JSONDataset``.
    """
