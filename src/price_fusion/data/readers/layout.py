"""How a delimited text file was written: delimiter, encoding, number format."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from price_fusion.data.readers.file_kinds import AS_CSV, HEAD, kind_of, refuse_other_kind
from price_fusion.errors import DataError, ParameterError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8 = ("utf-8", "utf-8-sig")


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
    """Between whole and fractional digits."""
    thousands: str | None = None
    """Between groups of three digits of a price; none by default."""

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n\0 '):
            raise ParameterError(f"delimiter: found {self.delimiter!r}, expected one character such as ';'.")
        for name, value in (("decimal", self.decimal), ("thousands", self.thousands)):
            if value is not None and (
                not isinstance(value, str) or len(value) != 1 or value.isalnum() or value in '+-"'
            ):
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


def is_utf8(encoding: str | None) -> bool:
    """Whether an encoding is UTF-8, as is one that nothing is said of."""
    return encoding is None or codecs.lookup(encoding).name in _UTF8


def refuse_other_file(content: bytes, path: Path | str) -> None:
    """Refuse what begins as no text does.

    Raises:
        DataError: naming its format, and what to do.
    """
    refuse_other_kind(kind_of(content[:HEAD]), path, ("text", "empty"), "delimited text (CSV)", AS_CSV)


def as_utf8(content: bytes, path: Path | str, said: str | None) -> bytes:
    """The same text in UTF-8; what is in UTF-8 already is given back as it is, and not decoded yet.

    Raises:
        DataError: if it is not text at all, marked as something else, not what it is said to be, or holds NUL bytes.
    """
    refuse_other_file(content, path)
    refuse_other_marks(content, path, said)
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    if marked and said is None:
        raise DataError(
            f"{path}: found {marked.upper()} (by its byte order mark), expected UTF-8. Say 'encoding: {marked}' in its "
            "catalog entry, or convert it."
        )
    if said is not None and not is_utf8(said):
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


def refuse_other_marks(content: bytes, path: Path | str, said: str | None) -> None:
    """Refuse a file that begins with two byte order marks, or that does not match its declared encoding.

    Its first bytes show that, and decoding often does not: cp1252 takes nearly any bytes, UTF-16 any even number of them.

    Raises:
        DataError: naming what was found.
    """
    if content.startswith(codecs.BOM_UTF8 * 2):
        raise DataError(
            f"{path}: line 1 begins with two byte order marks (EF BB BF), expected one at most. A program added one to a file "
            "that had one: remove both, or write the file again as UTF-8."
        )
    if is_utf8(said):
        return
    marked = content.startswith(codecs.BOM_UTF8)
    wide = codecs.lookup(str(said)).name.startswith(("utf-16", "utf-32"))
    if marked or (wide and content and b"\0" not in content[:HEAD]):
        found = "the byte order mark of UTF-8 in line 1" if marked else "single-byte text in line 1"
        raise DataError(
            f"{path}: found {found}, but its catalog entry says 'encoding: {said}'. Remove 'encoding:' there if the file is in "
            "UTF-8, or say the encoding in which it was written."
        )


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
