"""Stand-ins for what pickled torch tensors call. torch is not needed, and none of its code sees the file.

A pickled tensor holds its storage as bytes in torch's oldest file format: four small pickles (a magic number, the
format's version, facts about the machine, the storage's type and size), one with a list of names, the number of
elements as eight bytes, and the elements, little-endian.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.pickles.arrays import PickledArray, checked_shape
from price_fusion.data.readers.rows import widened
from price_fusion.errors import UnsafePickleError

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_BFLOAT16 = "BFloat16Storage"
STORAGES: dict[str, np.dtype[Any]] = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    _BFLOAT16: np.dtype("<u2"),
    "BoolStorage": np.dtype("?"),
    "ByteStorage": np.dtype("u1"),
    "CharStorage": np.dtype("i1"),
    "ShortStorage": np.dtype("<i2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
}


def unsafe_pickle(name: str, origin: str) -> UnsafePickleError:
    """The error for a pickle that asks for ``name``."""
    return UnsafePickleError(
        f"{origin}: the pickle asks for {name!a:.200}, which was refused: expected only numpy arrays, torch tensors, "
        "pandas frames and plain containers. Have its author save the embeddings as .npy files or as a dict of plain "
        "numpy arrays (series.to_numpy(), matrix.toarray() and tensor.detach() make them)."
    )


def load_storage(data: object, origin: str) -> NDArray[Any]:
    """The elements of a torch storage, flat; bfloat16 as float32, all others without a copy.

    Raises:
        UnsafePickleError: if there is a name inside that is no type of storage, or another format.
        pickle.UnpicklingError: if the bytes do not fit together.
    """
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"it holds a torch storage made of a {type(data).__name__}")
    file = io.BytesIO(data)
    header = _HeaderUnpickler(file, origin)
    if header.load() != _MAGIC or header.load() != _VERSION:
        raise unsafe_pickle("torch.storage._load_from_bytes (with other content)", origin)
    header.load()
    kind, elements = kind_and_size(header.load())
    header.load()
    start = file.tell() + 8
    if int.from_bytes(data[start - 8 : start], "little") != elements:
        raise pickle.UnpicklingError(f"it holds a torch storage of {elements} elements with other data than that needs")
    return storage_of(kind, elements, memoryview(data)[start:])


def storage_of(kind: str, elements: int, data: bytes | memoryview) -> NDArray[Any]:
    """The elements of a storage, flat, from exactly as many bytes as they take; bfloat16 as float32.

    Raises:
        pickle.UnpicklingError: if there are more or fewer bytes.
    """
    dtype = STORAGES[kind]
    if len(data) != elements * dtype.itemsize:
        raise pickle.UnpicklingError(f"it holds a torch storage of {elements} elements with other data than that needs")
    flat = np.frombuffer(data, dtype, elements) if elements else np.empty(0, dtype)
    return (widened(flat) if kind == _BFLOAT16 else flat).view(PickledArray)


def rebuild_tensor(
    storage: object, offset: int, size: object, stride: object, requires_grad: object = False, *_: object
) -> NDArray[Any]:
    """Stands in for torch's ``_rebuild_tensor_v2``, which enlarges a storage that is too small with stray memory."""
    if not isinstance(storage, PickledArray) or storage.ndim != 1:
        raise pickle.UnpicklingError("it holds a tensor without a storage")
    shape, steps = checked_shape(size), checked_shape(stride)
    elements = math.prod(shape)
    last = offset + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    # "elements" also refuses rows repeated by a stride of 0, which make terabytes out of a few bytes.
    if type(offset) is not int or offset < 0 or (elements and last >= storage.size) or elements > storage.size:
        raise pickle.UnpicklingError(f"it holds a tensor of shape {shape} in a storage of {storage.size} elements")
    if elements <= 1:
        return storage[offset : offset + elements].reshape(shape)
    strides = tuple(step * storage.itemsize for step in steps)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, subok=True)


class _HeaderUnpickler(pickle.Unpickler):
    """Knows the names of storages, as text, and nothing else."""

    def __init__(self, file: io.BytesIO, origin: str) -> None:
        super().__init__(file)
        self._origin = origin

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name == "torch" and global_name in STORAGES:
            return global_name
        raise unsafe_pickle(f"{module_name}.{global_name} (inside a torch storage)", self._origin)

    def persistent_load(self, pid: Any) -> Any:
        return pid


def kind_and_size(described: object) -> tuple[str, int]:
    """The type of a storage and its number of elements, from what its header says."""
    fields = described if isinstance(described, tuple) and len(described) >= 5 else (None,) * 5
    word, kind, elements = fields[0], fields[1], fields[4]
    if word != "storage" or not isinstance(kind, str) or kind not in STORAGES:
        raise pickle.UnpicklingError("it holds a torch storage without a type")
    if type(elements) is not int or elements < 0:
        raise pickle.UnpicklingError("it holds a torch storage without a size")
    return kind, elements
