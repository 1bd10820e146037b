"""Product tables as DuckDB reads them: a CSV file, or files of parquet, on a disk or in an object store.

What must be so is as in ``tables/products.py``; nothing of a file is in memory but its first megabyte.
"""
# ruff: noqa: S608 - the SQL is made of our own names, and of quoted ones

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from price_fusion.errors import DataError, StorageError
from price_fusion.fusion.buckets.store import Store
from price_fusion.fusion.buckets.workspace import Workspace, file_list, quoted
from price_fusion.fusion.files import storage_errors
from price_fusion.fusion.tables.delimited import (
    Layout,
    as_utf8,
    find_delimiter,
    header_of,
    refuse_repeated_columns,
    undecodable,
)

ID, TEXT, LINK, PRICE = "sample_id", "catalog_content", "image_link", "price"
PARQUET = (".parquet", ".pq")
_HEAD = 1 << 20
"""Bytes of a CSV file in which its header must end."""
_BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What ``str.strip`` strips."""
_ETAGS = ("ETag", "etag", "checksum", "mtime", "LastModified", "updated", "created")


@dataclass(frozen=True)
class ProductFiles:
    """Where a table of products is."""

    url: str
    """Of a CSV file, a parquet file, or a folder of parquet files."""
    labelled: bool
    """Whether prices are wanted; without, they are dropped unread."""
    layout: Layout = field(default_factory=Layout)
    """Of a CSV file, and of prices that are text."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that there must be."""
        return (ID, TEXT, LINK, PRICE) if self.labelled else (ID, TEXT, LINK)


@dataclass(frozen=True)
class FoundFile:
    """A file, and what tells its versions apart."""

    url: str
    version: tuple[int, str]


@dataclass(frozen=True)
class ProductSource:
    """A table that can be read."""

    names: tuple[str, ...]
    """Of the columns: the needed ones first."""
    sql: str
    """A query that gives them as text, in this order, as ``c0``, ``c1``, ...; ids without outer blanks, "" for NULL."""
    layout: Layout
    """Of the prices; its delimiter is the file's."""
    places: tuple[int, ...] = ()
    """Of the columns in the header of a CSV file."""
    width: int = 0
    """Columns of that header, those that are not read included."""


def found_files(files: ProductFiles) -> list[FoundFile]:
    """The files of a table, in the order in which they are read.

    Raises:
        DataError: if there are none.
        StorageError: if an object store cannot be reached.
    """
    store = Store(files.url)
    if files.url.lower().endswith(PARQUET) and not (store.is_local and store.path.is_dir()):
        return [_found(files.url)]
    if store.is_local and not store.path.is_dir():
        return [_found(files.url)]
    names = [name for name in store.names() if name.lower().endswith(PARQUET)]
    if not names and store.is_local:
        raise DataError(f"{files.url}: a folder without parquet files, expected a table of products. Put them there.")
    return [_found(f"{store.url}/{name}") for name in names] or [_found(files.url)]


def opened(files: ProductFiles, workspace: Workspace) -> ProductSource:
    """See which columns a table has.

    Raises:
        DataError: if it is empty, of another encoding, or lacks a column or has one twice.
        StorageError: if it cannot be read.
    """
    found = [one.url for one in found_files(files)]
    if not Store(files.url).is_local:
        workspace.connection.register_filesystem(Store(found[0]).filesystem)
    local = [str(Store(url).path) if Store(url).is_local else url for url in found]
    return _parquet(files, local, workspace) if local[0].lower().endswith(PARQUET) else _csv(files, local[0], workspace)


def _found(url: str) -> FoundFile:
    store = Store(url)
    if store.is_local:
        try:
            status = store.path.stat()
        except OSError as error:
            raise DataError(
                f"{url}: could not be opened ({error.strerror or error}), expected a table of products. Put it there, or mend "
                "its path in the catalog."
            ) from error
        return FoundFile(url, (status.st_size, str(status.st_mtime_ns)))
    folder, _, name = url.rpartition("/")
    size = Store(folder).size(name)  # with errors of our own
    if size is None:
        raise DataError(f"{url}: is not there, expected a table of products. Put it there, or mend its address.")
    details = Store(url).filesystem.info(url)
    return FoundFile(url, (size, repr([str(details[key]) for key in _ETAGS if key in details])))


@contextmanager
def _bytes_of(path: str) -> Iterator[BinaryIO]:
    try:
        with Path(path).open("rb") if Store(path).is_local else Store(path).filesystem.open(path, "rb") as stream:
            yield stream
    except OSError as error:
        raise StorageError(
            f"{path}: could not be read ({error.strerror or error}). Give the same command again."
        ) from error


def _csv(files: ProductFiles, path: str, workspace: Workspace) -> ProductSource:
    encoding = files.layout.encoding
    if encoding is not None and codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        path = _converted(files.url, path, encoding, workspace.folder / "utf-8.csv")
    head = _head(files, path)
    origin = files.url
    try:
        delimiter = find_delimiter(head, files.needed, origin, files.layout)
        header = header_of(head, delimiter)
    except UnicodeDecodeError as error:
        raise undecodable(head, origin, "utf-8") from error
    refuse_repeated_columns(header, origin)
    names = _wanted(files, header)
    text = head.removeprefix(codecs.BOM_UTF8)
    blank_lines = text[: len(text) - len(text.lstrip())].count(b"\n")
    fields = ", ".join(f"'f{place}': 'VARCHAR'" for place in range(len(header)))
    source = (
        f"read_csv({file_list([path])}, auto_detect = false, header = true, skip = {blank_lines}, "
        f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', strict_mode = true, nullstr = '', comment = '', "
        f"compression = 'none', columns = {{{fields}}})"
    )
    return ProductSource(
        names,
        _as_text([f"f{header.index(name)}" for name in names], source),
        Layout(delimiter, None, files.layout.decimal, files.layout.thousands),
        tuple(header.index(name) for name in names),
        len(header),
    )


def _head(files: ProductFiles, path: str) -> bytes:
    """The first lines of a CSV file."""
    with _bytes_of(path) as stream:
        head = stream.read(_HEAD)
    if len(head) == _HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    origin = files.url
    head = as_utf8(head, origin, None)
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(
            f"{origin}: found an empty file, expected a CSV with {', '.join(files.needed)}. Write it again."
        )
    return head


def _converted(origin: str, path: str, encoding: str, target: Path) -> str:
    """The same text in UTF-8, in another file."""
    with _bytes_of(path) as stream, storage_errors(target), target.open("w", encoding="utf-8", newline="") as output:
        reader = io.TextIOWrapper(stream, encoding, newline="")
        try:
            text = reader.read(_HEAD).removeprefix("\ufeff")
            while text:
                output.write(text)
                text = reader.read(_HEAD)
        except UnicodeError as error:
            raise DataError(
                f"{origin}: found bytes that are not {encoding.upper()} ({error}). Say its encoding in its catalog entry, or "
                "convert it to UTF-8."
            ) from error
    return str(target)


def _parquet(files: ProductFiles, paths: list[str], workspace: Workspace) -> ProductSource:
    source = (
        f"read_parquet({file_list(paths)}, union_by_name = true, hive_partitioning = false, binary_as_string = true)"
    )
    types = dict(
        workspace.connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM {source})").fetchall()
    )
    missing = [name for name in files.needed if name not in types]
    if missing:
        raise DataError(
            f"{files.url}: lacks the column(s) {', '.join(missing)}; found {', '.join(map(repr, types))[:500]}; expected "
            f"{', '.join(files.needed)}. Rename or add them."
        )
    if types[ID] in ("FLOAT", "DOUBLE") or types[ID].startswith("DECIMAL"):
        raise DataError(
            f"{files.url}: sample_id is of type {types[ID]}, expected whole numbers or text. Convert the column and write it again."
        )
    names = _wanted(files, list(types))
    numeric = files.labelled and types[PRICE] != "VARCHAR"
    columns = ['"' + name.replace('"', '""') + '"' for name in names]
    if numeric:
        columns[names.index(PRICE)] = f"CAST({PRICE} AS DOUBLE)"
    layout = Layout() if numeric else files.layout
    return ProductSource(names, _as_text(columns, source), layout)


def _wanted(files: ProductFiles, header: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns that are read."""
    reserved = ("row", "group_key", *(("split", "half", "tuned_on") if files.labelled else ()))
    taken = [name for name in header if name in reserved]
    if taken:
        raise DataError(
            f"{files.url}: has the column(s) {', '.join(map(repr, taken))}, which are names that buckets use themselves. Rename "
            "or remove them."
        )
    further = (name for name in header if name and name not in (ID, TEXT, LINK, PRICE))
    return (*files.needed, *further)


def _as_text(columns: Sequence[str], source: str) -> str:
    texts = [f"coalesce(CAST({column} AS VARCHAR), '')" for column in columns]
    texts[0] = f"trim({texts[0]}, {quoted(_BLANKS)})"
    return f"SELECT {', '.join(f'{text} AS c{place}' for place, text in enumerate(texts))} FROM {source}"
