"""Stored embeddings in a folder: which files can be read, and the ids that belong to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids
from price_fusion.data.readers.embedding_files import locate_embeddings, read_embeddings
from price_fusion.data.readers.file_kinds import kind_of
from price_fusion.data.readers.formats.arrow_files import is_saved_dataset
from price_fusion.data.readers.formats.npy_files import NPY_DAMAGE
from price_fusion.data.readers.formats.npy_parts import are_parts
from price_fusion.data.readers.gzip_files import head_inside, unpacked
from price_fusion.data.readers.rows import OF_PRODUCTS, Asked
from price_fusion.errors import PriceFusionError, few

_KINDS = ("npz", "pickle", "torch", "safetensors", "parquet", "arrow", "arrow stream")
"""Formats of single files that may hold embeddings."""
_ADVICE = "Save the ids of its rows beside it (numpy.save('ids.npy', ids))"
_OF_IDS = "iuUSO"
"""Kinds of arrays that may hold ids, those of Python objects among them, which are not read."""
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""What reads the header of an array, by the version of its format."""


@dataclass(frozen=True)
class ProductsOfFile:
    """Products of a file.

    Attributes:
        path: of the file.
        ids: in its order.
        words: of names of files that belong to it and not to the other file of products.
    """

    path: Path
    ids: Ids
    words: frozenset[str] = frozenset()


Agrees = Callable[[Path, ProductsOfFile, Sequence[Path]], bool]
"""Whether row n of a matrix without ids is product n of a file with as many products; takes both files, and those that may
hold the ids but cannot be read as such."""


@dataclass(frozen=True)
class _WithoutIds:
    """A matrix that no ids were found for.

    Attributes:
        may_be_ids: files beside it that may hold them, and cannot be read as such.
    """

    path: Path
    rows: int
    may_be_ids: Sequence[Path]


@dataclass(frozen=True)
class FoundEmbeddings:
    """Embeddings that can be read.

    Attributes:
        path: of the file or folder.
        ids: (N,) of their products.
        width: columns.
        entry: what its catalog entry says beside the path.
        files: that they are read from, those with the ids among them.
        table: of the products whose order its rows are assumed to be in, because there are as many; None where it has ids.
    """

    path: Path
    ids: Ids
    width: int
    entry: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    table: Path | None = None

    @property
    def ids_file(self) -> Path | None:
        """The file beside it that has its ids, if there is one."""
        return next((one for one in self.files if one != self.path), None) if self.path in self.files else None


def found_embeddings(
    folder: Path, files: Sequence[Path], tables: Sequence[ProductsOfFile], agrees: Agrees, identity: str = ""
) -> tuple[list[FoundEmbeddings], dict[Path, str]]:
    """Embeddings among files, and why other files of their formats are left out.

    Args:
        folder: that all of them are in, somewhere below it.
        files: that may hold some; folders of parts are found by their files.
        tables: files of products, for matrices without ids.
        agrees: is asked whether such a matrix is in the order of one of them.
        identity: what the products' tables call an id; files of embeddings may do so, too, also in the plural.
    """
    kinds = {path: kind for path in files if (kind := _kind_inside(path))}
    found: list[FoundEmbeddings] = []
    left_out: dict[Path, str] = {}
    own = [Asked(), *(Asked(ids=name) for name in (identity, f"{identity}s") if identity)]
    for parent in dict.fromkeys(path.parent for path in kinds):
        arrays = [path for path, kind in kinds.items() if path.parent == parent and kind == "npy"]
        others = [path for path, kind in kinds.items() if path.parent == parent and kind in _KINDS]
        if _is_one(parent, others):
            _take(parent, own, found, left_out)
            continue
        lists = [path for path in files if path.parent == parent and path not in arrays and path not in others]
        beside = [one for name in lists for one in _of_a_list(name, identity)]
        for path in others:
            _take(path, [*own, *beside], found, left_out)
        rest = _take_arrays(arrays, beside, found, left_out)
        for one in rest:
            fitting = _fitting(one.path.relative_to(folder), one.rows, tables)
            _take_in_order(one, fitting, tables, agrees, found, left_out)
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
    table: ProductsOfFile | None = None,
) -> bool:
    """Read embeddings in the first way that succeeds, or note why the very first does not."""
    reasons = []
    for asked in ways:
        try:
            raw = read_embeddings(
                path, asked=asked, products=None if table is None else lambda: (table.ids, table.path.name)
            )
            files = locate_embeddings(path, asked=asked).files
        except PriceFusionError as error:
            reasons.append(str(error).removeprefix(f"{path}: "))
            continue
        said = (("ids", asked.ids), ("id_column", asked.id_column))
        entry = {name: value for name, value in said if value}
        of = None if table is None else table.path
        found.append(FoundEmbeddings(path, raw.ids, raw.vectors.shape[1], entry, tuple(files), of))
        return True
    left_out[path] = reasons[0]
    return False


def _take_arrays(
    paths: Sequence[Path], beside: Sequence[Asked], found: list[FoundEmbeddings], left_out: dict[Path, str]
) -> list[_WithoutIds]:
    """Matrices of a folder, each with the ids of as many rows whose name is most alike.

    Returns:
        Those that have no ids.
    """
    arrays = {path: _array(path) for path in paths}
    without = []
    for path, matrix in arrays.items():
        if matrix and matrix.can_be_read and len(matrix.shape) != 2:
            left_out[path] = f"found an array of shape {matrix.shape}, expected a matrix: one row for each product"
            continue
        rows = matrix.shape[0] if matrix and matrix.can_be_read else -1
        may_be = [one for one, array in arrays.items() if one != path and (array is None or array.may_be_ids_of(rows))]
        ids = [one for one in may_be if (array := arrays[one]) and array.can_be_read]
        ids.sort(key=lambda one: -len(set(words_in(one.stem)) & set(words_in(path.stem))))
        taken = _take(path, [*(Asked(ids=one.name) for one in ids), Asked(), *beside], found, left_out)
        if not taken and rows >= 0 and _has_no_ids(path):
            without.append(_WithoutIds(path, rows, may_be))
    return without


def _has_no_ids(path: Path) -> bool:
    """Whether no file beside a matrix says by its name that it holds ids: a damaged one is not taken for absent."""
    try:
        return locate_embeddings(path).needs_products
    except PriceFusionError:
        return False


def _fitting(path: Path, rows: int, tables: Sequence[ProductsOfFile]) -> list[ProductsOfFile]:
    """The tables with as many products as a matrix has rows; where its name speaks of one of them, that alone."""
    parts = [list(words_in(part)) for part in (*path.parts[:-1], path.stem)]
    named = [table for table in tables if any(table.words.intersection(part) for part in parts)]
    if len(named) != 1:
        named = _named_in_full(parts, tables)
    return [table for table in (named if len(named) == 1 else tables) if len(table.ids) == rows]


def _named_in_full(parts: Sequence[Sequence[str]], tables: Sequence[ProductsOfFile]) -> list[ProductsOfFile]:
    """The tables whose whole name is in a part of a path: the longest, as ``new_products_vectors`` has ``products``, too."""
    names = [" ".join(words_in(table.path.name.partition(".")[0])) for table in tables]
    inside = [bool(name) and any(f" {name} " in f" {' '.join(part)} " for part in parts) for name in names]
    longest = max((len(name) for name, is_inside in zip(names, inside, strict=True) if is_inside), default=0)
    return [
        table
        for table, name, is_inside in zip(tables, names, inside, strict=True)
        if is_inside and len(name) == longest
    ]


def _take_in_order(
    matrix: _WithoutIds,
    fitting: Sequence[ProductsOfFile],
    tables: Sequence[ProductsOfFile],
    agrees: Agrees,
    found: list[FoundEmbeddings],
    left_out: dict[Path, str],
) -> None:
    """A matrix without ids, if it may be in the order of exactly one file of products."""
    path, rows = matrix.path, matrix.rows
    counted = " and ".join(f"{len(table.ids):,} products in {table.path.name}" for table in tables)
    if len(fitting) > 1:
        left_out[path] = (
            f"it has {rows:,} rows and no ids, and there are {counted}. {_ADVICE}, or name it after one of them."
        )
    elif not fitting:
        left_out[path] = (
            f"it has {rows:,} rows and no ids, and there are {counted}. {_ADVICE}, or make it of all products of a file."
        )
    elif agrees(path, fitting[0], matrix.may_be_ids):
        _take(path, [Asked(ids=OF_PRODUCTS)], found, left_out, fitting[0])
    elif matrix.may_be_ids:
        left_out[path] = (
            f"its {rows:,} ids may be in {few([one.name for one in matrix.may_be_ids])}, which cannot be read as ids. Write them "
            f"again (numpy.save('ids.npy', ids.astype(str))); or, if row n belongs to product n of {fitting[0].path.name}, say "
            "so (--order products)."
        )
    else:
        left_out[path] = (
            f"it has no ids, and its rows are not in the order of {fitting[0].path.name}, as you said. {_ADVICE}."
        )


def _of_a_list(path: Path, identity: str) -> list[Asked]:
    """How ids may be read from a file: by a usual name, or by the one that products' tables have for them."""
    return [Asked(ids=path.name), *([Asked(ids=path.name, id_column=identity)] if identity else [])]


@dataclass(frozen=True)
class _Array:
    """What the header of an array says.

    Attributes:
        can_be_read: whether the rest of the file agrees, and holds no Python objects.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    can_be_read: bool

    def may_be_ids_of(self, rows: int) -> bool:
        """Whether it has as many values, of a kind that ids may be."""
        return self.shape == (rows,) and self.dtype.kind in _OF_IDS


def _array(path: Path) -> _Array | None:
    """An array of a file; None where not even its header can be read."""
    try:
        with unpacked(path) as file:
            return _read_array(file)
    except (*NPY_DAMAGE, PriceFusionError):
        return None


def _read_array(path: Path) -> _Array:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return _Array(array.shape, array.dtype, can_be_read=True)
    except NPY_DAMAGE:
        with path.open("rb") as file:
            read = _HEADERS[np.lib.format.read_magic(file)]
            shape, _, dtype = read(file)
        return _Array(shape, dtype, can_be_read=False)


def words_in(text: str) -> Iterator[str]:
    """Words and numbers of a name, in lower case."""
    yield from re.findall(r"[a-z]+[0-9]*|[0-9]+", text.casefold())
