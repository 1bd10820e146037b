"""Delimited text files (CSV), read strictly: what is malformed is refused with its line, never repaired by guessing.

The parser is Python's, in its strict mode. That of pandas takes a NUL byte for the end of a field, joins what follows a
closing quote to the field, and fills up short records, all without a word.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from price_fusion.data.readers.file_kinds import kind_of_file, refuse_broken_link, unreadable
from price_fusion.data.readers.gzip_files import chunks
from price_fusion.data.readers.layout import Layout, as_utf8, undecodable
from price_fusion.data.readers.names import lacking
from price_fusion.data.readers.published_digests import check_digests
from price_fusion.errors import SHOWN, DataError, few

DELIMITERS = (",", ";", "\t", "|")
"""Looked for in the header where none is said."""
_OTHER_DELIMITER = " Fields are separated by commas, semicolons, tabs or '|'; say another character as 'delimiter:' in the catalog entry."
_HINT_OF_EXCEL = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=.?"?\s*[\r\n]', re.IGNORECASE)
"""A first line that says how fields are separated."""
LONGEST_FIELD = 1 << 24
"""Characters of a field; descriptions in HTML go beyond the 131,072 that Python's parser takes by default."""


@dataclass(frozen=True)
class Records:
    """The whole records of a file, as text."""

    columns: Mapping[str, Sequence[str]]
    """By the header's names; columns without a name are left out."""
    numbers: Sequence[int]
    """Of the records in the file; 1 is the first after the header, and blank lines do not count."""
    problems: list[DataError]
    """Records that are left out because they are empty or have too few or too many fields, and such as hold further records."""


def read_records(
    path: Path, needed: Sequence[str], layout: Layout, *, sha256: str | None = None, addresses: str | None = None
) -> Records:
    """Read a delimited file with a header.

    Args:
        path: the file, plain or compressed with gzip.
        needed: columns that it must have.
        layout: how it was written.
        sha256: hexadecimal digest that it must have.
        addresses: a needed column whose values are addresses on the web, mostly; they betray records in quoted fields.

    Raises:
        DataError: if it is missing, empty, not what ``sha256`` says, not of its encoding or malformed, or if it lacks a
            needed column, has two of one name, or no record.
        ParameterError: if ``sha256`` is no digest.
    """
    content = as_utf8(_bytes(path, needed, sha256), path, layout.encoding)
    if not content.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"{path}: found an empty file, expected a CSV with {', '.join(needed)}. Write it again.")
    try:
        delimiter = find_delimiter(content, needed, path, layout)
        header, *rows = records_of(_text(content), delimiter, path)
    except UnicodeDecodeError as error:
        raise undecodable(content, path, "utf-8") from error
    refuse_repeated_columns(header, path)
    if not rows:
        raise DataError(f"{path}: found a header and no products, expected at least one. Write the file again.")
    numbers: Sequence[int] = range(1, len(rows) + 1)
    problems: list[DataError] = []
    if empty := [number for number, row in enumerate(rows, start=1) if is_empty(row)]:
        problems += empty_records(empty, len(empty), path)
        numbers = [number for number, row in enumerate(rows, start=1) if not is_empty(row)]
        rows = [rows[number - 1] for number in numbers]
    if rows and set(map(len, rows)) != {len(header)}:
        numbered = list(zip(numbers, rows, strict=True))
        wrong = [(number, row) for number, row in numbered if len(row) != len(header)]
        problems.append(ragged(wrong, len(wrong), len(header), path))
        numbers = [number for number, row in numbered if len(row) == len(header)]
        rows = [row for row in rows if len(row) == len(header)]
    if addresses is not None:
        suspicious = swallowing(rows, numbers, header.index(addresses), delimiter)
        problems += swallowed_records(suspicious, path)
    values = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return Records({name: column for name, column in zip(header, values, strict=True) if name}, numbers, problems)


def _bytes(path: Path, needed: Sequence[str], sha256: str | None) -> bytes:
    refuse_broken_link(path)
    try:
        if sha256 is not None and path.is_file():
            check_digests(path, sha256, [])
        kind = kind_of_file(path)
        content = b"".join(chunks(path)) if kind is not None and kind.name == "gzip" else path.read_bytes()
    except PermissionError as error:
        raise unreadable(path, "", error) from error
    except OSError as error:
        raise DataError(
            f"{path}: could not be opened ({error.strerror or error}), expected a CSV with {', '.join(needed)}. "
            "Put it there, or correct its path in the catalog."
        ) from error
    return content


def _text(content: bytes) -> TextIO:
    # Line by line: one text of all of it would take four bytes a character as soon as one of them is an emoji.
    return io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")


def records_of(text: TextIO, delimiter: str, path: Path | str) -> Iterator[list[str]]:
    """All records that are not blank, the header first.

    Args:
        text: opened with ``newline=""``.
        delimiter: between fields.
        path: for messages.

    Raises:
        DataError: at a malformed record, with its lines.
        UnicodeDecodeError: of the text.
    """
    csv.field_size_limit(LONGEST_FIELD)
    reader, begins = csv.reader(text, delimiter=delimiter, strict=True), 1
    try:
        for row in reader:
            if len(row) > 1 or not _is_blank(row):
                yield row
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _malformed(path, begins, reader.line_num, str(error)) from error


def find_delimiter(content: bytes, needed: Sequence[str], path: Path | str, layout: Layout) -> str:
    """The delimiter under which the header holds the needed columns.

    Raises:
        DataError: if there is none, or more than one.
    """
    headers = {
        candidate: header_of(content, candidate)
        for candidate in ((layout.delimiter,) if layout.delimiter else DELIMITERS)
    }
    fitting = [candidate for candidate, header in headers.items() if set(needed) <= set(header)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DataError(
            f"{path}: its header can be read with {' and '.join(map(repr, fitting))} between fields. Say which in the "
            "catalog entry, as 'delimiter:'."
        )
    if _HINT_OF_EXCEL.match(content):
        raise DataError(
            f"{path}: begins with {content.splitlines()[0].decode(errors='replace')!r}, which only Excel understands, expected the "
            "names of the columns. Remove the first line."
        )
    header = max(headers.values(), key=lambda header: (len({*needed} & {*header}), len(header)))
    raise lacking(path, needed, header, _OTHER_DELIMITER if len(header) < len(needed) else "")


def header_of(content: bytes, delimiter: str) -> list[str]:
    """Names of the first line that is not blank, as far as it can be parsed."""
    try:
        return next(records_of(_text(content), delimiter, ""), [])
    except DataError:
        return []


def _malformed(path: Path | str, begins: int, line: int, reason: str) -> DataError:
    if "field larger than field limit" in reason:
        return DataError(
            f"{path}: the record that begins in line {begins} has a field of more than {LONGEST_FIELD:,} characters, expected "
            "a text of a product. Look there for a quote that is opened and never closed, or shorten the text."
        )
    return DataError(
        f"{path}: found a malformed CSV: the record that begins in line {begins} cannot be read beyond line {line} "
        f"({reason}), expected quotes around text that holds delimiters, quotes or newlines, quotes inside it doubled, and "
        "each quote closed. Fix the record, or write the file again."
    )


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def refuse_repeated_columns(header: Sequence[str], path: Path | str) -> None:
    """Refuse a header that has a name twice.

    Raises:
        DataError: with the names.
    """
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: found more than one column {', '.join(map(repr, twice))}, expected one of each name. Rename or remove "
            "the others."
        )


def is_empty(row: Sequence[str]) -> bool:
    """Whether a record has nothing in any of its fields."""
    return not any(map(str.strip, row))


def empty_records(first: Sequence[int], count: int, path: Path | str) -> list[DataError]:
    """An error for records without a single value, if there are any; the numbers of the first ``SHOWN`` suffice."""
    if not count:
        return []
    return [
        DataError(
            f"{path}: {count:,} record(s) with only empty fields, as spreadsheets leave them below a table: record {few(first, count)}; "
            "expected a product in each. Remove these lines."
        )
    ]


def ragged(wrong: Sequence[tuple[int, Sequence[str]]], count: int, width: int, path: Path | str) -> DataError:
    """The error for records with another number of fields than the header.

    Args:
        wrong: numbers of such records, and their fields; the first ``SHOWN`` suffice.
        count: how many there are.
        width: of the header.
        path: of the file.
    """
    shown = "; ".join(
        f"record {number} (beginning {','.join(row)[:40]!r}) has {len(row)}" for number, row in wrong[:SHOWN]
    )
    more = f"; and {count - SHOWN:,} further records" if count > SHOWN else ""
    return DataError(
        f"{path}: malformed CSV: {count:,} record(s) with another number of fields than the {width} of the header: "
        f"{shown}{more}. Put quotes around text that holds delimiters or newlines, or write the file again."
    )


def swallowing(rows: Sequence[Sequence[str]], numbers: Sequence[int], link: int, delimiter: str) -> list[int]:
    """Numbers of records with further records in a quoted field, as a stray quote makes them: valid CSV, one giant product.

    The address betrays them: such a field holds the address of its record, and the record then has more than one line that
    would make a record, with an address in its place.

    Args:
        rows: fields of records.
        numbers: of them.
        link: place of the field that mostly is an address on the web.
        delimiter: between fields.
    """
    return [
        number
        for number, row in zip(numbers, rows, strict=True)
        if sum(["\n" in field and "://" in field for field in row]) and _lines_like_records(row, link, delimiter) > 1
    ]


def swallowed_records(suspicious: Sequence[int], path: Path | str) -> list[DataError]:
    """An error for the records that ``swallowing`` found, if any."""
    if not suspicious:
        return []
    return [
        DataError(
            f"{path}: {len(suspicious):,} record(s) hold further records in a quoted field: record {few(suspicious)}; expected one "
            "product a record. Look there for a quote that is opened and never closed, or write the file again."
        )
    ]


def _lines_like_records(row: Sequence[str], link: int, delimiter: str) -> int:
    lines = (line.split(delimiter) for line in delimiter.join(row).splitlines())
    return sum(len(fields) == len(row) and "://" in fields[link] for fields in lines)
