"""Folders with one ``.npy`` file of vectors and one of ids."""

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
    refuse_broken_link,
    refuse_other_kind,
    unreadable,
)
from price_fusion.data.readers.names import absent
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.errors import DataError

_OBJECTS = re.compile(rb"""\x93NUMPY(?s:.){2,6}\{'descr': '\|O'""")
"""The header of an array of Python objects."""
_WRITE_IDS = (
    "If row n of the vectors is row n of train.csv: numpy.save('sample_ids.npy', pandas.read_csv('train.csv', "
    "dtype=str)['sample_id'].to_numpy(str)), likewise for test.csv"
)


def read_npy_folder(folder: Path, embeddings: str, ids: str) -> RawEmbeddings:
    """Ids and vectors of a folder; the vectors are memory-mapped.

    Raises:
        DataError: if a file is missing, damaged, of another format, or holds more than one array.
        AlignmentError: if an id occurs twice.
    """
    present = sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".npy")
    for name in (embeddings, ids):
        refuse_broken_link(folder / name)
        if not (folder / name).is_file():
            raise _absent(folder, name, present, is_ids=name == ids)
    vectors = _mapped(folder / embeddings, "numpy.stack(vectors).astype('float32')")
    return RawEmbeddings.from_arrays(np.array(_mapped(folder / ids, "ids.astype(str)")), vectors, str(folder))


def array_without_ids(path: Path, embeddings: str, ids: str) -> DataError:
    """The error for a ``.npy`` file where a folder is expected."""
    return DataError(
        f"{path}: found a .npy array, expected a folder with {embeddings!r} and {ids!r}. Make a folder, put the array into it "
        f"as {embeddings!r} and the ids of its rows as {ids!r}, and name the folder in the catalog (file_format: npy). "
        f"{_WRITE_IDS}."
    )


def _absent(folder: Path, name: str, present: list[str], *, is_ids: bool) -> DataError:
    error = absent(folder, "file", name, present)
    return DataError(f"{error} {_WRITE_IDS}.") if is_ids and len(present) == 1 else error


def _mapped(path: Path, without_objects: str) -> NDArray[Any]:
    """The one array of a file, mapped."""
    # numpy lets through whatever its header parser stumbles over: Python's tokenizer, literals, struct.
    damage = (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError, struct.error, TypeError, KeyError)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        refuse_other_kind(kind_of(head), path, ("npy",), "one array of numpy.save", AS_ARRAYS)
        _refuse_objects(head, path, without_objects)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*damage, OverflowError, MemoryError, RecursionError) as error:
        raise unreadable(path, "a .npy file of numbers or text", error) from error
    _refuse_rest(array, path)
    return np.asarray(array) if array.ndim == 0 else array


def _refuse_objects(head: bytes, path: Path, without: str) -> None:
    if _OBJECTS.match(head):
        raise DataError(
            f"{path}: found an array of Python objects (dtype object), which only a pickle can hold, expected numbers or text. "
            f"Write it again as numpy.save(FILE, {without})."
        )


def _refuse_rest(array: np.memmap[Any, Any], path: Path) -> None:
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
        f"{path}: found {count:,} more bytes after the array, which ends at byte {end:,} ({what}), expected one array and "
        f"nothing else. {advice}"
    )
