"""``.npz`` archives: a zip of ``.npy`` arrays, with a CRC-32 of each, which reading it checks."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.formats.named_arrays import rows_in
from price_fusion.data.readers.formats.npy_files import NPY_DAMAGE
from price_fusion.data.readers.rows import Asked, FoundRows, Located
from price_fusion.errors import DataError

_DAMAGE = (*NPY_DAMAGE, zipfile.BadZipFile, zlib.error, RuntimeError)
"""What garbled archives raise on their way through zipfile and numpy; RuntimeError is of encryption and other compressions."""


def read_npz(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of an archive.

    Raises:
        DataError: if it is damaged, holds Python objects, or not what is looked for.
    """
    try:
        with zipfile.ZipFile(located.vectors[0]) as archive:
            return rows_in(_Arrays(archive, origin), asked, origin)
    except _DAMAGE as error:
        raise unreadable(origin, "an .npz archive of numbers or text", error) from error


class _Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an archive by name, each read when it is asked for.

    Raises:
        DataError: if a name is there twice.
    """

    def __init__(self, archive: zipfile.ZipFile, origin: str) -> None:
        self._archive, self._origin = archive, origin
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        self._members = {name.removesuffix(".npy"): name for name in names}
        if len(self._members) != len(names):
            raise DataError(f"{origin}: found an array twice in one archive, expected each once. Write it again.")

    def __getitem__(self, name: str) -> NDArray[Any]:
        with self._archive.open(self._members[name]) as member:
            try:
                array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            except ValueError as error:
                if "allow_pickle=False" in str(error):
                    raise DataError(
                        f"{self._origin}, {name!r}: found an array of Python objects (dtype object), which only a pickle can hold, "
                        "expected numbers or text. Write ids as ids.astype(str) and vectors as numpy.stack(vectors)."
                    ) from error
                raise
            if member.read(1):
                raise DataError(
                    f"{self._origin}, {name!r}: found more bytes after the array. Copy or write the file again."
                )
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
