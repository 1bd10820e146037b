"""Tables of products in a folder, read as text, with what their catalog entries must say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from price_fusion.data.readers.delimited import DELIMITERS, header_of, read_records
from price_fusion.data.readers.file_kinds import kind_of, kind_of_file
from price_fusion.data.readers.gzip_files import chunks, head_inside
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.product_records import read_product_records
from price_fusion.errors import DataError
from price_fusion.lazy import pq
from price_fusion.onboarding.column_values import Columns, ColumnValues

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
DEEPEST = 4
"""Folders below the given one that are looked into."""
_MOST_COLUMNS = 64
"""Of a table of products in parquet: one with more is a matrix with a column a dimension."""


@dataclass(frozen=True)
class FoundTable:
    """A table of products.

    Attributes:
        path: of its file.
        columns: (N,) texts by name.
        numbers: (N,) of the records, as messages count them.
        encoding: where it is not UTF-8.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]
    numbers: Sequence[int]
    encoding: str | None = None

    @cached_property
    def values(self) -> Columns:
        """What the values of each column show."""
        return {name: ColumnValues(texts) for name, texts in self.columns.items()}

    @property
    def rows(self) -> int:
        """N."""
        return len(next(iter(self.columns.values())))


def files_below(folder: Path) -> list[Path]:
    """Files that are not hidden, by path."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        path
        for path in found
        if len(path.relative_to(folder).parts) <= DEEPEST
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]


def found_tables(files: Sequence[Path]) -> tuple[list[FoundTable], dict[Path, str]]:
    """Delimited texts and parquet files with several columns, and why others among them are left out."""
    tables, left_out = [], {}
    for path in files:
        try:
            table = _table(path)
        except DataError as error:
            left_out[path] = str(error).removeprefix(f"{path}: ")
            continue
        if table is not None:
            tables.append(table)
    return tables, left_out


def _table(path: Path) -> FoundTable | None:
    kind = kind_of_file(path)
    if kind is not None and kind.name == "parquet":
        return _read_parquet(path)
    head = head_inside(path)
    inside = kind_of(head)
    is_text = inside.name == "text" if inside else bool(head) and not _CONTROL.search(head)
    return _read(path) if is_text else None


def _read(path: Path) -> FoundTable | None:
    kind = kind_of_file(path)
    content = b"".join(chunks(path)) if kind is not None and kind.name == "gzip" else path.read_bytes()
    encoding = None if _is_utf8(content) else "cp1252"
    head = content if encoding is None else content.decode(encoding, errors="replace").encode()
    headers = {delimiter: header_of(head, delimiter) for delimiter in DELIMITERS}
    delimiter = max(headers, key=lambda one: len(headers[one]))
    if len(headers[delimiter]) < 2:
        return None
    layout = Layout(delimiter=delimiter, encoding=encoding)
    records = read_records(path, headers[delimiter], layout)
    return FoundTable(path, records.columns, records.numbers, encoding)


def _read_parquet(path: Path) -> FoundTable | None:
    """A parquet file with a few columns, none of which holds vectors."""
    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
    if not 1 < len(schema) <= _MOST_COLUMNS or any(_holds_vectors(str(one.type)) for one in schema):
        return None
    records = read_product_records(path, schema.names, Layout())
    return FoundTable(path, records.columns, records.numbers)


def _holds_vectors(arrow_type: str) -> bool:
    return arrow_type.startswith(("list", "large_list", "fixed_size", "binary", "large_binary", "extension"))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True
