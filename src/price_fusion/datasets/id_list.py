"""Lists of product ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from numpy.typing import NDArray

from price_fusion.datasets.errors import kedro_errors
from price_fusion.errors import DataError


class IdListDataset(AbstractDataset[NoReturn, NDArray[np.int64]]):
    """A text file with one product id a line (a heading ``sample_id`` is allowed), read only.

    Args:
        filepath: the file.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> NDArray[np.int64]:
        """(N,) ids without repeats."""
        with kedro_errors():
            return _read_ids(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is never written."""
        raise DatasetError(f"{self._filepath} is raw data and is never written.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _read_ids(path: Path) -> NDArray[np.int64]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the list of ids ({error}). Expected one product id a line.") from error
    ids = lines[1:] if lines[:1] == ["sample_id"] else lines
    for number, text in enumerate(ids, start=1):
        if not text.removeprefix("-").isdecimal() or not -(2**63) <= int(text) < 2**63:
            raise DataError(f"{path}: entry {number}: found {text!r}, expected a whole product id within 64 bits.")
    return np.unique(np.array([int(text) for text in ids], dtype=np.int64))
