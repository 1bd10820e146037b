"""Figures that count as missing once they are older than what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro_datasets.matplotlib import MatplotlibDataset


class DerivedFigureDataset(MatplotlibDataset):  # type: ignore[misc]
    """A picture of a matplotlib ``Figure``, made from other files; see ``derived.py``.

    Args:
        filepath: the picture.
        made_from: ``{filepath: ...}`` of each file it was made from, by any name.
        arguments: as of ``kedro_datasets.matplotlib.MatplotlibDataset``.
    """

    def __init__(self, *, filepath: str, made_from: dict[str, dict[str, str]], **arguments: Any) -> None:
        super().__init__(filepath=filepath, **arguments)
        self._picture = Path(filepath)
        self._origins = [Path(origin["filepath"]) for origin in made_from.values()]

    def _exists(self) -> bool:
        if not all(path.is_file() for path in (self._picture, *self._origins)):
            return False
        made = self._picture.stat().st_mtime_ns
        return all(made >= origin.stat().st_mtime_ns for origin in self._origins)
