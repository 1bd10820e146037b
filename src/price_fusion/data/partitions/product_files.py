"""Product tables as DuckDB reads them: a CSV file, or files of parquet, on a disk or in an object store.

What must be so is as in ``data/products.py``; few records of a file are in memory at a time.
"""
# ruff: noqa: S608 - the SQL is made of our own names, and of quoted ones

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from price_fusion.data.partitions.csv_files import CsvFile
from price_fusion.data.placeholders import EMPTY
from price_fusion.data.products import ProductRows
from price_fusion.data.readers.column_names import ID, IMAGE, INSIDE, PRICE, TEXT, ColumnNames
from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.names import lacking
from price_fusion.data.readers.product_records import is_parquet
from price_fusion.data.readers.published_digests import check_digests
from price_fusion.errors import DataError, StorageError
from price_fusion.storage.store import Store
from price_fusion.storage.workspace import Workspace, column_name, file_list, quoted

PARQUET = (".parquet", ".pq")
RESERVED = ("row", "group_key", "split", "fold", "half", "tuned_on")
"""Columns of products in partitions; the first two of those to be predicted."""
_GZIP = b"\x1f\x8b"
_BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What ``str.strip`` strips."""


@dataclass(frozen=True)
class ProductFiles:
    """Where a table of products is."""

    url: str
    """Of a CSV file, a parquet file, or a folder of parquet files."""
    labelled: bool
    """Whether prices are wanted; without, they are dropped unread."""
    layout: Layout = field(default_factory=Layout)
    """Of a CSV file, and of prices that are text."""
    sha256: str | None = None
    """That a file on a disk must have."""

    names: ColumnNames = field(default_factory=ColumnNames)
    """Of the columns."""
    rows: ProductRows = "all"
    """Those with or without a price, of a table that has both."""

    @property
    def needed(self) -> list[str]:
        """Columns that there must be."""
        return self.names.needed(labelled=self.labelled or self.rows != "all")


@dataclass(frozen=True)
class ProductSource:
    """A table that can be read."""

    names: tuple[str, ...]
    """Of the columns inside: ``sample_id``, ``catalog_content``, ``image_link``, ``price`` if labelled, then the others."""
    sql: str
    """A query that gives ``row`` (from 0) and them as text, in this order, as ``c0``, ``c1``, ...; ids without outer blanks,
    "" for NULL."""
    layout: Layout
    """Of the prices."""
    temporary: Path | None = None
    """A file that the query reads and that is of no use afterwards."""


def versions_of(files: ProductFiles) -> dict[str, list[str]]:
    """What tells the contents of each file of a table from others, by its address; in the order in which they are read.

    Raises:
        DataError: if there are none.
        StorageError: if an object store cannot be reached.
    """
    return {url: _version(url) for url in found_files(files)}


def found_files(files: ProductFiles) -> list[str]:
    """Addresses of the files of a table, in the order in which they are read.

    Raises:
        DataError: if there are none.
        StorageError: if an object store cannot be reached.
    """
    store = Store(files.url)
    if files.url.lower().endswith(PARQUET) and not (store.is_local and store.path.is_dir()):
        return [files.url]
    if store.is_local and not store.path.is_dir():
        return [files.url]
    names = [name for name in store.names() if name.lower().endswith(PARQUET)]
    if not names and store.is_local:
        raise DataError(f"{files.url}: a folder without parquet files, expected a table of products. Put them there.")
    return [f"{store.url}/{name}" for name in names] or [files.url]


def opened(files: ProductFiles, workspace: Workspace) -> ProductSource:
    """See which columns a table has.

    Raises:
        DataError: if it is empty, of another encoding, or lacks a column or has one twice.
        StorageError: if it cannot be read.
    """
    found = found_files(files)
    if not Store(files.url).is_local:
        workspace.connection.register_filesystem(Store(found[0]).filesystem)
    if files.sha256 is not None:
        check_digests(Store(files.url).path, files.sha256, [])
    local = [str(Store(url).path) if Store(url).is_local else url for url in found]
    return _parquet(files, local, workspace) if _are_parquet(local) else _csv(files, local[0], workspace)


def _are_parquet(paths: Sequence[str]) -> bool:
    """Whether files are parquet: by their first bytes on a disk, by their names elsewhere."""
    first = Store(paths[0])
    return is_parquet(first.path) if first.is_local else paths[0].lower().endswith(PARQUET)


def _version(url: str) -> list[str]:
    try:
        return Store(url).version("")
    except FileNotFoundError as error:
        raise DataError(
            f"{url}: is not there, expected a table of products. Put it there, or correct its address in the catalog."
        ) from error


@contextmanager
def _bytes_of(path: str) -> Iterator[BinaryIO]:
    """A file; what gzip has compressed where it has."""
    try:
        with Path(path).open("rb") if Store(path).is_local else Store(path).filesystem.open(path, "rb") as stream:
            packed = stream.read(len(_GZIP)) == _GZIP
            stream.seek(0)
            yield cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if packed else stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unreadable(path, "a file compressed with gzip", error) from error
    except OSError as error:
        raise StorageError(
            f"{path}: could not be read ({error.strerror or error}). Give the same command again."
        ) from error


def _csv(files: ProductFiles, path: str, workspace: Workspace) -> ProductSource:
    file = CsvFile(lambda: _bytes_of(path), files.url, files.needed, files.layout)
    read, target = _read(files, file.header), workspace.folder / "records.parquet"
    file.write_parquet(target, read, files.names.image)
    columns = {name: f"c{place}" for place, name in enumerate(read)}
    source = f"read_parquet({file_list([str(target)])})"
    return ProductSource(_names(files, read), _as_text(files, columns, source, "record - 1"), files.layout, target)


def _parquet(files: ProductFiles, paths: list[str], workspace: Workspace) -> ProductSource:
    source = (
        f"read_parquet({file_list(paths)}, union_by_name = true, hive_partitioning = false, binary_as_string = true)"
    )
    types = dict(
        workspace.connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM {source})").fetchall()
    )
    if not set(files.needed) <= set(types):
        raise lacking(files.url, files.needed, types)
    id_type = types[files.names.id]
    if id_type in ("FLOAT", "DOUBLE") or id_type.startswith("DECIMAL"):
        raise DataError(
            f"{files.url}: {files.names.id} is of type {id_type}, expected whole numbers or text. Convert the column and write it again."
        )
    read, price = _read(files, list(types)), files.names.price
    numeric = files.labelled and types[price] != "VARCHAR"
    columns = {name: column_name(name) for name in read}
    if numeric:
        columns[price] = f"CAST({columns[price]} AS DOUBLE)"
    layout = Layout() if numeric else files.layout
    return ProductSource(_names(files, read), _as_text(files, columns, source, "row_number() OVER () - 1"), layout)


def _read(files: ProductFiles, header: Sequence[str]) -> list[str]:
    """Names of the columns that are read: the needed ones, then the others."""
    reserved = RESERVED if files.labelled else RESERVED[:2]
    taken = [name for name in header if name in reserved]
    if taken:
        raise DataError(
            f"{files.url}: has the column(s) {', '.join(map(repr, taken))}, which are names that partitions use themselves. Rename "
            "or remove them."
        )
    return list(dict.fromkeys([*files.needed, *_further(files, header)]))


def _further(files: ProductFiles, names: Sequence[str]) -> list[str]:
    """Columns that keep their names."""
    return [name for name in names if name and name not in (files.names.id, files.names.price, *INSIDE)]


def _names(files: ProductFiles, read: Sequence[str]) -> tuple[str, ...]:
    return (ID, TEXT, IMAGE, *([PRICE] if files.labelled else []), *_further(files, read))


def _as_text(files: ProductFiles, columns: Mapping[str, str], source: str, row: str) -> str:
    """The query of ``ProductSource``; ``columns`` are those that are read, in SQL."""
    own = files.names
    texts = {name: f"coalesce(CAST({column} AS VARCHAR), '')" for name, column in columns.items()}
    inside = {
        ID: f"trim({texts[own.id]}, {quoted(_BLANKS)})",
        TEXT: _joined(own, [_without_placeholder(texts[name]) for name in own.text]),
        IMAGE: _without_placeholder(texts[own.image]) if own.image else "''",
    }
    if files.labelled:
        inside[PRICE] = texts[own.price]
    inside |= {name: texts[name] for name in _further(files, list(columns))}
    named = ", ".join(f"{text} AS c{place}" for place, text in enumerate(inside.values()))
    if files.rows == "all":
        return f"SELECT {row} AS row, {named} FROM {source}"
    has_price = f"{_without_placeholder(texts[own.price])} <> ''"
    chosen = has_price if files.rows == "labelled" else f"NOT ({has_price})"
    numbered = f"SELECT *, {row} AS place FROM {source}"
    return f"SELECT row_number() OVER (ORDER BY place) - 1 AS row, {named} FROM ({numbered}) WHERE {chosen}"


def _without_placeholder(text: str) -> str:
    empty = ", ".join(map(quoted, ("", *EMPTY)))
    return f"CASE WHEN lower(trim({text}, {quoted(_BLANKS)})) IN ({empty}) THEN '' ELSE {text} END"


def _joined(own: ColumnNames, texts: Sequence[str]) -> str:
    """The SQL of ``ColumnNames.as_inside``."""
    if own.template is not None:
        by_name = dict(zip(own.text, texts, strict=True))
        pieces = [piece for plain, name in own.pieces for piece in (quoted(plain), by_name[name] if name else "''")]
        whole = f"trim({' || '.join(pieces)}, {quoted(_BLANKS)})"
        return f"CASE WHEN ({' || '.join(texts)}) = '' THEN '' ELSE {whole} END"
    if len(texts) < 2:
        return texts[0] if texts else "''"
    stripped = ", ".join(f"nullif(trim({text}, {quoted(_BLANKS)}), '')" for text in texts)
    return f"concat_ws(chr(10), {stripped})"
