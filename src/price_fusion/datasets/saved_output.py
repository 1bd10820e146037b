"""What the datasets of the library's own files and folders have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from kedro.io import AbstractDataset

from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.recorded import FileRecord

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class SavedOutput(FileRecord, AbstractDataset[Saved, Loaded]):
    """A file or folder that is saved whole or not at all, with a record of what it was made from.

    Args:
        filepath: where it is.
        metadata: for plugins.
    """

    manifest = "manifest.json"
    """Name of the file of a folder that names all others, and is written last."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = local_path(filepath)
        self.metadata = metadata

    def load(self) -> Loaded:
        """Open it, and check its files.

        Raises:
            DatasetFileError: if it is missing, damaged or of another version.
        """
        with kedro_errors():
            return self._read(self._filepath)

    def save(self, data: Saved) -> None:
        """Replace it, whole or not at all.

        Raises:
            DatasetFileError: if it cannot be written; what was there before is then as it was.
        """
        with kedro_errors():
            self._write(self._filepath, data)
            self._record()

    @property
    def recorded_file(self) -> Path:
        """The manifest."""
        return self._filepath / self.manifest

    def _read(self, path: Path) -> Loaded:
        raise NotImplementedError

    def _write(self, path: Path, data: Saved) -> None:
        raise NotImplementedError

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
