"""Figures as whole files. Apart from ``whole_files.py``: matplotlib is slow to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro_datasets.matplotlib import MatplotlibDataset
from matplotlib.figure import Figure

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.whole_files import WholeFile


class WholeFigureDataset(WholeFile, MatplotlibDataset):  # type: ignore[misc]
    """A picture of one matplotlib ``Figure``.

    Args:
        filepath: the picture.
        made_from: as of ``WholeFile``.
        arguments: as of ``kedro_datasets.matplotlib.MatplotlibDataset``, but for those that ``WholeFile`` refuses.
    """

    def _write(self, data: Figure, path: Path, **changed: Any) -> None:
        if not isinstance(data, Figure):
            raise DatasetFileError(
                f"{self._path}: got a {type(data).__name__}, expected one matplotlib Figure. Give each figure an entry of its "
                "own in the catalog."
            )
        super()._write(data, path, **changed)
