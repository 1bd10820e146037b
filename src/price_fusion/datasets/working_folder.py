"""Folders that a node writes into while it runs, as Kedro datasets.

A node's outputs are saved when it ends; hours of training must be on disk before that. So such a node takes a handle on a
folder as an input, and what it leaves there is its own concern.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.datasets.local_path import local_path
from price_fusion.models.folds import FoldFolder
from price_fusion.selection.study import TuningFolder
from price_fusion.training.run_folder import RunFolder

Handle = RunFolder | FoldFolder | TuningFolder


class WorkingFolderDataset(AbstractDataset[NoReturn, Handle]):
    """Gives a node a handle on a folder.

    Args:
        filepath: the folder; made when first written to.
        model: the variant or estimator whose folder it is.
        metadata: for plugins.
    """

    handle: ClassVar[type[RunFolder] | type[FoldFolder] | type[TuningFolder]]

    def __init__(self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = local_path(filepath)
        self._model = model
        self.metadata = metadata

    def load(self) -> Handle:
        """A handle on the folder."""
        return self.handle(self._model, self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: the node writes into the folder itself."""
        raise DatasetError(f"{self._filepath} is written by the node that takes it as an input, not as its output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class RunFolderDataset(WorkingFolderDataset):
    """Of a training: the checkpoint kept so far, periodic ones, state and history."""

    handle = RunFolder


class FoldFolderDataset(WorkingFolderDataset):
    """Of a cross-validation: each model as soon as it is trained."""

    handle = FoldFolder


class TuningFolderDataset(WorkingFolderDataset):
    """Of tuning: each trial as soon as it ends."""

    handle = TuningFolder


class SpillFolderDataset(AbstractDataset[NoReturn, Path]):
    """Where a node may put, for as long as it runs, what does not fit in memory.

    Args:
        filepath: the folder; made when first written to.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = local_path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """The folder."""
        return self._filepath

    def save(self, data: NoReturn) -> None:
        """Refuse: nodes write into it themselves."""
        raise DatasetError(f"{self._filepath} is written by nodes while they run, and is no output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
