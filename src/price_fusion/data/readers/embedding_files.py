"""Readers of stored embeddings, one for each file format.

A format is one function and one line in ``_READERS``. What a file is follows from its first bytes (``file_kinds``). Readers
find the ids and the matrix in a file; ``RawEmbeddings.from_arrays`` judges what they found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from price_fusion.data.readers.file_kinds import AS_ARRAYS, kind_of_file, refuse_broken_link, refuse_other_kind
from price_fusion.data.readers.npy_folders import array_without_ids, read_npy_folder
from price_fusion.data.readers.parquet_files import BinaryDtype, read_parquet
from price_fusion.data.readers.pickles.process import read_pickle
from price_fusion.data.readers.published_digests import check_digests
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.errors import DataError

FileFormat = Literal["pickle", "npy", "parquet"]


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
        DataError: if a file, key or column is missing, damaged, of another format or of the wrong kind, or if a limit
            is not enough.
        StorageError: if the temporary folder does not hold the arrays of a pickle.
        UnsafePickleError: if a pickle asks for more than arrays and plain containers.
        AlignmentError: if an id occurs twice.
    """
    if file_format not in _READERS:
        raise DataError(f"{path}: unknown format {file_format!r}, expected one of {', '.join(_READERS)}.")
    refuse_broken_link(path)
    if not path.exists():
        raise DataError(
            f"{path}: found no such file or folder, expected embeddings as {file_format}. "
            "Put it there, or correct its path in the catalog."
        )
    reader, default_embeddings, default_ids = _READERS[file_format]
    names = (embeddings or default_embeddings, ids or default_ids)
    if path.is_dir() and file_format != "npy":
        raise _folder(path, _EXPECTED[file_format])
    if sha256 is not None:
        check_digests(path, sha256, names)
    if path.is_file():
        _refuse_other_file(path, file_format, *names)
    return reader(path, *names, _Options(binary_dtype, memory_gb, seconds))


def files_of_embeddings(path: Path, file_format: FileFormat, embeddings: str | None, ids: str | None) -> list[Path]:
    """The files that ``read_embeddings`` reads, which has arguments of the same names."""
    if file_format != "npy":
        return [path]
    _, default_embeddings, default_ids = _READERS[file_format]
    return [path / (embeddings or default_embeddings), path / (ids or default_ids)]


def _refuse_other_file(path: Path, file_format: FileFormat, embeddings: str, ids: str) -> None:
    """Refuse a file whose first bytes are those of another format, or that stands where a folder is expected."""
    kind = kind_of_file(path)
    expected = _EXPECTED.get(file_format, f"a folder with {embeddings!r} and {ids!r}")
    if kind is not None and kind.name == "npy":
        raise array_without_ids(path, *((embeddings, ids) if file_format == "npy" else _READERS["npy"][1:]))
    if kind is not None and kind.name in _EXPECTED and kind.name != file_format:
        raise DataError(
            f"{path}: found {kind.found}, expected {expected}. Set 'file_format: {kind.name}' in its catalog entry."
        )
    refuse_other_kind(kind, path, (file_format,), expected, AS_ARRAYS)
    if file_format == "npy":
        raise DataError(
            f"{path}: found a file of no known format, expected {expected}. Name the folder in the catalog."
        )


def _folder(path: Path, expected: str) -> DataError:
    """The error for a folder where a file is expected."""
    names = sorted(entry.name for entry in path.iterdir())
    parts = len(list(path.rglob("*.parquet")))
    found, advice = f"a folder with {', '.join(names[:_SHOWN]) or 'nothing in it'}", "Name the file in the catalog."
    if parts:
        found = f"a folder of {parts} parquet file(s), as Spark and Dask write it"
        advice = (
            "Join them with pyarrow.parquet.write_table(pyarrow.dataset.dataset(FOLDER).to_table(), FILE) and name that file "
            "in the catalog with 'file_format: parquet'; runs in buckets read such folders (docs/scale.md)."
        )
    elif any(name.endswith(".npy") for name in names):
        advice = "Set 'file_format: npy' in its catalog entry."
    return DataError(f"{path}: found {found}, expected {expected}. {advice}")


def _read_pickle(path: Path, embeddings: str, ids: str, options: _Options) -> RawEmbeddings:
    return read_pickle(path, embeddings, ids, memory_gb=options.memory_gb, seconds=options.seconds)


def _read_npy_folder(path: Path, embeddings: str, ids: str, options: _Options) -> RawEmbeddings:
    return read_npy_folder(path, embeddings, ids)


def _read_parquet(path: Path, embeddings: str, ids: str, options: _Options) -> RawEmbeddings:
    return read_parquet(path, embeddings, ids, options.binary_dtype)


_READERS: dict[str, tuple[Callable[[Path, str, str, _Options], RawEmbeddings], str, str]] = {
    "pickle": (_read_pickle, "embeddings", "sample_ids"),
    "npy": (_read_npy_folder, "embeddings.npy", "sample_ids.npy"),
    "parquet": (_read_parquet, "embedding", "sample_id"),
}
"""Format: its reader, and where that looks by default for vectors and for ids."""
_EXPECTED = {"pickle": "a pickle", "parquet": "a parquet file"}
"""Formats that are one file."""
_SHOWN = 5
"""Names in a folder that a message spells out."""
