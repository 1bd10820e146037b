"""Embedding tables: ids and a matrix on disk, memory-mapped when read.

A table is a folder: ``ids.npy`` (N,) int64, ``vectors-00000.npy`` ... (rows, D) float16 or float32 in C order,
``structural.npy`` (N, K) float32 where the source has structural columns, and ``manifest.json``, written last. A folder
without a manifest is no table. The table of a column source (``columns.py``) has structural columns alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from price_fusion.errors import DataError
from price_fusion.fusion.files import sync
from price_fusion.fusion.tables.raw import RawEmbeddings
from price_fusion.parameters import Source, SourceParameters

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
_DECLARATION: TypeAdapter[Source] = TypeAdapter(Source)
BLOCK_ROWS = 8_192
"""Rows converted at a time: a few tens of megabytes."""


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
    """Check that a raw matrix is what its source declares.

    Raises:
        DataError: if its width is another than the declared one.
    """
    found = raw.vectors.shape[1]
    if found != declaration.width:
        raise DataError(
            f"{raw.origin}: found vectors of width {found}, expected {declaration.width} as parameters declare for this "
            "source (sources.<source>.width). Mend the parameter, or the path of the file in the catalog."
        )
    return TableDraft(raw, declaration, dtype, rows_per_shard)


def write_table(folder: Path, source: str, draft: TableDraft) -> None:
    """Write a table; what stood in the folder before is replaced once the new table is whole on disk.

    Args:
        folder: where the table goes.
        source: name of the source.
        draft: what to write.

    Values beyond float16's range turn the whole table to float32, with a warning.

    Raises:
        DataError: naming the first row that holds NaN, an infinite value or one beyond float32.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        _write_files(partial, source, draft, np.dtype(draft.dtype))
    except _BeyondFloat16Error as overflow:
        logger.warning("%s: %s; the table of %r keeps float32", draft.raw.origin, overflow, source)
        _write_files(partial, source, draft, np.dtype(np.float32))
    if folder.exists():
        (folder / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(folder)
    partial.replace(folder)
    sync(folder.parent)


class EmbeddingTable:
    """A table on disk. Opening reads the manifest and maps the files; pages are read when rows are.

    Shapes: ``ids`` (N,), ``vectors`` a list of (rows, D) shards, ``structural`` (N, K).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _read_manifest(folder)
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
    def fingerprint(self) -> str:
        """Digest of the declaration and of the digests of all files: the same for the same ids and values, meant the same.

        What a model makes of a table depends on its group, and codes of categories say nothing without their vocabulary.
        """
        digests = [*self.manifest["sha256"].values(), *(shard["sha256"] for shard in self.manifest["shards"])]
        digests.append(self.declaration.model_dump_json())
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """Product ids, in row order."""
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

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each id, -1 where the table does not have it.

        Args:
            ids: (M,) product ids in any order.
        """
        order = np.argsort(self.ids, kind="stable")
        ordered = self.ids[order]
        places = np.minimum(np.searchsorted(ordered, ids), self.rows - 1)
        return np.where(ordered[places] == ids, order[places], -1).astype(np.int64)

    def _map(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / name
        try:
            # Copy-on-write: nothing reaches the file, and torch takes the array without a warning about read-only memory.
            array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read as .npy ({error}). Run the pipeline 'ingest' again.") from error
        if array.shape != shape:
            raise DataError(
                f"{path}: shape {array.shape} where the manifest says {shape}. Run the pipeline 'ingest' again."
            )
        return array


class _BeyondFloat16Error(Exception):
    """A finite value became infinite in float16."""


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no embedding table here (no manifest.json). Run the pipeline 'ingest'.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not JSON ({error}). Run the pipeline 'ingest' again.") from error
    if not isinstance(manifest, dict):
        raise DataError(f"{path}: not a manifest. Run the pipeline 'ingest' again.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: format version {manifest.get('format_version')!r}, this program reads {FORMAT_VERSION}. "
            "Run the pipeline 'ingest' again."
        )
    return manifest


def _write_files(folder: Path, source: str, draft: TableDraft, dtype: np.dtype[Any]) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    raw, structural = draft.raw, draft.declaration.structural_columns
    rows, width = raw.vectors.shape[0], raw.vectors.shape[1] - structural
    digests = {"ids.npy": _write_npy(folder / "ids.npy", (rows,), np.dtype(np.int64), iter([raw.ids]))}
    if structural:
        numbers = _finite if width else _as_they_are
        blocks = (numbers(raw, block, slice(width, None)).astype(np.float32) for block in _blocks(0, rows))
        shape = (rows, structural)
        digests["structural.npy"] = _write_npy(folder / "structural.npy", shape, np.dtype(np.float32), blocks)
    shards = []
    _forget_pages(raw.vectors)
    for number, start in enumerate(range(0, rows if width else 0, draft.rows_per_shard)):
        stop = min(start + draft.rows_per_shard, rows)
        name = f"vectors-{number:05d}.npy"
        blocks = (_converted(raw, block, slice(0, width), dtype) for block in _blocks(start, stop))
        digest = _write_npy(folder / name, (stop - start, width), dtype, blocks)
        shards.append({"file": name, "rows": stop - start, "sha256": digest})
    manifest = {
        "format_version": FORMAT_VERSION,
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
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    sync(folder / "manifest.json")
    sync(folder)


def _blocks(start: int, stop: int) -> Iterator[slice]:
    return (slice(first, min(first + BLOCK_ROWS, stop)) for first in range(start, stop, BLOCK_ROWS))


def _converted(raw: RawEmbeddings, rows: slice, columns: slice, dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        block = np.ascontiguousarray(raw.vectors[rows, columns], dtype=dtype)
    if not np.isfinite(block).all():
        values = _finite(raw, rows, columns)
        largest = float(np.abs(values).max())
        raise _BeyondFloat16Error(f"a value of magnitude {largest:g} does not fit float16 (65504)")
    _forget_pages(raw.vectors)
    return block


def _finite(raw: RawEmbeddings, rows: slice, columns: slice) -> NDArray[Any]:
    """A block of the raw matrix, once it is known to hold only numbers that float32 holds."""
    block = raw.vectors[rows, columns]
    wrong = ~(np.abs(block) <= np.finfo(np.float32).max)
    if wrong.any():
        places = np.flatnonzero(wrong.any(axis=1))
        column = int(np.flatnonzero(wrong[places[0]])[0]) + (columns.start or 0)
        row = rows.start + int(places[0])
        raise DataError(
            f"{raw.origin}: row {row} (id {int(raw.ids[row])}), column {column}: found {raw.vectors[row, column]}, "
            f"expected a finite number within float32 ({len(places)} such row(s) among rows {rows.start} to "
            f"{rows.stop - 1}). Remove these products from the file or embed them again."
        )
    return block


def _as_they_are(raw: RawEmbeddings, rows: slice, columns: slice) -> NDArray[Any]:
    """A block of the columns of a column source, where NaN stands for an empty field."""
    return raw.vectors[rows, columns]


def _forget_pages(array: NDArray[Any]) -> None:
    """Give back the memory of what has been read of a mapped file; it would pile up to the size of the file."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _write_npy(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterator[NDArray[Any]]) -> str:
    """Write an array block by block, on disk when this returns; give its sha256."""
    digest = hashlib.sha256()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        digest.update(path.read_bytes())
        for block in blocks:
            contents = np.ascontiguousarray(block).tobytes()
            file.write(contents)
            digest.update(contents)
    sync(path)
    return digest.hexdigest()
