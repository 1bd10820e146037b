"""Readers of stored embeddings, one for each file format.

A format is one function and one line in ``_READERS``. Readers find the ids and the matrix in a file;
``RawEmbeddings.from_arrays`` judges what they found.
"""

from __future__ import annotations

import struct
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import DataError
from price_fusion.fusion.tables.names import absent
from price_fusion.fusion.tables.pickles.process import read_pickle
from price_fusion.fusion.tables.published_digests import check_digests
from price_fusion.fusion.tables.raw import RawEmbeddings

if TYPE_CHECKING:
    import pyarrow as pa

FileFormat = Literal["pickle", "npy", "parquet"]
BinaryDtype = Literal["float16", "float32"]


@dataclass(frozen=True)
class _Options:
    """What only one format needs."""

    binary_dtype: BinaryDtype = "float32"
    memory_gb: float | None = None
    seconds: float | None = None


def read_embeddings(
    path: Path,
    file_format: FileFormat,
    *,
    embeddings: str | None = None,
    ids: str | None = None,
    binary_dtype: BinaryDtype = "float32",
    sha256: str | Mapping[str, str] | None = None,
    memory_gb: float | None = None,
    seconds: float | None = None,
) -> RawEmbeddings:
    """Read the ids and vectors of one source.

    Args:
        path: the pickle or parquet file, or the folder of .npy files.
        file_format: ``pickle``: a dict of arrays or tensors, or a pandas frame; ``npy``: a folder with one file of vectors, which are
            memory-mapped, and one of ids; ``parquet``: one column of vectors (lists, or bytes) and one of ids.
        embeddings: the key, file name or column of the vectors. By default ``embeddings``, ``embeddings.npy`` or
            ``embedding``.
        ids: the key, file name or column of the ids. By default ``sample_ids``, ``sample_ids.npy`` or ``sample_id``.
        binary_dtype: what the bytes of a binary parquet column are; little-endian.
        sha256: the digest that the file must have; for a folder, the digest of each file that is read, by its name.
        memory_gb: GiB that reading a pickle may take; by default 2, or 1 and six times the file, if that is more.
        seconds: of processor time that reading a pickle may take; by default 30 and one for each 5 MB.

    Returns:
        ids int64 (N,) and vectors (N, D), not aligned and not checked for NaN.

    Raises:
        DataError: if a file, key or column is missing, damaged or of the wrong kind, or if a limit is not
            enough.
        UnsafePickleError: if a pickle asks for more than arrays and plain containers.
        AlignmentError: if an id occurs twice.
    """
    if file_format not in _READERS:
        raise DataError(f"{path}: unknown format {file_format!r}, expected one of {', '.join(_READERS)}.")
    if not path.exists():
        raise DataError(
            f"{path}: found no such file or folder, expected embeddings as {file_format}. "
            "Put it there, or mend its path in the catalog."
        )
    reader, default_embeddings, default_ids = _READERS[file_format]
    names = (embeddings or default_embeddings, ids or default_ids)
    if sha256 is not None:
        check_digests(path, sha256, names)
    return reader(path, *names, _Options(binary_dtype, memory_gb, seconds))


# --- pickle ---------------------------------------------------------------------------------------------------------


def _read_pickle(path: Path, embeddings: str, ids: str, options: _Options) -> RawEmbeddings:
    return read_pickle(path, embeddings, ids, memory_gb=options.memory_gb, seconds=options.seconds)


# --- folder of .npy -------------------------------------------------------------------------------------------------


def _read_npy_folder(path: Path, embeddings: str, ids: str, options: _Options) -> RawEmbeddings:
    if not path.is_dir():
        raise DataError(
            f"{path}: found a file, expected a folder with {embeddings!r} and {ids!r}. Name the folder in the catalog."
        )
    present = sorted(entry.name for entry in path.iterdir() if entry.suffix == ".npy")
    for name in (embeddings, ids):
        if not (path / name).is_file():
            raise absent(path, "file", name, present)
    vectors = _load_npy(path / embeddings, mmap_mode="r")
    return RawEmbeddings.from_arrays(_load_npy(path / ids), vectors, str(path))


def _load_npy(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    # numpy lets through whatever its header parser stumbles over: Python's tokenizer, literals, struct.
    damage = (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError, struct.error, TypeError, KeyError)
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (*damage, OverflowError, MemoryError, RecursionError) as error:
        raise _unreadable(path, "a .npy file of plain numbers", error) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path}: found an archive of several arrays, expected one array. Save it with numpy.save.")
    return array


# --- parquet --------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, embeddings: str, ids: str, options: _Options) -> RawEmbeddings:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path}: found a folder, expected a parquet file. Name the file in the catalog.")
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            for column in (embeddings, ids):
                if column not in file.schema_arrow.names:
                    raise absent(path, "column", column, file.schema_arrow.names)
            table = file.read(columns=[embeddings, ids])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, "a parquet file", error) from error
    return embeddings_of_columns(table, embeddings, ids, options.binary_dtype, str(path))


def embeddings_of_columns(
    table: pa.Table, embeddings: str, ids: str, binary_dtype: BinaryDtype, origin: str
) -> RawEmbeddings:
    """Embeddings of two columns of a parquet file.

    Args:
        table: with both.
        embeddings: column of the vectors: lists of floats, or bytes.
        ids: column of the ids.
        binary_dtype: what bytes are; little-endian.
        origin: the file, for messages.

    Raises:
        DataError: if a field is empty, vectors differ in length, or as ``RawEmbeddings.from_arrays``.
        AlignmentError: if an id occurs twice.
    """
    for column in (embeddings, ids):
        _refuse_nulls(table.column(column), f"{origin}, column {column!r}")
    vectors = _column_vectors(table.column(embeddings), f"{origin}, column {embeddings!r}", binary_dtype)
    return RawEmbeddings.from_arrays(table.column(ids).to_numpy(), vectors, origin)


def _refuse_nulls(column: pa.ChunkedArray, where: str) -> None:
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy())
        raise DataError(
            f"{where}: found {len(rows)} empty rows ({_first(rows)}), expected none. "
            "Leave those products out of the file."
        )


def _column_vectors(column: pa.ChunkedArray, where: str, binary_dtype: BinaryDtype) -> NDArray[Any]:
    """A column of lists or bytes as a matrix (N, D); without a copy where the column is one chunk."""
    import pyarrow.types as kinds

    if column.length() == 0:
        raise DataError(f"{where}: found no rows, expected one a product. Write the file again.")
    if kinds.is_list(column.type) or kinds.is_large_list(column.type) or kinds.is_fixed_size_list(column.type):
        parts = [_list_values(chunk, where) for chunk in column.chunks]
        lengths = _lengths(column, "list_value_length")
    elif kinds.is_binary(column.type) or kinds.is_large_binary(column.type) or kinds.is_fixed_size_binary(column.type):
        parts = [_binary_values(chunk, where, np.dtype(binary_dtype).newbyteorder("<")) for chunk in column.chunks]
        lengths = _lengths(column, "binary_length")
    else:
        raise DataError(
            f"{where}: found the type {column.type}, expected lists of floats, or bytes. Store one vector a row."
        )
    _refuse_ragged(lengths, where)
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(column.length(), -1)


def _list_values(chunk: pa.Array, where: str) -> NDArray[Any]:
    """The numbers of all lists of a chunk, one after the other."""
    import pyarrow.types as kinds

    values = chunk.flatten()
    if not kinds.is_floating(values.type):
        raise DataError(
            f"{where}: found lists of {values.type}, expected lists of floats. Store the vectors as floats."
        )
    if values.null_count:
        raise DataError(
            f"{where}: found {values.null_count} empty values inside the lists, expected numbers only. "
            "Leave those products out of the file."
        )
    return np.asarray(values.to_numpy(zero_copy_only=True))


def _binary_values(chunk: pa.Array, where: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers in all byte strings of a chunk, one after the other."""
    import pyarrow as pa

    # One layout for all kinds of bytes: 64-bit offsets into one buffer.
    uniform = chunk.cast(pa.large_binary())
    _, offsets_buffer, data = uniform.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[uniform.offset : uniform.offset + len(uniform) + 1]
    uneven = np.flatnonzero(np.diff(offsets) % dtype.itemsize)
    if len(uneven):
        raise DataError(
            f"{where}: found {np.diff(offsets)[uneven[0]]} bytes in row {uneven[0]}, expected a multiple of "
            f"{dtype.itemsize} ({dtype.name}). Set the dtype that the bytes were written with, or write the file again."
        )
    count = int(offsets[-1] - offsets[0]) // dtype.itemsize
    return np.frombuffer(data or b"", dtype=dtype, count=count, offset=int(offsets[0]))


def _lengths(column: pa.ChunkedArray, function: str) -> NDArray[Any]:
    """Length of each row's list (in values) or byte string (in bytes), (N,)."""
    import pyarrow.compute as pc

    return np.asarray(pc.call_function(function, [column]).to_numpy())


def _refuse_ragged(lengths: NDArray[Any], where: str) -> None:
    rows = np.flatnonzero(lengths != lengths[0])
    if len(rows) or lengths[0] == 0:
        found = (
            f"{lengths[rows[0]]} in row {rows[0]} and {len(rows) - 1} more like it" if len(rows) else "0 in each row"
        )
        raise DataError(
            f"{where}: rows differ in length or are empty: found {lengths[0]} in row 0, {found}; expected one width. "
            "Write the vectors of one encoder only."
        )


# --- messages -------------------------------------------------------------------------------------------------------


def _unreadable(path: Path, expected: str, error: Exception) -> DataError:
    reason = (str(error).strip().splitlines() or ["no details"])[0][:200]
    return DataError(
        f"{path}: could not be read ({type(error).__name__}: {reason}), expected {expected}. "
        "It may be truncated or of another format: copy or write it again."
    )


def _first(rows: NDArray[Any]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row {shown}" if len(rows) == 1 else f"rows {shown}{', ...' if len(rows) > 5 else ''}"


_READERS: dict[str, tuple[Callable[[Path, str, str, _Options], RawEmbeddings], str, str]] = {
    "pickle": (_read_pickle, "embeddings", "sample_ids"),
    "npy": (_read_npy_folder, "embeddings.npy", "sample_ids.npy"),
    "parquet": (_read_parquet, "embedding", "sample_id"),
}
"""Format: its reader, and where that looks by default for vectors and for ids."""
