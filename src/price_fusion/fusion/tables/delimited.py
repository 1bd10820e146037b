"""Delimited text files (CSV), read strictly: what is malformed is refused with its line and never mended by guessing.

The parser is Python's, in its strict mode. That of pandas takes a NUL byte for the end of a field, joins what follows a
closing quote to the field, and fills up short records, all without a word.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from price_fusion.errors import DataError, ParameterError
from price_fusion.fusion.tables.published_digests import check_digests

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = (",", ";", "\t", "|")
"""Looked for in the header where none is said."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8 = ("utf-8", "utf-8-sig")
SHOWN = 5
"""Records that a message names; the rest are counted."""


@dataclass(frozen=True)
class Layout:
    """How a file was written, as far as it cannot be seen from it.

    Raises:
        ParameterError: naming the argument that cannot be used.
    """

    delimiter: str | None = None
    """Between fields; by default the one of ``,``, ``;``, tab and ``|`` under which the header holds the needed columns."""
    encoding: str | None = None
    """As Python names them; UTF-8 by default, with or without a byte order mark."""
    decimal: str = "."
    """Between dollars and cents."""
    thousands: str | None = None
    """Between groups of three digits of a price; none by default."""

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n\0 '):
            raise ParameterError(f"delimiter: found {self.delimiter!r}, expected one character such as ';'.")
        for name, value in (("decimal", self.decimal), ("thousands", self.thousands)):
            if value is not None and (len(value) != 1 or value.isalnum() or value in '+-"'):
                raise ParameterError(f"{name}: found {value!r}, expected one character such as ','.")
        if self.decimal == self.thousands:
            raise ParameterError(f"decimal and thousands: found {self.decimal!r} for both, expected two characters.")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, ValueError) as error:
                raise ParameterError(
                    f"encoding: found {self.encoding!r} ({error}), expected one that Python knows, such as 'cp1252'."
                ) from error


@dataclass(frozen=True)
class Records:
    """The whole records of a file, as text."""

    columns: Mapping[str, Sequence[str]]
    """By the header's names; columns without a name are left out."""
    numbers: Sequence[int]
    """Of the records in the file; 1 is the first after the header, and blank lines do not count."""
    problems: list[DataError]
    """Records that are left out because they have too few or too many fields, and such as hold further records."""


def read_records(
    path: Path, needed: Sequence[str], layout: Layout, *, sha256: str | None = None, addresses: str | None = None
) -> Records:
    """Read a delimited file with a header.

    Args:
        path: the file.
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
        header, *rows = _parsed(content, delimiter, path)
    except UnicodeDecodeError as error:
        raise undecodable(content, path, "utf-8") from error
    refuse_repeated_columns(header, path)
    if not rows:
        raise DataError(f"{path}: found a header and no products, expected at least one. Write the file again.")
    numbers: Sequence[int] = range(1, len(rows) + 1)
    problems: list[DataError] = []
    if set(map(len, rows)) != {len(header)}:
        problems = [_ragged(rows, len(header), path)]
        numbers = [number for number, row in enumerate(rows, start=1) if len(row) == len(header)]
        rows = [rows[number - 1] for number in numbers]
    if addresses is not None:
        problems += swallowed_records(rows, numbers, header.index(addresses), delimiter, path)
    values = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return Records({name: column for name, column in zip(header, values, strict=True) if name}, numbers, problems)


def _bytes(path: Path, needed: Sequence[str], sha256: str | None) -> bytes:
    try:
        if sha256 is not None and path.is_file():
            check_digests(path, sha256, [])
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: could not be opened ({error.strerror or error}), expected a CSV with {', '.join(needed)}. "
            "Put it there, or mend its path in the catalog."
        ) from error
    return content


def as_utf8(content: bytes, path: Path | str, said: str | None) -> bytes:
    """The same text in UTF-8; what is in UTF-8 already is given back as it is, and not decoded yet.

    Raises:
        DataError: if it is marked as something else, not what it is said to be, or holds NUL bytes.
    """
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    if marked and said is None:
        raise DataError(
            f"{path}: found {marked.upper()} (by its byte order mark), expected UTF-8. Say 'encoding: {marked}' in its "
            "catalog entry, or convert it."
        )
    if said is not None and codecs.lookup(said).name not in _UTF8:
        try:
            content = content.decode(said).removeprefix("\ufeff").encode("utf-8")
        except UnicodeError as error:
            raise undecodable(content, path, said) from error
    nul = content.find(0)
    if nul >= 0:
        raise DataError(
            f"{path}: found a NUL byte in line {content.count(10, 0, nul) + 1} ({content.count(0):,} in all), expected text. "
            "The file is damaged, or in UTF-16 (then say 'encoding: utf-16-le' in its catalog entry): write it again."
        )
    return content


def undecodable(content: bytes, path: Path | str, encoding: str) -> DataError:
    """The error for bytes that are not of an encoding, with their place."""
    where = ""
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f" at byte {error.start} (0x{content[error.start]:02x}), line {line}"
    except UnicodeError as error:
        where = f" ({error})"
    return DataError(
        f"{path}: found bytes that are not {encoding.upper()}{where}. If it was written in another encoding, say so in its "
        "catalog entry, for example 'encoding: cp1252' (Excel on Windows), or convert it to UTF-8."
    )


def _reader(content: bytes, delimiter: str) -> Reader:
    # Line by line: one text of all of it would take four bytes a character as soon as one of them is an emoji.
    return csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), delimiter=delimiter, strict=True)


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
    nearest = max(headers.values(), key=lambda header: len(set(needed) & set(header)))
    missing = [name for name in needed if name not in nearest]
    similar = difflib.get_close_matches(missing[0], nearest, n=1)
    raise DataError(
        f"{path}: lacks the column(s) {', '.join(missing)}; found {', '.join(map(repr, nearest))[:500] or 'a malformed header'}"
        f"{f', of which {similar[0]!r} may be meant' if similar else ''}; expected {', '.join(needed)}, separated by commas, "
        "semicolons, tabs or '|' (another character must be said as 'delimiter:' in the catalog entry). Rename or add them."
    )


def header_of(content: bytes, delimiter: str) -> list[str]:
    """Names of the first line that is not blank, as far as it can be parsed."""
    reader = _reader(content, delimiter)
    try:
        return next(row for row in reader if not _is_blank(row))
    except (csv.Error, StopIteration):
        return []


def _parsed(content: bytes, delimiter: str, path: Path) -> list[list[str]]:
    """All records that are not blank, the header first."""
    try:
        rows = list(_reader(content, delimiter))
    except csv.Error as error:
        raise _malformed(content, delimiter, path) from error
    return [row for row in rows if len(row) > 1 or not _is_blank(row)]


def _malformed(content: bytes, delimiter: str, path: Path) -> DataError:
    reader, begins, reason = _reader(content, delimiter), 1, ""
    try:
        for _ in reader:
            begins = reader.line_num + 1
    except csv.Error as error:
        reason = str(error)
    return DataError(
        f"{path}: found a malformed CSV: the record that begins in line {begins} cannot be read beyond line {reader.line_num} "
        f"({reason}), expected quotes around text that holds delimiters, quotes or newlines, quotes inside it doubled, and "
        "each quote closed. Mend the record, or write the file again."
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


def _ragged(rows: Sequence[Sequence[str]], width: int, path: Path) -> DataError:
    wrong = [(number, row) for number, row in enumerate(rows, start=1) if len(row) != width]
    shown = "; ".join(
        f"record {number} (beginning {','.join(row)[:40]!r}) has {len(row)}" for number, row in wrong[:SHOWN]
    )
    more = f"; and {len(wrong) - SHOWN:,} further records" if len(wrong) > SHOWN else ""
    return DataError(
        f"{path}: malformed CSV: {len(wrong):,} record(s) with another number of fields than the {width} of the header: "
        f"{shown}{more}. Put quotes around text that holds delimiters or newlines, or write the file again."
    )


def swallowed_records(
    rows: Sequence[Sequence[str]], numbers: Sequence[int], link: int, delimiter: str, path: Path | str
) -> list[DataError]:
    """An error if a quoted field holds further records, as a stray quote makes it: valid CSV, and one giant product.

    The address betrays them: such a field holds the address of its record, and the record then has more than one line that
    would make a record, with an address in its place.
    """
    suspicious = [
        number
        for number, row in zip(numbers, rows, strict=True)
        if sum(["\n" in field and "://" in field for field in row]) and _lines_like_records(row, link, delimiter) > 1
    ]
    if not suspicious:
        return []
    shown = ", ".join(map(str, suspicious[:SHOWN])) + (", ..." if len(suspicious) > SHOWN else "")
    return [
        DataError(
            f"{path}: {len(suspicious):,} record(s) hold further records in a quoted field: record {shown}; expected one "
            "product a record. Look there for a quote that is opened and never closed, or write the file again."
        )
    ]


def _lines_like_records(row: Sequence[str], link: int, delimiter: str) -> int:
    lines = (line.split(delimiter) for line in delimiter.join(row).splitlines())
    return sum(len(fields) == len(row) and "://" in fields[link] for fields in lines)
