"""Outputs that a report mentions if they have been made."""

from __future__ import annotations

from typing import Any

from kedro.io import AbstractDataset

from price_fusion.datasets.errors import DatasetFileError


class IfThereDataset(AbstractDataset[Any, Any]):
    """Loads another dataset, or None where that does not exist, or no longer belongs to what it was made from.

    Args:
        dataset: its catalog entry.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, dataset: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata
        self._dataset = AbstractDataset.from_config("dataset", dataset)

    def load(self) -> Any:
        """What the dataset loads, or None."""
        return self._dataset.load() if self._dataset.exists() else None

    def save(self, data: Any) -> None:
        """Refuse: the entry that it repeats is the one that is saved.

        Raises:
            DatasetFileError: always.
        """
        raise DatasetFileError(f"{self}: is read only. Save the dataset that it stands for.")

    def _describe(self) -> dict[str, Any]:
        return {"dataset": self._dataset._describe()}
