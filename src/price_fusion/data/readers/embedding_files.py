"""Stored embeddings: what a path leads to follows from the first bytes of its files, and a reader a format takes it from there.

A format is a module in ``formats`` and a line in ``_READERS``. Readers find ids and vectors; ``RawEmbeddings.from_arrays``
judges what they found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from price_fusion.data.ids import Ids
from price_fusion.data.readers.file_kinds import (
    AS_ARRAYS,
    kind_of,
    kind_of_file,
    refuse_broken_link,
    refuse_other_kind,
)
from price_fusion.data.readers.formats.arrow_files import is_saved_dataset, locate_saved_dataset, read_arrow
from price_fusion.data.readers.formats.id_files import read_id_file
from price_fusion.data.readers.formats.npy_files import locate_npy, read_npy
from price_fusion.data.readers.formats.npy_parts import are_parts, locate_parts, read_parts
from price_fusion.data.readers.formats.npz_files import read_npz
from price_fusion.data.readers.formats.parquet_files import read_parquet
from price_fusion.data.readers.formats.safetensors_files import read_safetensors
from price_fusion.data.readers.gzip_files import head_inside, unpacked
from price_fusion.data.readers.pickles.process import read_pickle
from price_fusion.data.readers.published_digests import check_digests
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.row_rules import RowRules
from price_fusion.data.readers.rows import OF_PRODUCTS, Asked, FoundRows, Located
from price_fusion.errors import DataError, few

FileFormat = Literal["auto", "npy", "npz", "pickle", "torch", "safetensors", "parquet", "arrow"]
ProductIds = Callable[[], tuple[Ids, str]]
"""Ids of the products in the order of their file, and its name."""
_FORMATS = get_args(FileFormat)
_EXPECTED = "embeddings as .npy, .npz, a pickle, a file of torch.save, safetensors, parquet or Arrow IPC"
_AS_ASKED = Asked()
_STRICT = RowRules()


def read_embeddings(
    path: Path,
    file_format: str = "auto",
    *,
    asked: Asked = _AS_ASKED,
    rules: RowRules = _STRICT,
    products: ProductIds | None = None,
    sha256: str | Mapping[str, str] | None = None,
) -> RawEmbeddings:
    """Read the ids and vectors of one source.

    Args:
        path: the file or folder.
        file_format: one of ``FileFormat``; the first bytes must agree, unless it is ``auto``.
        asked: names of keys, columns or files, and limits.
        rules: what is done with rows that are no embedding, and with several rows of one id.
        products: gives the ids of vectors that have none of their own.
        sha256: the digest that the file must have; of a folder, or a file with its ids in another one, the digest of each file
            that is read, by its name.

    Returns:
        ids (N,) and vectors (N, D), not aligned and not checked for NaN; mapped where the format allows, or larger than a few
        thousand rows.

    Raises:
        DataError: if a file, key or column is missing, damaged, of another format or of the wrong kind, or if a limit
            is not enough.
        StorageError: if the temporary folder does not hold what passes through it.
        UnsafePickleError: if a pickle asks for more than arrays and plain containers.
        AlignmentError: if an id occurs twice.
    """
    located = locate_embeddings(path, file_format, asked)
    if sha256 is not None:
        folder = path if path.is_dir() else path.parent
        check_digests(path, sha256, [os.path.relpath(file, folder) for file in located.files])
    found = _read(located, asked, str(path))
    ids = found.ids
    if ids is None:
        ids = _of_products(products, len(found.vectors), path)  # type: ignore[arg-type]
    return RawEmbeddings.from_arrays(
        ids,
        found.vectors,
        str(path),
        nulls=found.nulls,
        rules=rules,
        files=[str(file) for file in located.vectors],
        rows_by_file=found.rows_by_file,
    )


def locate_embeddings(path: Path, file_format: str = "auto", asked: Asked = _AS_ASKED) -> Located:
    """The files that ``read_embeddings`` reads, which has arguments of the same names, and their format.

    Raises:
        DataError: if there is nothing, a format that is not read, or another one than the catalog says.
    """
    if file_format not in _FORMATS:
        raise DataError(f"{path}: unknown file_format {file_format!r}, expected one of {', '.join(_FORMATS)}.")
    refuse_broken_link(path)
    if not path.exists():
        raise DataError(
            f"{path}: found no such file or folder, expected embeddings. Put it there, or correct its path in the catalog."
        )
    located = _located_folder(path, asked) if path.is_dir() else _located_file(path, file_format, asked)
    found = _FORMAT_OF.get(located.kind, located.kind)
    if file_format not in ("auto", found):
        raise DataError(
            f"{path}: found {_DESCRIBED[found]}, going by its first bytes, but its catalog entry says 'file_format: {file_format}'. "
            "Remove that line (formats are recognised), or name the right file."
        )
    return located


def _located_file(path: Path, file_format: str, asked: Asked) -> Located:
    kind = kind_of_file(path)
    if kind is not None and kind.name == "gzip":
        kind = kind_of(head_inside(path))
    if kind is None and file_format == "pickle":
        return Located("pickle", [path])  # protocols 0 and 1 begin as anything may
    if kind is None:
        raise DataError(
            f"{path}: found a file of no known format, expected {_EXPECTED}. Name another in the catalog; if it is a pickle of protocol "
            "0 or 1, set 'file_format: pickle'."
        )
    refuse_other_kind(kind, path, _READERS, _EXPECTED, AS_ARRAYS)
    if kind.name == "npy":
        return locate_npy(path, asked)
    beside = [path.parent / asked.ids] if asked.ids and kind.name in _KEYED else []
    ids = [one for one in beside if one.is_file() and one != path]
    return Located(kind.name, [path], ids, needs_products=asked.of_products)


def _located_folder(folder: Path, asked: Asked) -> Located:
    if is_saved_dataset(folder):
        return locate_saved_dataset(folder, asked)
    if are_parts(folder):
        return locate_parts(folder, asked)
    files = _visible_files(folder)
    kinds = {file: kind_of_file(file) for file in files}
    names = {kind.name if kind else "unknown" for kind in kinds.values()}
    if "npy" in {kind.name for file, kind in kinds.items() if kind and file.parent == folder}:
        return locate_npy(folder, asked)
    for parts in ("parquet", "arrow", "arrow stream"):
        if names == {parts}:
            return Located(parts, files, needs_products=asked.of_products)
    listed = few([str(file.relative_to(folder)) for file in files])
    others = [file for file, kind in kinds.items() if not kind or kind.name != "parquet"]
    advice = "Name the file in the catalog."
    if "parquet" in names:
        advice = f"{others[0]} is no parquet file: copy it again, or remove it from the folder."
    raise DataError(
        f"{folder}: found a folder with {listed or 'nothing in it'}, expected .npy arrays, parts that are all parquet or all Arrow IPC, or "
        f"a saved Hugging Face dataset. {advice}"
    )


def _visible_files(folder: Path) -> list[Path]:
    """Files in a folder and in those in it; those that begin with a dot or an underscore are notes of writers (_SUCCESS)."""
    found = [one for one in folder.rglob("*") if one.is_file()]
    hidden = (".", "_")
    return sorted(one for one in found if not any(part.startswith(hidden) for part in one.relative_to(folder).parts))


def _read(located: Located, asked: Asked, origin: str) -> FoundRows:
    read = _READERS[located.kind]
    if located.kind in _KEYED and located.ids:
        found = _read(replace(located, ids=()), replace(asked, ids=OF_PRODUCTS), origin)
        return replace(found, ids=read_id_file(located.ids[0], asked.id_column, len(found.vectors)))  # type: ignore[arg-type]
    if len(located.vectors) > 1:
        return read(located, asked, origin)
    with unpacked(located.vectors[0]) as file:
        if file == located.vectors[0]:
            return read(located, asked, origin)
        return read(Located(located.kind, [file], located.ids, located.needs_products), asked, origin)


def _of_products(products: ProductIds | None, rows: int, path: Path) -> Ids:
    if products is None:
        raise DataError(
            f"{path}: found vectors without ids, expected the ids of their rows. In a run they are those of the product file; elsewhere "
            "save them beside the vectors: numpy.save('sample_ids.npy', ids)."
        )
    ids, file = products()
    if len(ids) != rows:
        raise DataError(
            f"{path}: found {rows:,} rows without ids, and {len(ids):,} products in {file}, in whose order they would have to be; expected "
            "as many. Save the ids of the rows beside them (numpy.save('sample_ids.npy', ids)), or make the embeddings of this file."
        )
    return ids


def _read_pickle(located: Located, asked: Asked, origin: str) -> FoundRows:
    return read_pickle(located.vectors[0], asked, kind=located.kind, origin=origin)


_READERS: dict[str, Callable[[Located, Asked, str], FoundRows]] = {
    "npy": read_npy,
    "npy parts": read_parts,
    "npz": read_npz,
    "pickle": _read_pickle,
    "torch": _read_pickle,
    "safetensors": read_safetensors,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "arrow stream": read_arrow,
}
_KEYED = ("npz", "pickle", "torch", "safetensors")
"""Formats of named arrays, whose ids may be in a file of their own, too."""
_FORMAT_OF = {"npy parts": "npy", "arrow stream": "arrow"}
_DESCRIBED = {
    "npy": "a .npy array",
    "npz": "an .npz archive",
    "pickle": "a pickle",
    "torch": "a file of torch.save",
    "safetensors": "a safetensors file",
    "parquet": "parquet",
    "arrow": "Arrow IPC",
}
