"""The folder in which a training run keeps its files while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.fusion.engine.run_folder import RunFolder


class RunFolderDataset(AbstractDataset[NoReturn, RunFolder]):
    """Gives a training node the folder for its best and periodic checkpoints and its history.

    A node's outputs are saved when it ends; hours of training must be on disk before that.

    Args:
        filepath: the folder; made when first written to.
        variant: what is trained in it.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, variant: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._variant = variant
        self.metadata = metadata

    def load(self) -> RunFolder:
        """A handle on the folder."""
        return RunFolder(self._variant, self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: training writes into the folder itself."""
        raise DatasetError(f"{self._filepath} is written by training, not by a node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
