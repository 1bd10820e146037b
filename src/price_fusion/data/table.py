"""Embedding tables: ids and a matrix on disk, memory-mapped when read.

A table is a folder: ``ids.npy`` (N,) int64 or fixed-width unicode, ``vectors-00000.npy`` ... (rows, D) float16 or float32 in C order,
``structural.npy`` (N, K) float32 where the source has structural columns, and ``manifest.json``, written last, with the
digest of each file and of its own contents. A folder without a manifest is no table, and one with a file of another digest
is refused. The table of a column source (``columns.py``) has structural columns alone.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from price_fusion.compute.progress import tracked
from price_fusion.data.checks.values import refuse_unusable, unusable
from price_fusion.data.ids import Ids, ids_of, rows_of
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import row_blocks
from price_fusion.errors import DataError, StorageError
from price_fusion.lazy import pd
from price_fusion.parameters import Source, SourceParameters
from price_fusion.storage.digests import CheckRecord, FileVersion
from price_fusion.storage.files import whole_folder
from price_fusion.storage.manifests import ManifestKind

if TYPE_CHECKING:
    from price_fusion.data.partitions.table_partitions import PartitionTable

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
INGEST_AGAIN = "Run the pipeline 'ingest' again."
KIND = ManifestKind("embedding table", MANIFEST, FORMAT_VERSION, DataError, "Run the pipeline 'ingest'.", INGEST_AGAIN)
Check = Literal["always", "once"]
"""When files are hashed: in each process that opens them, or when they are new."""
TableView: TypeAlias = "EmbeddingTable | PartitionTable"
"""N rows of one source: a whole table, or one partition of many. Both have ``ids`` (N,), ``vectors``, matrices of D columns that
hold the N rows end to end, ``structural`` (N, K), ``rows_of`` ids, and what says whose and what they are."""
_DECLARATION: TypeAdapter[Source] = TypeAdapter(Source)
BLOCK_ROWS = 8_192
"""Rows converted at a time: a few tens of megabytes."""
TINY = 2.0**-13
"""Below it float16, whose smallest step is 2**-24, has fewer than its 11 binary digits."""


@dataclass(frozen=True)
class TableDraft:
    """A table about to be written: checked ids and width, values still as they came."""

    raw: RawEmbeddings
    declaration: Source
    dtype: str
    rows_per_shard: int


def draft_table(
    raw: RawEmbeddings, declaration: SourceParameters, *, dtype: str = "float16", rows_per_shard: int = 1_000_000
) -> TableDraft:
    """Check that a raw matrix is what its source declares. One that is too small for float16 is stored as float32.

    Raises:
        DataError: if its width is another than the declared one.
    """
    refuse_other_width(raw, declaration)
    blocks = (raw.vectors[rows, : declaration.embedding_width] for rows in row_blocks(len(raw.vectors), BLOCK_ROWS))
    return TableDraft(raw, declaration, stored_dtype(blocks, dtype, raw.origin), rows_per_shard)


def stored_dtype(blocks: Iterable[NDArray[Any]], dtype: str, origin: str) -> str:
    """The type to store vectors in: ``dtype``, but float32, with a warning, where float16 would round all of them coarsely.

    Args:
        blocks: of the vectors; as few are taken as tell.
        dtype: that is wanted.
        origin: of the vectors, for the warning.
    """
    if dtype != "float16":
        return dtype
    largest = 0.0
    for block in blocks:
        largest = max(largest, float(block.max(initial=0)), -float(block.min(initial=0)))
        if largest >= TINY or block.dtype.type is np.float16:
            return dtype
    if not largest:
        return dtype
    logger.warning("%s: float16 keeps few digits of values that are %g at most; stored as float32", origin, largest)
    return "float32"


def refuse_other_width(raw: RawEmbeddings, declaration: SourceParameters) -> None:
    """Refuse a raw matrix that is not as wide as its source declares.

    Raises:
        DataError: with both widths.
    """
    found = raw.vectors.shape[1]
    if found != declaration.width:
        raise DataError(
            f"{raw.origin}: found vectors of width {found}, expected {declaration.width} as parameters declare for this "
            "source (sources.<source>.width). Fix the parameter, or the path of the file in the catalog."
        )


def write_table(folder: Path, source: str, draft: TableDraft) -> None:
    """Write a table; what stood in the folder before is replaced once the new table is whole on disk.

    Args:
        folder: where the table goes.
        source: name of the source.
        draft: what to write.

    Values beyond float16's range turn the whole table to float32, with a warning.

    Raises:
        DataError: naming the rows that hold NaN, an infinite value or one beyond float32.
        StorageError: if the table cannot be written.
    """
    try:
        _write_with(folder, source, draft, np.dtype(draft.dtype))
    except BeyondFloat16Error as overflow:
        logger.warning("%s: %s; the table of %r keeps float32", draft.raw.origin, overflow, source)
        _write_with(folder, source, draft, np.dtype(np.float32))


class EmbeddingTable:
    """A table on disk. Opening checks all files against the manifest; they are mapped, and stay on disk.

    Shapes: ``ids`` (N,), ``vectors`` a list of (rows, D) shards, ``structural`` (N, K).

    Args:
        folder: of the table.
        check: ``always``: a process hashes each file once. ``once``: no process hashes a version of a file that another one
            has hashed; it finds files that were exchanged or cut off since, but not bits that decayed on the disk.

    Raises:
        DataError: naming a file that is missing, damaged or of another format.
    """

    def __init__(self, folder: Path, check: Check = "always") -> None:
        self.folder = folder
        self.manifest = KIND.read(folder, dict)
        self._versions = self._checked(check)
        self.source: str = self.manifest["source"]
        self.rows: int = self.manifest["rows"]
        self.width: int = self.manifest["width"]
        self.structural_columns: int = self.manifest["structural_columns"]
        self.declaration: Source = _DECLARATION.validate_python(self.manifest["declaration"])

    @property
    def origin(self) -> str:
        """The raw file or folder it was made from."""
        return str(self.manifest["origin"])

    @property
    def dtype(self) -> str:
        """Name of the type of ``vectors``."""
        return str(self.manifest["dtype"])

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of each file, by its name."""
        shards = {shard["file"]: shard["sha256"] for shard in self.manifest["shards"]}
        return {**self.manifest["sha256"], **shards}

    @property
    def fingerprint(self) -> str:
        """Digest of the declaration and of the digests of all files: the same for the same ids and values, meant the same.

        What a model makes of a table depends on its group, and codes of categories say nothing without their vocabulary.
        """
        return _fingerprint(self.digests.values(), self.declaration)

    def fingerprint_of(self, products: Ids) -> str:
        """The fingerprint that a table of the rows of these products alone would have.

        A file may hold products to be predicted beside the labelled ones. They decide nothing that a model learns, and are not
        in the tables that are gathered from partitions: a model remembers the same digest in both worlds.

        Args:
            products: (M,) ids in any order.
        """
        rows = self.rows_of(products)
        own = np.flatnonzero(rows >= 0)
        if len(own) == self.rows:
            return self.fingerprint
        own = own[np.argsort(rows[own])]
        return _fingerprint(self._digests_of(rows[own], ids_of(pd.Series(products[own]))), self.declaration)

    @cached_property
    def ids(self) -> Ids:
        """Product ids, in row order: int64 or fixed-width unicode."""
        return self._map("ids.npy", (self.rows,))

    @cached_property
    def vectors(self) -> list[NDArray[np.floating[Any]]]:
        """The embedding columns, shard by shard; one of width 0 where the source is of columns."""
        if not self.width:
            return [np.empty((self.rows, 0), dtype=np.float32)]
        return [self._map(shard["file"], (shard["rows"], self.width)) for shard in self.manifest["shards"]]

    @cached_property
    def structural(self) -> NDArray[np.float32]:
        """The structural columns; of width 0 where the source has none."""
        if not self.structural_columns:
            return np.empty((self.rows, 0), dtype=np.float32)
        return self._map("structural.npy", (self.rows, self.structural_columns))

    def rows_of(self, ids: Ids) -> NDArray[np.int64]:
        """Row of each id, -1 where the table does not have it.

        Args:
            ids: (M,) product ids in any order.
        """
        return rows_of(ids, self.ids)

    def _digests_of(self, rows: NDArray[np.int64], ids: Ids) -> Iterator[str]:
        """What ``digests`` has, of a table of some rows, (M,) ascending, and their ids, (M,)."""
        yield _npy_digest(ids.shape, ids.dtype, [ids])
        if self.structural_columns:
            yield _npy_digest((len(rows), self.structural_columns), np.dtype(np.float32), [self.structural[rows]])
        most = self.manifest["shards"][0]["rows"] if self.width else 1
        for start in range(0, len(rows) if self.width else 0, most):
            own = rows[start : start + most]
            blocks = (self._vectors_in(own[block]) for block in row_blocks(len(own), BLOCK_ROWS))
            yield _npy_digest((len(own), self.width), np.dtype(self.dtype), blocks)

    def _vectors_in(self, rows: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """The embedding columns of some rows, (M, D), ascending."""
        ends = np.cumsum([len(shard) for shard in self.vectors])
        parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
        return np.concatenate(
            [shard[part - end + len(shard)] for shard, part, end in zip(self.vectors, parts, ends, strict=True)]
        )

    def _checked(self, check: Check) -> dict[str, FileVersion]:
        """The version of each file, once all files are known to be whole."""
        record = CheckRecord(self.folder) if check == "once" else None
        new = record.unchecked(self.digests) if record else self.digests
        KIND.check(self.folder, new)
        if record and new:
            try:
                record.note(new)
            except StorageError as error:
                logger.warning("%s is hashed again next time: %s", self.folder, error)
        return {name: FileVersion.of(self.folder / name) for name in self.digests}

    def _map(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / name
        if not self._versions[name].is_at(path):
            KIND.check(self.folder, {name: self.digests[name]})
        try:
            # Copy-on-write: nothing reaches the file, and torch takes the array without a warning about read-only memory.
            array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read as .npy ({error}). {INGEST_AGAIN}") from error
        if array.shape != shape:
            raise DataError(f"{path}: shape {array.shape}, expected {shape} as {MANIFEST} says. {INGEST_AGAIN}")
        return array


class BeyondFloat16Error(Exception):
    """A finite value became infinite in float16."""


def _write_with(folder: Path, source: str, draft: TableDraft, dtype: np.dtype[Any]) -> None:
    with whole_folder(folder) as partial:
        _write_files(partial, source, draft, dtype)


def _write_files(folder: Path, source: str, draft: TableDraft, dtype: np.dtype[Any]) -> None:
    raw, structural = draft.raw, draft.declaration.structural_columns
    rows, width = raw.vectors.shape[0], raw.vectors.shape[1] - structural
    digests = {"ids.npy": _write_npy(folder / "ids.npy", (rows,), raw.ids.dtype, iter([raw.ids]))}
    if structural:
        own = slice(width, None)
        blocks = (  # of a column source as they are: NaN stands for an empty field
            (_finite(raw, block, own) if width else raw.vectors[block, own]).astype(np.float32)
            for block in row_blocks(rows, BLOCK_ROWS)
        )
        shape = (rows, structural)
        digests["structural.npy"] = _write_npy(folder / "structural.npy", shape, np.dtype(np.float32), blocks)
    shards = []
    _forget_pages(raw.vectors)
    for number, start in enumerate(range(0, rows if width else 0, draft.rows_per_shard)):
        stop = min(start + draft.rows_per_shard, rows)
        name = f"vectors-{number:05d}.npy"
        parts = tracked(list(row_blocks(stop, BLOCK_ROWS, start)), f"writing {source}, {name}", "blocks of rows")
        blocks = (as_stored(raw, block, slice(0, width), dtype) for block in parts)
        digest = _write_npy(folder / name, (stop - start, width), dtype, blocks)
        shards.append({"file": name, "rows": stop - start, "sha256": digest})
    manifest = {
        "source": source,
        "declaration": draft.declaration.model_dump(),
        "rows": rows,
        "width": width,
        "structural_columns": structural,
        "dtype": dtype.name,
        "origin": raw.origin,
        "shards": shards,
        "sha256": digests,
    }
    (folder / MANIFEST).write_bytes(KIND.document(manifest))


def as_stored(
    raw: RawEmbeddings, rows: slice | NDArray[np.int64], columns: slice, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Some rows of the raw matrix in the type of a table; what was read of a mapped file is forgotten.

    Raises:
        DataError: naming the rows that hold NaN, an infinite value or one beyond float32.
        BeyondFloat16Error: if a value is too large for float16.
    """
    with np.errstate(over="ignore"):
        block = np.ascontiguousarray(raw.vectors[rows, columns], dtype=dtype)
    if not np.isfinite(block).all():
        values = _finite(raw, rows, columns)
        largest = float(np.abs(values).max())
        raise BeyondFloat16Error(f"a value of magnitude {largest:g} does not fit float16 (65504)")
    _forget_pages(raw.vectors)
    return block


def _finite(raw: RawEmbeddings, rows: slice | NDArray[np.int64], columns: slice) -> NDArray[Any]:
    """A block of the raw matrix, once it is known to hold only numbers that float32 holds."""
    block = raw.vectors[rows, columns]
    if unusable(block).any():
        refuse_unusable(raw)
    return block


def _forget_pages(array: NDArray[Any]) -> None:
    """Give back the memory of what has been read of a mapped file; it would pile up to the size of the file."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _write_npy(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterator[NDArray[Any]]) -> str:
    """Write an array block by block; give its sha256."""
    with path.open("wb") as file:
        return _npy_digest(shape, dtype, blocks, file.write)


def _npy_digest(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    blocks: Iterable[NDArray[Any]],
    take: Callable[[bytes], object] = len,
) -> str:
    """sha256 of the file of an array that comes block by block; ``take`` gets its bytes."""
    digest, header = hashlib.sha256(), BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    for contents in chain([header.getvalue()], (np.ascontiguousarray(block).tobytes() for block in blocks)):
        take(contents)
        digest.update(contents)
    return digest.hexdigest()


def _fingerprint(digests: Iterable[str], declaration: Source) -> str:
    return hashlib.sha256("".join([*digests, declaration.model_dump_json()]).encode()).hexdigest()
