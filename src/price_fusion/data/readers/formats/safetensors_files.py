"""safetensors files, memory-mapped. The library checks their header; they have no checksum of the numbers.

Text is no tensor: ids that are text stand in the file's metadata, as a JSON list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.formats.named_arrays import rows_in
from price_fusion.data.readers.rows import Asked, FoundRows, Located, widened
from price_fusion.errors import DataError

_DTYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "BOOL": "?",
}


def read_safetensors(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of a file.

    Raises:
        DataError: if it is damaged, or holds not what is looked for.
    """
    path = located.vectors[0]
    tensors = _Tensors(path, origin)
    return rows_in(tensors, asked, origin)


class _Tensors(Mapping[str, Any]):
    """The tensors of a file by name, mapped when they are asked for; and lists in its metadata."""

    def __init__(self, path: Path, origin: str) -> None:
        self._path, self._origin = path, origin
        header = _header(path, origin)
        self._metadata = {name: text for name, text in header.pop("__metadata__", {}).items() if _is_list(text)}
        self._entries: dict[str, dict[str, Any]] = header
        self._bytes = np.memmap(path, np.uint8, "r")
        self._start = path.stat().st_size - max((entry["data_offsets"][1] for entry in header.values()), default=0)

    def __getitem__(self, name: str) -> Any:
        if name not in self._entries:
            return _list(self._metadata[name], f"{self._origin}, metadata {name!r}")
        entry = self._entries[name]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise DataError(
                f"{self._origin}, {name!r}: found a tensor of type {entry['dtype']}, expected F16, BF16, F32 or F64 for vectors, or "
                "whole numbers for ids. Convert it and write the file again."
            )
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        array: NDArray[Any]
        if len(shape) == 2 and begin < end:
            array = np.memmap(self._path, dtype, "r", offset=self._start + begin, shape=shape)
        else:
            # One mapping for all: a system has no more than some 65,000, and there may be a tensor a product.
            array = self._bytes[self._start + begin : self._start + end].view(dtype).reshape(shape)
        return widened(array) if entry["dtype"] == "BF16" else array

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from (name for name in self._metadata if name not in self._entries)

    def __len__(self) -> int:
        return len(set(self._entries) | set(self._metadata))


def _header(path: Path, origin: str) -> dict[str, Any]:
    """What a file says of its tensors, once the library has found its offsets, shapes and size to fit together."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length), object_pairs_hook=_once)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise unreadable(origin, "a safetensors file", error) from error
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice in its header")
    return dict(pairs)


def _list(text: str, where: str) -> list[Any]:
    try:
        found: list[Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(where, "a list in JSON", error) from error
    return found


def _is_list(text: object) -> bool:
    return isinstance(text, str) and text.lstrip().startswith("[") and text.rstrip().endswith("]")
