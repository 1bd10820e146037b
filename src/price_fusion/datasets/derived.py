"""Files that count as missing once they are older than what they were made from.

Kedro's ``--only-missing-outputs`` asks datasets whether they exist. An evaluation of a checkpoint that has since been
replaced or removed is no evaluation of the model that is there, so it does not; it is made again, and nothing is deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import CSVDataset


class Derived:
    """Adds ``made_from`` to a dataset of a local file: ``{filepath: ...}`` of its origin, or several of these by any name."""

    def __init__(self, *, filepath: str, made_from: dict[str, Any], **arguments: Any) -> None:
        super().__init__(filepath=filepath, **arguments)  # type: ignore[call-arg]
        self._path = Path(filepath)
        # Kedro makes values of the key filepath absolute.
        several = [made_from] if "filepath" in made_from else made_from.values()
        self._made_from = [Path(one["filepath"]) for one in several]

    def _exists(self) -> bool:
        if not all(path.is_file() for path in (self._path, *self._made_from)):
            return False
        made = self._path.stat().st_mtime_ns
        return all(made >= path.stat().st_mtime_ns for path in self._made_from)


class DerivedCSVDataset(Derived, CSVDataset):  # type: ignore[misc]
    """A CSV table made from another file.

    Args:
        filepath: the table.
        made_from: ``{filepath: ...}`` of the file it was made from.
        arguments: as of ``kedro_datasets.pandas.CSVDataset``.
    """


class DerivedJSONDataset(Derived, JSONDataset):  # type: ignore[misc]
    """A JSON document made from another file.

    Args:
        filepath: the document.
        made_from: ``{filepath: ...}`` of the file it was made from.
        arguments: as of ``kedro_datasets.json.JSONDataset``.
    """
