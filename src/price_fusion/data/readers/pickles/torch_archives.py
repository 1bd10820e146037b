"""Files of ``torch.save``: a zip with a pickle, and each storage as a member of its own. torch is not needed.

The pickle is read by the allow-list of ``unpickler``, which is stricter than torch's own ``weights_only``: tensors, arrays and
plain containers, and nothing that could be called. The zip has a CRC-32 of each member, which reading it checks.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from typing import Any, BinaryIO

from numpy.typing import NDArray

from price_fusion.data.readers.pickles.arrays import Callee
from price_fusion.data.readers.pickles.tensors import STORAGES, kind_and_size, storage_of
from price_fusion.data.readers.pickles.unpickler import AllowListUnpickler, load_with
from price_fusion.errors import DataError

_PICKLE = "data.pkl"
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, KeyError)
"""What garbled zips raise on their way through zipfile; RuntimeError is of encrypted members."""


def load_torch(file: BinaryIO, origin: str) -> object:
    """What ``torch.save`` wrote, with tensors as numpy arrays; bfloat16 as float32.

    Args:
        file: open for reading.
        origin: the file's name, for messages.

    Raises:
        UnsafePickleError: if the pickle names anything but tensors, arrays and plain containers.
        DataError: if the zip or the pickle is damaged, or tensors are big-endian.
        MemoryError: as of ``safe_load``.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            root = _root(archive, origin)
            if archive.NameToInfo.get(f"{root}byteorder") and archive.read(f"{root}byteorder") != b"little":
                raise DataError(
                    f"{origin}: found big-endian tensors, expected little-endian ones. Save it on another machine."
                )
            content = io.BytesIO(archive.read(f"{root}{_PICKLE}"))
            return load_with(_TorchUnpickler(content, origin, archive, root), origin)
    except _ZIP_DAMAGE as error:
        raise DataError(
            f"{origin}: found a file of torch.save that breaks off or is damaged ({type(error).__name__}: {str(error)[:200]}), expected "
            "a complete one. Copy or write the file again."
        ) from error


def _root(archive: zipfile.ZipFile, origin: str) -> str:
    """The folder in the zip, with its slash."""
    names = archive.namelist()
    roots = [name.removesuffix(_PICKLE) for name in names if name.endswith(f"/{_PICKLE}")]
    if len(roots) != 1 or len(set(names)) != len(names):
        raise DataError(
            f"{origin}: found {len(roots)} members {_PICKLE!r} in a file of torch.save, expected one, and each member once. Copy or "
            "write the file again."
        )
    return roots[0]


class _TorchUnpickler(AllowListUnpickler):
    """Knows storages as well: by their name, and by the member that holds them."""

    def __init__(self, file: io.BytesIO, origin: str, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file, origin)
        self._archive, self._root = archive, root
        self._storages: dict[tuple[str, str, int], NDArray[Any]] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What stands for a name; storages are named only."""
        if module_name == "torch" and global_name in STORAGES:
            return global_name
        if (module_name, global_name) == ("torch._utils", "_rebuild_parameter"):
            return Callee(lambda tensor, *_: tensor)
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        """The storage that an id stands for."""
        kind, elements = kind_and_size(pid)
        key = pid[2]
        if not isinstance(key, str):
            raise pickle.UnpicklingError("it holds a torch storage without a name")
        if (key, kind, elements) not in self._storages:
            data = self._archive.read(f"{self._root}data/{key}")
            self._storages[key, kind, elements] = storage_of(kind, elements, data)
        return self._storages[key, kind, elements]
