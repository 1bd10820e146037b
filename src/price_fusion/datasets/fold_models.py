"""The models of a cross-validation, as Kedro datasets: a folder to train into, and what is in it once all are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.datasets.errors import kedro_errors
from price_fusion.fusion.folds import FoldFolder, FoldModels


class FoldFolderDataset(AbstractDataset[NoReturn, FoldFolder]):
    """Gives a node of cross-validation the folder for its models, each on disk as soon as it is trained.

    Args:
        filepath: the folder; made when first written to.
        model: the variant or estimator that is trained.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._model = model
        self.metadata = metadata

    def load(self) -> FoldFolder:
        """A handle on the folder."""
        return FoldFolder(self._model, self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: cross-validation writes into the folder itself."""
        raise DatasetError(f"{self._filepath} is written by cross-validation, not by a node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class FoldModelsDataset(AbstractDataset[FoldModels, FoldModels]):
    """The manifest of a cross-validation; it exists once all its models do.

    Args:
        filepath: the folder.
        model: the variant or estimator.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
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

    def _exists(self) -> bool:
        return self._folder.is_complete

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
