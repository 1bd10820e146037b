"""``.npy`` files of vectors, memory-mapped, with the ids of their rows in a file beside them, or in no file at all."""

from __future__ import annotations

import re
import struct
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.file_kinds import (
    AS_ARRAYS,
    HEAD,
    kind_of,
    kind_of_file,
    refuse_broken_link,
    refuse_other_kind,
    unreadable,
)
from price_fusion.data.readers.formats.id_files import KINDS_OF_IDS, read_id_file
from price_fusion.data.readers.names import absent
from price_fusion.data.readers.rows import ID_NAMES, VECTOR_NAMES, Asked, FoundRows, Located
from price_fusion.errors import DataError, few

_OBJECTS = re.compile(rb"""\x93NUMPY(?s:.){2,6}\{'descr': '\|O'""")
"""The header of an array of Python objects."""
_IDS = re.compile(rf"(.*[._ -])?({'|'.join(ID_NAMES)})")
"""Names, without what follows the dot, of files with ids: ``ids``, ``image_sample_ids``, ``train_ids``."""
_CHECKSUMS = (".md5", ".sha1", ".sha256", ".sha512")
"""Endings of what may lie beside a file of ids, and holds none."""

NPY_DAMAGE = (
    ValueError,
    EOFError,
    OSError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    TypeError,
    KeyError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What garbled arrays raise: numpy lets through whatever its header parser stumbles over, Python's tokenizer, literals, struct."""


def locate_npy(path: Path, asked: Asked) -> Located:
    """The array of vectors at a path, which is it or its folder, and the file with its ids.

    Ids are in the file that was asked for, or else in the one file beside the vectors with a usual name of ids; where there is
    none, rows are in the order of the product file.

    Raises:
        DataError: if there is no such file, or several could be meant.
    """
    folder = path if path.is_dir() else path.parent
    vectors = _vectors(path, asked) if path.is_dir() else path
    if asked.of_products:
        return Located("npy", [vectors], needs_products=True)
    if asked.ids is not None:
        refuse_broken_link(folder / asked.ids)
        if not (folder / asked.ids).is_file():
            raise absent(folder, "file", asked.ids, _names(folder))
        return Located("npy", [vectors], [folder / asked.ids])
    named = [one for one in _files(folder) if one != vectors and _is_named_as_ids(one)]
    # One whose format cannot be told, or will not do, is refused by name: taken for absent, rows would go to wrong products.
    found = [one for one in named if _can_be_read(one)] or [one for one in named if one.suffix not in _CHECKSUMS]
    usual = [one for name in ID_NAMES for one in found if one.name.partition(".")[0] == name] if path.is_dir() else []
    if len(found) > 1 and len(usual) != 1:
        raise DataError(
            f"{path}: found {len(found)} files that may hold the ids of {vectors.name!r} ({few([repr(one.name) for one in found])}), expected one. Name it in "
            "the catalog entry (ids: FILE), or set 'ids: products' if row n belongs to product n of the product file."
        )
    ids = usual or found
    return Located("npy", [vectors], ids, needs_products=not ids)


def read_npy(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of an array and the file beside it; the vectors are memory-mapped.

    Raises:
        DataError: if a file is missing, damaged, of another format, or holds more than one array.
    """
    name = located.vectors[0] if origin == str(located.vectors[0].parent) else origin
    vectors = mapped_array(located.vectors[0], "numpy.stack(vectors).astype('float32')", name)
    if not located.ids:
        return FoundRows(None, vectors)
    return FoundRows(read_id_file(located.ids[0], asked.id_column, len(vectors) if vectors.ndim else 0), vectors)


def mapped_array(path: Path, without_objects: str, name: Path | str | None = None) -> NDArray[Any]:
    """The one array of a file, mapped.

    Args:
        path: of the file.
        without_objects: how to write it again where it holds Python objects.
        name: of the file in messages; its path by default.

    Raises:
        DataError: if the file is damaged, of another format, or holds more than one array.
    """
    name = path if name is None else name
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        refuse_other_kind(kind_of(head), name, ("npy",), "one array of numpy.save", AS_ARRAYS)
        _refuse_objects(head, name, without_objects)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except NPY_DAMAGE as error:
        raise unreadable(name, "a .npy file of numbers or text", error) from error
    _refuse_rest(array, path, name)
    return np.asarray(array) if array.ndim == 0 else array


def _vectors(folder: Path, asked: Asked) -> Path:
    """The file of vectors in a folder: the one asked for, one of a usual name, or the only array that is not of ids."""
    if asked.embeddings is not None:
        refuse_broken_link(folder / asked.embeddings)
        if not (folder / asked.embeddings).is_file():
            raise absent(folder, "file", asked.embeddings, _names(folder))
        return folder / asked.embeddings
    for name in VECTOR_NAMES:
        refuse_broken_link(folder / f"{name}.npy")
        if (folder / f"{name}.npy").is_file():
            return folder / f"{name}.npy"
    arrays = [one for one in _files(folder) if one.suffix == ".npy" and not _is_named_as_ids(one)]
    arrays = [one for one in arrays if one.name != asked.ids]
    if len(arrays) != 1:
        raise absent(folder, "file", f"{VECTOR_NAMES[0]}.npy", _names(folder))
    return arrays[0]


def _is_named_as_ids(path: Path) -> bool:
    return _IDS.fullmatch(path.name.partition(".")[0].lower()) is not None


def _can_be_read(path: Path) -> bool:
    kind = kind_of_file(path)
    return kind is not None and kind.name in KINDS_OF_IDS


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith((".", "_")))


def _names(folder: Path) -> list[str]:
    return [one.name for one in _files(folder)]


def _refuse_objects(head: bytes, path: Path | str, without: str) -> None:
    if _OBJECTS.match(head):
        raise DataError(
            f"{path}: found an array of Python objects (dtype object), which only a pickle can hold, expected numbers or text. "
            f"Write it again as numpy.save(FILE, {without})."
        )


def _refuse_rest(array: np.memmap[Any, Any], path: Path, name: Path | str) -> None:
    """Refuse what follows an array: numpy.load reads the first of those that were saved into one open file."""
    end = array.offset + array.nbytes
    count = path.stat().st_size - end
    if count <= 0:
        return
    with path.open("rb") as file:
        file.seek(end)
        again = file.read(6) == b"\x93NUMPY"
    what = "another array, as if chunks had been saved into one open file" if again else "of no known kind"
    advice = (
        "Read all of them (numpy.load of the open file, again and again), join them with numpy.concatenate, and save one array."
        if again
        else "Copy or write the file again."
    )
    raise DataError(
        f"{name}: found {count:,} more bytes after the array, which ends at byte {end:,} ({what}), expected one array and "
        f"nothing else. {advice}"
    )
