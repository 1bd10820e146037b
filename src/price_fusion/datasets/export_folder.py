"""Exported models, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.recorded import FileRecord

if TYPE_CHECKING:
    from price_fusion.prediction.export.export import Exported


class ExportDataset(FileRecord, AbstractDataset["Exported", dict[str, Any]]):
    """A folder with ``model.onnx``, ``model.pt2`` and ``export.json``, which says what they are; loading gives the latter.

    Args:
        filepath: the folder.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = local_path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """What ``export.json`` says.

        Raises:
            DatasetFileError: if it is missing or damaged.
        """
        from price_fusion.prediction.export.export import KIND

        with kedro_errors():
            return KIND.read(self._filepath, dict)

    def save(self, data: Exported) -> None:
        """Replace the folder, whole or not at all."""
        from price_fusion.prediction.export.export import save_export

        with kedro_errors():
            save_export(self._filepath, data)
            self._record()

    @property
    def recorded_file(self) -> Path:
        """``export.json``."""
        return self._filepath / "export.json"

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
