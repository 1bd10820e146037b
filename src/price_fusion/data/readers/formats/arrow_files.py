"""Arrow IPC: files (Feather), streams, and folders that ``save_to_disk`` of Hugging Face datasets leaves.

Arrow IPC has no checksums. What shows damage is checked: the end of a stream, nothing after it, as many batches as the footer
says, and the offsets inside of each batch.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.formats.arrow_columns import Columns, read_files
from price_fusion.data.readers.formats.arrow_vectors import is_list
from price_fusion.data.readers.rows import Asked, FoundRows, Located
from price_fusion.errors import DataError
from price_fusion.lazy import pa

_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
_MAGIC = b"ARROW1"
_AFTER_MAGIC = 8
"""Where the stream in a file begins."""
_PADDING = 64
"""Bytes to a multiple of which writers fill up."""
_MARK = b"\xff\xff\xff\xff"
"""What begins a message."""
_END = (b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\0")
"""How a stream ends; the shorter one is of before Arrow 0.15."""


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` left."""
    return (folder / _STATE).is_file() or (folder / _SPLITS).is_file()


def locate_saved_dataset(folder: Path, asked: Asked) -> Located:
    """The files of a folder that ``save_to_disk`` left, in their order.

    Raises:
        DataError: if it holds several splits, lacks a file, or its rows are chosen by indices.
    """
    if (folder / _SPLITS).is_file():
        splits = sorted(one.name for one in folder.iterdir() if (one / _STATE).is_file())
        raise DataError(
            f"{folder}: found a Hugging Face DatasetDict with {', '.join(splits) or 'no split'}, expected one split. Name the folder "
            "of a split in the catalog."
        )
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_bytes())
        names = [str(one["filename"]) for one in state["_data_files"]]
        indices = state.get("_indices_data_files")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(folder / _STATE, "the state of a saved Hugging Face dataset", error) from error
    if indices:
        raise DataError(
            f"{folder}: found a dataset whose rows are chosen by indices, expected plain rows. Save it again with "
            "dataset.flatten_indices().save_to_disk(FOLDER)."
        )
    files = [folder / name for name in names]
    missing = [one.name for one in files if not one.is_file() or one.parent != folder]
    if missing or not files:
        raise DataError(
            f"{folder}: {_STATE} names files that are not there ({', '.join(missing[:5]) or 'none at all'}), expected all of them. "
            "Copy the folder again."
        )
    return Located("arrow stream", files, needs_products=asked.of_products)


def read_arrow(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of one or more files or streams, mapped; a batch is decompressed at a time.

    Raises:
        DataError: if a file is damaged, or as of ``read_files``.
    """
    return read_files(located, asked, origin, _schema, _batches)


def _schema(path: Path, name: str) -> pa.Schema:
    start = _start(path)
    try:
        with pa.memory_map(str(path)) as file:
            if start is None:
                return pa.ipc.open_file(file).schema
            file.seek(start)
            return pa.ipc.open_stream(file).schema
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(name, "Arrow IPC", error) from error


def _batches(path: Path, name: str, columns: Columns) -> Iterator[pa.RecordBatch]:
    """All batches of a file or stream, each with its offsets checked; then its end."""
    start, count = _start(path), 0
    try:
        with pa.memory_map(str(path)) as file:
            file.seek(start or 0)
            for batch in pa.ipc.open_stream(file) if start is not None else _by_footer(file):
                batch.validate(full=True)
                for column, named in zip(batch.columns, batch.schema.names, strict=True):
                    _refuse_other_type(column, f"{name}, column {named!r}")
                count += 1
                yield batch.select(columns.names)
            if start is not None:
                _refuse_other_end(path, file.tell(), count, name)
            if start != 0:
                _refuse_other_count(path, count, name)
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise unreadable(name, "Arrow IPC", error) from error


def _refuse_other_type(values: pa.Array, where: str) -> None:
    """Refuse numbers of half as many bytes as were written, or fewer: a bit of the schema makes float16 of float32."""
    while isinstance(values, pa.ExtensionArray) or pa.types.is_nested(values.type):
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        elif is_list(values.type):
            values = values.values
        else:
            return
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)) or values.buffers()[1] is None:
        return
    there, needed = values.buffers()[1].size, (values.offset + len(values)) * values.type.bit_width // 8
    if there >= 2 * needed and there > -(-needed // _PADDING) * _PADDING:
        raise DataError(
            f"{where}: found {there:,} bytes for {len(values):,} numbers of type {values.type}, expected {needed:,}. The file is damaged: copy "
            "or write it again."
        )


def _by_footer(file: pa.MemoryMappedFile) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(file)
    return (reader.get_batch(number) for number in range(reader.num_record_batches))


def _start(path: Path) -> int | None:
    """Where a stream begins: that inside of a file, too, but for such as polars writes, whose schema is in the footer only."""
    with path.open("rb") as file:
        head = file.read(_AFTER_MAGIC + len(_MARK))
    if not head.startswith(_MAGIC):
        return 0
    return _AFTER_MAGIC if head.endswith(_MARK) else None


def _refuse_other_end(path: Path, end: int, batches: int, name: str) -> None:
    """Refuse a stream that breaks off between two batches, and what follows one that is no file."""
    with path.open("rb") as file:
        file.seek(max(0, end - 8))
        ends_well = file.read(8).endswith(_END)
    rest = 0 if _start(path) else path.stat().st_size - end
    if not ends_well:
        raise DataError(
            f"{name}: found an Arrow IPC stream that breaks off after {batches:,} batches, expected its end. Copy or write the file again."
        )
    if rest:
        raise DataError(
            f"{name}: found {rest:,} more bytes after the end of an Arrow IPC stream, expected one stream and nothing else. Write it "
            "again."
        )


def _refuse_other_count(path: Path, batches: int, name: str) -> None:
    """Refuse a file whose footer says another number of batches than there are."""
    with pa.memory_map(str(path)) as file:
        said = pa.ipc.open_file(file).num_record_batches
    there = _count(path) if _start(path) is None else batches
    if not said == batches == there:
        raise DataError(
            f"{name}: found {there:,} batches, expected the {said:,} that its footer says. Copy or write the file again."
        )


def _count(path: Path) -> int:
    """Batches in a file, going by the messages in it and not by its footer."""
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_MARK, _AFTER_MAGIC)
        while start >= 0 and start % _AFTER_MAGIC:
            start = content.find(_MARK, start + 1)
    if start < 0:
        return 0
    found = 0
    with pa.memory_map(str(path)) as file:
        file.seek(start)
        with suppress(EOFError):  # how the end of a stream is told
            while True:
                found += pa.ipc.read_message(file).type == "record batch"
    return found
