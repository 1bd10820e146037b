"""The models of a cross-validation, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.recorded import FileRecord
from price_fusion.models.folds import FoldFolder, FoldModels


class FoldModelsDataset(FileRecord, AbstractDataset[FoldModels, FoldModels]):
    """The manifest of a cross-validation; it exists while all its models are there and whole.

    Args:
        filepath: the folder.
        model: the variant or estimator.
        metadata: for plugins.
    """

    is_model = True

    def __init__(self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = local_path(filepath)
        self._folder = FoldFolder(model, self._filepath)
        self.metadata = metadata

    def load(self) -> FoldModels:
        """Where the models are, and what they are."""
        with kedro_errors():
            return self._folder.read()

    def save(self, data: FoldModels) -> None:
        """Replace the manifest; the models are there already."""
        with kedro_errors():
            self._folder.write(data)
            self._record()

    @property
    def recorded_file(self) -> Path:
        """The manifest."""
        return self._folder.manifest

    @kedro_errors()
    def _exists(self) -> bool:
        return not self.is_stale and self._folder.is_complete

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
