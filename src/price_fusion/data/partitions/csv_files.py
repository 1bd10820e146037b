"""CSV files of products, rewritten as parquet record by record: read by the parser, and refused by the rules, of memory.

DuckDB's own reader drops an empty field too many at the end of a record, and with it shifts the fields before.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from price_fusion.data.readers.delimited import (
    empty_records,
    find_delimiter,
    header_of,
    is_empty,
    ragged,
    records_of,
    refuse_repeated_columns,
    swallowed_records,
    swallowing,
)
from price_fusion.data.readers.layout import (
    Layout,
    as_utf8,
    is_utf8,
    refuse_other_file,
    refuse_other_marks,
    undecodable,
)
from price_fusion.errors import SHOWN, DataError, combined
from price_fusion.lazy import pa, pq
from price_fusion.storage.files import storage_errors

Opened = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens the file at its beginning."""
Record = tuple[int, list[str]]
"""Its number, from 1, and its fields."""

_HEAD = 1 << 20
"""Bytes in which the header must end."""
BATCH = 16_384
"""Records in memory at a time."""


class CsvFile:
    """A CSV file whose header has been read.

    Args:
        opened: opens it.
        origin: its name, for messages.
        needed: columns that it must have.
        layout: how it was written.

    Raises:
        DataError: if it is empty, not of its encoding, or lacks a column or has one twice.
    """

    def __init__(self, opened: Opened, origin: str, needed: Sequence[str], layout: Layout) -> None:
        self._opened, self._origin = opened, origin
        self._encoding = "utf-8-sig" if is_utf8(layout.encoding) else str(layout.encoding)
        head = self._head(needed, layout)
        try:
            self._delimiter = find_delimiter(head, needed, origin, layout)
            self.header = header_of(head, self._delimiter)
        except UnicodeDecodeError as error:
            raise undecodable(head, origin, "utf-8") from error
        refuse_repeated_columns(self.header, origin)

    def write_parquet(self, target: Path, names: Sequence[str], link: str | None) -> None:
        """Write all records to a parquet file: ``record`` (from 1), and the columns as text, ``c0``, ``c1``, ...

        Args:
            target: the file.
            names: of the columns, in the order in which they are wanted.
            link: the column that mostly is an address on the web, if there is one.

        Raises:
            DataError: naming records that are malformed, have too few or too many fields, or hold further records.
            StorageError: if the file cannot be written.
        """
        places = [self.header.index(name) for name in names]
        link_place = None if link is None else self.header.index(link)
        width, wrong, wrong_count, suspicious = len(self.header), list[Record](), 0, list[int]()
        empty, empty_count = list[int](), 0
        schema = pa.schema([("record", pa.int64()), *((f"c{place}", pa.string()) for place in range(len(names)))])
        with storage_errors(target), pq.ParquetWriter(target, schema) as writer:
            for records in self._batches():
                batch = [record for record in records if not is_empty(record[1])]
                if len(batch) < len(records):
                    empty_count += len(records) - len(batch)
                    empty += [number for number, row in records if is_empty(row)][: SHOWN - len(empty)]
                ragged_here = [record for record in batch if len(record[1]) != width]
                wrong_count += len(ragged_here)
                wrong += ragged_here[: SHOWN - len(wrong)]
                whole = [record for record in batch if len(record[1]) == width] if ragged_here else batch
                if not whole:
                    continue
                numbers, rows = zip(*whole, strict=True)
                if link_place is not None:
                    suspicious += swallowing(rows, numbers, link_place, self._delimiter)
                columns = list(zip(*rows, strict=True))
                arrays = [pa.array(columns[place], pa.string()) for place in places]
                writer.write_batch(pa.record_batch([pa.array(numbers, pa.int64()), *arrays], schema))
        problems = empty_records(empty, empty_count, self._origin)
        problems += [ragged(wrong, wrong_count, width, self._origin)] if wrong else []
        problems += swallowed_records(suspicious, self._origin)
        if problems:
            raise combined(self._origin, problems)

    def _head(self, needed: Sequence[str], layout: Layout) -> bytes:
        """The first lines, in UTF-8."""
        with self._opened() as stream:
            head = stream.read(_HEAD)
        refuse_other_file(head, self._origin)
        refuse_other_marks(head, self._origin, layout.encoding)
        if not is_utf8(layout.encoding):
            return self._recoded(head)
        if len(head) == _HEAD:
            head = head[: head.rfind(b"\n") + 1] or head
        head = as_utf8(head, self._origin, layout.encoding)
        if not head.removeprefix(codecs.BOM_UTF8).strip():
            raise DataError(
                f"{self._origin}: found an empty file, expected a CSV with {', '.join(needed)}. Write it again."
            )
        return head

    def _recoded(self, head: bytes) -> bytes:
        """Bytes that may end within a character."""
        try:
            return codecs.getincrementaldecoder(self._encoding)().decode(head).removeprefix("\ufeff").encode("utf-8")
        except UnicodeError as error:
            raise undecodable(head, self._origin, self._encoding) from error

    def _batches(self) -> Iterator[list[Record]]:
        with self._opened() as stream:
            text = io.TextIOWrapper(stream, self._encoding, newline="")
            try:
                records = enumerate(records_of(text, self._delimiter, self._origin))
                next(records)  # the header
                while batch := list(islice(records, BATCH)):
                    yield batch
            except UnicodeError as error:
                raise self._undecodable(error) from error
            finally:
                text.detach()

    def _undecodable(self, error: UnicodeError) -> DataError:
        """With the line, which the decoder does not know."""
        if self._encoding == "utf-8-sig":
            with self._opened() as stream:
                for number, line in enumerate(stream, start=1):
                    try:
                        line.decode()
                    except UnicodeDecodeError as fault:
                        error = fault
                        where = f" in line {number} (0x{line[fault.start]:02x})"
                        break
        else:
            where = f" ({error})"
        encoding = self._encoding.removesuffix("-sig").upper()
        return DataError(
            f"{self._origin}: found bytes that are not {encoding}{where}. If it was written in another encoding, say so in "
            "its catalog entry, for example 'encoding: cp1252' (Excel on Windows), or convert it to UTF-8."
        )
