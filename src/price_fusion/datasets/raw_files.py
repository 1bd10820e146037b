"""What the datasets of users' files have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn, TypeVar

from kedro.io import AbstractDataset, DatasetError

from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.storage.store import Store

Loaded = TypeVar("Loaded")


class RawFiles(AbstractDataset[NoReturn, Loaded]):
    """A file or folder that is read and never written.

    Args:
        filepath: where it is: on a disk; where it is read in pieces, or an address in an object store.
        in_pieces: whether loading gives a handle that reads it piece by piece, for runs with ``compute.partitions``.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, in_pieces: bool = False, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath if in_pieces else str(local_path(filepath))
        self.in_pieces = in_pieces
        self.metadata = metadata

    @property
    def is_on_disk(self) -> bool:
        """Whether its files are on a disk, or in an object store."""
        return Store(self._filepath).is_local

    def files(self) -> list[Path]:
        """The files that are read, where they are on a disk."""
        return [self._path]

    def versions(self) -> dict[str, Any]:
        """What tells the contents of files that are read in pieces from others, by their names.

        Raises:
            DatasetFileError: if there are none.
        """
        raise NotImplementedError

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is never written."""
        raise DatasetError(f"{self._filepath} is raw data and is never written.")

    @property
    def _path(self) -> Path:
        return Store(self._filepath).path

    @kedro_errors()
    def _exists(self) -> bool:
        if not self.in_pieces:
            return self._path.exists()
        folder, _, name = self._filepath.rpartition("/")
        return Store(folder).size(name) is not None or bool(Store(self._filepath).names())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath} | ({"in_pieces": True} if self.in_pieces else {})
