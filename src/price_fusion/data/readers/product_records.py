"""Tables of products as text, whichever format they are in: delimited text, or parquet, a file or a folder of parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from price_fusion.data.readers.delimited import Records, empty_records, is_empty, read_records
from price_fusion.data.readers.file_kinds import kind_of_file, unreadable
from price_fusion.data.readers.layout import Layout
from price_fusion.data.readers.names import lacking
from price_fusion.data.readers.published_digests import check_digests
from price_fusion.errors import DataError
from price_fusion.lazy import pa, pq

_INDEX = "__index_level_"
"""How pandas names an index that nobody named."""


def read_product_records(
    path: Path, needed: Sequence[str], layout: Layout, *, sha256: str | None = None, addresses: str | None = None
) -> Records:
    """Read a table of products.

    Args:
        path: a delimited file, plain or compressed with gzip; a parquet file; or a folder of parquet files.
        needed: columns that it must have. The first holds ids.
        layout: how text was written.
        sha256: hexadecimal digest that a file must have.
        addresses: as of ``read_records``.

    Returns:
        all columns as text; of parquet, those that text can hold. Numbers of parquet are written as ``layout`` says.

    Raises:
        DataError: as of ``read_records``, likewise for parquet.
        ParameterError: if ``sha256`` is no digest.
    """
    files = files_of_products(path)
    if not path.is_dir() and not is_parquet(path):
        return read_records(path, needed, layout, sha256=sha256, addresses=addresses)
    if sha256 is not None:
        check_digests(path, sha256, [file.name for file in files])
    columns: dict[str, list[str]] = {}
    for file in files:
        of_file = _columns(_table(file), file, needed, layout)
        if columns and list(of_file) != list(columns):
            raise DataError(
                f"{file}: found the columns {_listed(of_file)}, expected those of {files[0].name!r}, {_listed(columns)}. Write the folder "
                "again."
            )
        for name, values in of_file.items():
            columns.setdefault(name, []).extend(values)
    return _records({name: tuple(values) for name, values in columns.items()}, path)


def is_parquet(path: Path) -> bool:
    """Whether a file is parquet, going by its first bytes."""
    kind = kind_of_file(path)
    return kind is not None and kind.name == "parquet"


def files_of_products(path: Path) -> list[Path]:
    """The files that ``read_product_records`` reads.

    Raises:
        DataError: if a folder holds other files than parquet.
    """
    return _parts(path) if path.is_dir() else [path]


def _parts(folder: Path) -> list[Path]:
    visible = sorted(one for one in folder.rglob("*") if one.is_file() and not one.name.startswith((".", "_")))
    others = [one for one in visible if not is_parquet(one)]
    if others or not visible:
        found = f"{others[0].name!r}, which is no parquet file" if others else "no file"
        raise DataError(
            f"{folder}: found a folder with {found}, expected a table of products: a CSV file, a parquet file, or a folder of nothing but "
            "parquet files. Correct its path in the catalog, or remove what is none."
        )
    return visible


def _table(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, "a parquet file of products", error) from error


def _columns(table: pa.Table, path: Path, needed: Sequence[str], layout: Layout) -> dict[str, list[str]]:
    names: list[str] = table.column_names
    if not set(needed) <= set(names):
        raise lacking(path, needed, names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: found more than one column {_listed(twice)}, expected one of each name. Rename the others."
        )
    id_type = table.schema.field(needed[0]).type
    if pa.types.is_floating(id_type) or pa.types.is_decimal(id_type):
        raise DataError(
            f"{path}: {needed[0]} is of type {id_type}, expected whole numbers or text. Convert the column and write it again."
        )
    wanted = [
        name
        for name in names
        if name in needed or (_is_plain(table.schema.field(name).type) and not name.startswith(_INDEX))
    ]
    return {name: _as_text(table.column(name), f"{path}, column {name!r}", layout) for name in wanted}


def _is_plain(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind) or pa.types.is_fixed_size_binary(kind))


def _as_text(column: pa.ChunkedArray, where: str, layout: Layout) -> list[str]:
    """A column as text; nothing where it is null or NaN."""
    try:
        if pa.types.is_floating(column.type):
            numbers = column.cast(pa.float64()).to_pylist()
            return ["" if one is None or one != one else repr(one).replace(".", layout.decimal) for one in numbers]
        texts = ["" if one is None else one for one in column.cast(pa.large_string()).to_pylist()]
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"{where}: found the type {column.type}, which is no text ({str(error)[:200]}), expected text or numbers. Convert it and "
            "write the file again."
        ) from error
    return [one.replace(".", layout.decimal) for one in texts] if pa.types.is_decimal(column.type) else texts


def _records(columns: dict[str, tuple[str, ...]], path: Path) -> Records:
    count = len(next(iter(columns.values())))
    if not count:
        raise DataError(f"{path}: found no products, expected at least one. Write the file again.")
    empty = [number for number, row in enumerate(zip(*columns.values(), strict=True), start=1) if is_empty(row)]
    if not empty:
        return Records(columns, range(1, count + 1), [])
    gone = set(empty)
    numbers = [number for number in range(1, count + 1) if number not in gone]
    kept = {name: tuple(values[number - 1] for number in numbers) for name, values in columns.items()}
    return Records(kept, numbers, empty_records(empty, len(empty), path))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))[:500]
