"""The folder in which tuning keeps its studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.fusion.study import TuningFolder


class TuningFolderDataset(AbstractDataset[NoReturn, TuningFolder]):
    """Gives a tuning node the folder for its studies, in which each trial is on disk as soon as it ends.

    Args:
        filepath: the folder; made when first written to.
        variant: what is tuned in it.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, variant: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._variant = variant
        self.metadata = metadata

    def load(self) -> TuningFolder:
        """A handle on the folder."""
        return TuningFolder(self._variant, self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: tuning writes into the folder itself."""
        raise DatasetError(f"{self._filepath} is written by tuning, not by a node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
