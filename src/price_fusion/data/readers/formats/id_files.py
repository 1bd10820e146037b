"""Ids of the rows of an array, in a file of their own: ``.npy``, JSON, CSV or parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from price_fusion.data.readers.delimited import DELIMITERS, header_of, read_records
from price_fusion.data.readers.file_kinds import kind_of_file, refuse_other_kind, unreadable
from price_fusion.data.readers.layout import Layout, as_utf8
from price_fusion.data.readers.names import absent, chosen
from price_fusion.data.readers.rows import ID_NAMES
from price_fusion.errors import DataError
from price_fusion.lazy import pa, pq

_EXPECTED = "ids as a .npy array, JSON, CSV or parquet"
_REWRITE = "write the ids with numpy.save"


def read_id_file(path: Path, column: str | None, rows: int, usual: Sequence[str] = ID_NAMES) -> object:
    """The ids of the rows, in their order.

    Args:
        path: an array; a JSON list, or a JSON object from id to row number or from row number to id; or a table.
        column: of a table; by default one of a usual name, or the only one.
        rows: how many there are.
        usual: names of columns with ids.

    Raises:
        DataError: if the file is damaged, of another format, or its ids cannot be found.
    """
    kind = kind_of_file(path)
    refuse_other_kind(kind, path, KINDS_OF_IDS, _EXPECTED, _REWRITE)
    if kind is None:
        raise DataError(
            f"{path}: found a file of no known format, expected {_EXPECTED}. Name another in the catalog entry."
        )
    return _READERS[kind.name](path, column, rows, usual)


def _read_npy(path: Path, column: str | None, rows: int, usual: Sequence[str]) -> object:
    from price_fusion.data.readers.formats.npy_files import mapped_array

    return np.array(mapped_array(path, "ids.astype(str)"))


def _read_json(path: Path, column: str | None, rows: int, usual: Sequence[str]) -> object:
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: _once(pairs, path))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, "JSON", error) from error
    return _of_object(content, path, rows) if isinstance(content, dict) else content


def _once(pairs: Sequence[tuple[str, Any]], path: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 10_000 else []
        raise DataError(
            f"{path}: found {len(pairs) - len(found):,} key(s) more than once ({', '.join(twice[:5]) or '...'}), expected each id "
            "once. Write the file again."
        )
    return found


def _of_object(content: dict[str, Any], path: Path, rows: int) -> list[Any]:
    """Ids in the order of their rows, from an object that maps one to the other."""
    if len(content) == 1 and isinstance(next(iter(content.values())), list):
        ids: list[Any] = next(iter(content.values()))
        return ids
    numbers = list(range(rows))
    by_id = _places(content.values())
    by_row = _places(content)
    of_ids = [key for key, _ in sorted(content.items(), key=lambda item: item[1])] if by_id == numbers else None
    of_rows = [content[key] for key in sorted(content, key=int)] if by_row == numbers else None
    if of_ids is None and of_rows is None:
        raise DataError(
            f"{path}: found a JSON object with {len(content):,} keys, expected one from id to row number, or from row number to id, "
            f"with each of the rows 0 to {rows - 1:,} of the vectors once. Write the ids as a list in the order of the rows."
        )
    if of_ids is not None and of_rows is not None and of_ids != [str(one) for one in of_rows]:
        raise DataError(
            f"{path}: found a JSON object whose keys and values are the numbers 0 to {rows - 1:,}, which can be read from id to row "
            "and from row to id, expected ids in one order. Write them as a list in the order of the rows."
        )
    found = of_ids if of_ids is not None else of_rows
    assert found is not None  # noqa: S101 - for the type checker
    return found


def _places(values: Any) -> list[int] | None:
    """Whole numbers sorted; None where one is none."""
    try:
        return sorted(int(value) for value in values if not isinstance(value, bool | float))
    except (TypeError, ValueError):
        return None


def _read_csv(path: Path, column: str | None, rows: int, usual: Sequence[str]) -> object:
    content = as_utf8(path.read_bytes(), path, None)
    headers = {delimiter: header_of(content, delimiter) for delimiter in DELIMITERS}
    for delimiter, header in headers.items():
        if found := chosen(column, usual, header):
            return list(read_records(path, [found], Layout(delimiter=delimiter)).columns[found])
    header = headers[","]
    if column is None and len(header) == 1 and header[0]:
        return list(read_records(path, header, Layout(delimiter=",")).columns[header[0]])
    raise absent(path, "column", column or usual[0], header)


def _read_parquet(path: Path, column: str | None, rows: int, usual: Sequence[str]) -> object:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            found = chosen(column, usual, names) or (names[0] if column is None and len(names) == 1 else None)
            if found is None or names.count(found) > 1:
                raise absent(path, "column", column or usual[0], names)
            return file.read(columns=[found]).column(0).to_numpy()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, "a parquet file", error) from error


_READERS: dict[str, Callable[[Path, str | None, int, Sequence[str]], object]] = {
    "npy": _read_npy,
    "json": _read_json,
    "text": _read_csv,
    "parquet": _read_parquet,
}
KINDS_OF_IDS = tuple(_READERS)
"""Names of the formats that ids are read from."""
