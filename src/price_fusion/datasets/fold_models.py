"""The models of a cross-validation, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.saved_output import SavedOutput
from price_fusion.models.folds import FoldFolder, FoldModels


class FoldModelsDataset(SavedOutput[FoldModels, FoldModels]):
    """The manifest of a cross-validation, whose models are there before it; it exists while all of them are there and whole.

    Args:
        filepath: the folder.
        model: the variant or estimator.
        metadata: for plugins.
    """

    is_model = True

    def __init__(self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._folder = FoldFolder(model, self._filepath)

    def _read(self, path: Path) -> FoldModels:
        return self._folder.read()

    def _write(self, path: Path, data: FoldModels) -> None:
        self._folder.write(data)

    @kedro_errors()
    def _exists(self) -> bool:
        return not self.is_stale and self._folder.is_complete
