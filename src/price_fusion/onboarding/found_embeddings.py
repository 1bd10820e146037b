"""Stored embeddings in a folder: which files can be read, and the ids that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids
from price_fusion.data.readers.embedding_files import locate_embeddings, read_embeddings
from price_fusion.data.readers.file_kinds import kind_of
from price_fusion.data.readers.formats.arrow_files import is_saved_dataset
from price_fusion.data.readers.formats.npy_parts import are_parts
from price_fusion.data.readers.gzip_files import head_inside
from price_fusion.data.readers.rows import OF_PRODUCTS, Asked
from price_fusion.errors import PriceFusionError

_KINDS = ("npz", "pickle", "torch", "safetensors", "parquet", "arrow", "arrow stream")
"""Formats of single files that may hold embeddings."""


@dataclass(frozen=True)
class FoundEmbeddings:
    """Embeddings that can be read.

    Attributes:
        path: of the file or folder.
        ids: (N,) of their products.
        width: columns.
        entry: what its catalog entry says beside the path.
        files: that they are read from, those with the ids among them.
    """

    path: Path
    ids: Ids
    width: int
    entry: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def found_embeddings(
    files: Sequence[Path], tables: Mapping[Path, Ids], identity: str = ""
) -> tuple[list[FoundEmbeddings], dict[Path, str]]:
    """Embeddings among files, and why other files of their formats are left out.

    Args:
        files: that may hold some; folders of parts are found by their files.
        tables: ids of products in the order of their file, for vectors without ids.
        identity: what the products' tables call an id; files of embeddings may do so, too, also in the plural.
    """
    kinds = {path: kind for path in files if (kind := _kind_inside(path))}
    found: list[FoundEmbeddings] = []
    left_out: dict[Path, str] = {}
    own = [Asked(), *(Asked(ids=name) for name in (identity, f"{identity}s") if identity)]
    for folder in dict.fromkeys(path.parent for path in kinds):
        arrays = [path for path, kind in kinds.items() if path.parent == folder and kind == "npy"]
        others = [path for path, kind in kinds.items() if path.parent == folder and kind in _KINDS]
        if _is_one(folder, others):
            _take(folder, own, found, left_out)
            continue
        lists = [path for path in files if path.parent == folder and path not in arrays and path not in others]
        beside = [one for name in lists for one in _of_a_list(name, identity)]
        for path in others:
            _take(path, [*own, *beside], found, left_out)
        _take_arrays(folder, arrays, beside, tables, found, left_out)
    read = {path for one in found for path in one.files}
    return found, {path: why for path, why in left_out.items() if path not in read}


def _kind_inside(path: Path) -> str:
    """The format of a file, or of what gzip has compressed in it; nothing where it is not known."""
    try:
        kind = kind_of(head_inside(path))
    except PriceFusionError:
        return ""
    return "" if kind is None else kind.name


def _is_one(folder: Path, files: Sequence[Path]) -> bool:
    """Whether files of a folder are parts of one set of embeddings: as Spark, clip-retrieval and Hugging Face write them."""
    parts = len(files) > 1 and all(path.name.startswith("part-") for path in files)
    return parts or is_saved_dataset(folder) or are_parts(folder)


def _take(
    path: Path,
    ways: Sequence[Asked],
    found: list[FoundEmbeddings],
    left_out: dict[Path, str],
    ids: tuple[Ids, str] | None = None,
) -> None:
    """Read embeddings in the first way that succeeds, or note why the very first does not."""
    reasons = []
    for asked in ways:
        try:
            raw = read_embeddings(path, asked=asked, products=None if ids is None else lambda: ids)
            files = locate_embeddings(path, asked=asked).files
        except PriceFusionError as error:
            reasons.append(str(error).removeprefix(f"{path}: "))
            continue
        said = (("embeddings", asked.embeddings), ("ids", asked.ids), ("id_column", asked.id_column))
        entry = {name: value for name, value in said if value}
        found.append(FoundEmbeddings(path, raw.ids, raw.vectors.shape[1], entry, tuple(files)))
        return
    left_out[path] = reasons[0]


def _take_arrays(
    folder: Path,
    paths: Sequence[Path],
    beside: Sequence[Asked],
    tables: Mapping[Path, Ids],
    found: list[FoundEmbeddings],
    left_out: dict[Path, str],
) -> None:
    """Matrices of a folder, each with the ids of as many rows whose name is most alike; or in the order of the products."""
    loaded = {path: _array(path) for path in paths}
    for path, matrix in loaded.items():
        if matrix is None or matrix.ndim != 2:
            continue
        ids = [one for one, array in loaded.items() if array is not None and array.shape == (len(matrix),)]
        in_order = [(table, of_table) for table, of_table in tables.items() if len(of_table) == len(matrix)]
        if ids:
            own = max(ids, key=lambda one: len(set(words_in(one.stem)) & set(words_in(path.stem))))
            _take(folder, [Asked(embeddings=path.name, ids=own.name)], found, left_out)
        elif any(_takes(folder, replace(asked, embeddings=path.name), found) for asked in beside):
            continue
        elif len(in_order) == 1:
            table, of_table = in_order[0]
            _take(path, [Asked(ids=OF_PRODUCTS)], found, left_out, (of_table, str(table)))
        else:
            left_out[path] = (
                f"there are no ids beside it: a .npy, JSON, CSV or parquet file of {len(matrix):,} ids in the same folder"
            )


def _takes(path: Path, asked: Asked, found: list[FoundEmbeddings]) -> bool:
    """Whether embeddings can be read so; then they are found."""
    left_out: dict[Path, str] = {}
    _take(path, [asked], found, left_out)
    return not left_out


def _of_a_list(path: Path, identity: str) -> list[Asked]:
    """How ids may be read from a file: by a usual name, or by the one that products' tables have for them."""
    return [Asked(ids=path.name), *([Asked(ids=path.name, id_column=identity)] if identity else [])]


def _array(path: Path) -> NDArray[Any] | None:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return array


def words_in(text: str) -> Iterator[str]:
    """Words and numbers of a name, in lower case."""
    yield from re.findall(r"[a-z]+[0-9]*|[0-9]+", text.casefold())
