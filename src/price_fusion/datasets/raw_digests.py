"""Where digests of raw files are remembered, as a Kedro dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from price_fusion.datasets.local_path import local_path
from price_fusion.storage.digests import CheckRecord
from price_fusion.storage.files import storage_errors


class RawDigests:
    """Digests of raw files; each version of a file is read once.

    Args:
        folder: that remembers them; it is made.

    Raises:
        StorageError: if it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)  # or no path begins there
        self._folder = folder.resolve()
        self._record = CheckRecord(self._folder)

    def digest_of(self, path: Path) -> str:
        """Hexadecimal sha256 of a file.

        Raises:
            OSError: if it cannot be read.
            StorageError: if the folder cannot be written.
        """
        return self._record.digest_of(os.path.relpath(path.resolve(), self._folder))


class RawDigestsDataset(AbstractDataset[NoReturn, RawDigests]):
    """Gives a handle on what is remembered; that is a note and no promise, and may be removed at any time.

    Args:
        filepath: the folder that gets ``checked.json``.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = local_path(filepath)
        self.metadata = metadata

    def load(self) -> RawDigests:
        """The handle."""
        return RawDigests(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: the handle writes by itself."""
        raise DatasetError(f"{self._filepath} is written by those who take digests, and is no output.")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
