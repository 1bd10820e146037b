"""What a file is, by its first bytes: names lie, and a file of another format is neither damaged nor truncated.

Signatures are those that the formats' specifications give, or that their writers leave.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from price_fusion.errors import DataError
from price_fusion.storage.obstacles import unreadable_by_us

HEAD = 4096
"""Bytes of a file that are read."""
AS_ARRAYS = "write the vectors and the ids with numpy.save into a folder (file_format: npy)"
"""How embeddings in another format are to be written."""
AS_CSV = "write it with .to_csv(NEW_FILE, index=False)"
"""How tables in another format are to be written."""

_PICKLE = rb"\x80[\x00-\x05]"
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_PICKLE_OF_TEXT = re.compile(rb"[(][dlt(]|c[\w.]+\n\w+\n|[\])}]")
"""How pickles of protocol 0 begin; with what JSON does not."""


@dataclass(frozen=True)
class FileKind:
    """A format.

    Attributes:
        name: of the format, for code.
        found: what a message calls such a file.
        advice: what to do with it where another format is expected; ``{}`` stands for how to write it again.
    """

    name: str
    found: str
    advice: str


def _readable(name: str, found: str, call: str) -> FileKind:
    return FileKind(name, found, f"Read it with {call} and {{}}.")


def _packed(name: str, found: str, command: str) -> FileKind:
    return FileKind(name, found, f"Unpack it ({command}) and name what was in it in the catalog.")


_SIGNATURES: tuple[tuple[bytes, FileKind], ...] = (
    (rb"\x1f\x8b", _packed("gzip", "a file compressed with gzip", "gunzip FILE")),
    (rb"BZh[1-9]1AY&SY", _packed("bzip2", "a file compressed with bzip2", "bunzip2 FILE")),
    (rb"\xfd7zXZ\0", _packed("xz", "a file compressed with xz", "unxz FILE")),
    (rb"(?s)\]\0\0..\xff{8}", _packed("lzma", "a file compressed with LZMA", "unlzma FILE")),
    (rb"\x28\xb5\x2f\xfd", _packed("zstd", "a file compressed with Zstandard", "unzstd FILE")),
    (rb"\x04\x22\x4d\x18", _packed("lz4", "a file compressed with LZ4", "unlz4 FILE")),
    (rb"7z\xbc\xaf\x27\x1c", _packed("7z", "a 7-Zip archive", "7z x FILE")),
    (rb"Rar!\x1a\x07", _packed("rar", "a RAR archive", "unrar x FILE")),
    (rb"(?s).{257}ustar", _packed("tar", "a tar archive", "tar xf FILE")),
    (
        rb"(?s)x[\x01^\x9c\xda](?=.{0,15}[\0-\x08\x80-\xff])",
        _readable("zlib", "a file compressed with zlib (joblib does so)", "joblib.load(FILE)"),
    ),
    (
        rb"PK\x03\x04(?s:.){26}[^./\0]+\.npy",
        _packed("npz", "an .npz archive, a zip of .npy arrays", "unzip FILE -d FOLDER, then file_format: npy"),
    ),
    (
        rb"PK\x03\x04(?s:.){26}[^/]+/(?:data\.pkl|\.format_version|\.storage_alignment|byteorder|version)",
        _readable("torch", "a file of torch.save", "torch.load(FILE, map_location='cpu')"),
    ),
    (
        rb"PK\x03\x04(?s:.){26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/)",
        _readable("xlsx", "an Excel workbook", "pandas.read_excel(FILE, dtype=str)"),
    ),
    (rb"PK\x03\x04|PK\x05\x06", _packed("zip", "a zip archive", "unzip FILE")),
    (rb"\x93NUMPY", _readable("npy", "a .npy array", "numpy.load(FILE)")),
    (rb"PAR1", _readable("parquet", "a parquet file", "pandas.read_parquet(FILE)")),
    (rb"PARE", FileKind("encrypted parquet", "an encrypted parquet file", "Write it without encryption.")),
    (rb"ARROW1\0\0", _readable("arrow", "an Arrow IPC (Feather) file", "pandas.read_feather(FILE)")),
    (rb"FEA1", _readable("feather 1", "a Feather file of version 1", "pandas.read_feather(FILE)")),
    (rb"\xff\xff\xff\xff", _readable("arrow stream", "an Arrow IPC stream", "pyarrow.ipc.open_stream(FILE)")),
    (rb"ORC[\x00-\x1f\x80-\xff]", _readable("orc", "an ORC file", "pandas.read_orc(FILE)")),
    (rb"Obj\x01", _readable("avro", "an Avro file", "fastavro.reader")),
    (rb"\x89HDF\r\n\x1a\n", _readable("hdf5", "an HDF5 file", "h5py.File(FILE)")),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1", _readable("xls", "an old Excel workbook", "pandas.read_excel(FILE, dtype=str)")),
    (rb"SQLite format 3\0", _readable("sqlite", "an SQLite database", "pandas.read_sql")),
    (
        rb'(?s).{5}\0\0\0\{[ \n]*["}]',
        _readable("safetensors", "a safetensors file", "safetensors.numpy.load_file(FILE)"),
    ),
    (
        _PICKLE + rb"(?s:.)*joblib\.numpy_pickle",
        _readable("joblib", "a file of joblib.dump", "joblib.load(FILE)"),
    ),
    (
        _PICKLE + rb"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19",
        FileKind(
            "old torch",
            "a file of torch.save in its old format (before torch 1.6)",
            "Read it with torch.load(FILE, map_location='cpu') and write it again with torch.save.",
        ),
    ),
    (_PICKLE, _readable("pickle", "a pickle", "pickle.load")),
    (
        rb"version https://git-lfs\.github\.com/",
        FileKind("git lfs", "a pointer of Git LFS instead of the file", "Fetch the file with 'git lfs pull'."),
    ),
    (rb"%PDF-", FileKind("pdf", "a PDF document", "Name the file with the data in the catalog.")),
)
"""The first that matches counts."""
_KNOWN = tuple((re.compile(pattern), kind) for pattern, kind in _SIGNATURES)
_EMPTY = FileKind("empty", "an empty file (0 bytes)", "Copy or write it again.")
_ZEROS = FileKind("zeros", "zeros where the file should begin", "It was not copied to its end: copy it again.")
_HTML = FileKind("html", "a web page, as a download without permission leaves it", "Download the file again.")
_JSON = _readable("json", "JSON", "pandas.read_json(FILE), or json.load,")
_TEXT = _readable("text", "text, such as CSV", "pandas.read_csv(FILE, dtype=str)")


def kind_of(head: bytes) -> FileKind | None:
    """The format of a file.

    Args:
        head: its first bytes, ``HEAD`` of them where it has as many.

    Returns:
        the format, or None where it is none that is known.
    """
    if not head.strip(b"\0"):
        return _ZEROS if head else _EMPTY
    return next((kind for pattern, kind in _KNOWN if pattern.match(head)), None) or _kind_of_text(head)


def kind_of_file(path: Path) -> FileKind | None:
    """The format of a file on disk; None where it cannot be read, which its reader says better."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return None


def refuse_other_kind(
    kind: FileKind | None, origin: Path | str, wanted: Collection[str], expected: str, rewrite: str
) -> None:
    """Refuse a file of another format that is known.

    Args:
        kind: of the file.
        origin: its name, for messages.
        wanted: names of the formats that will do.
        expected: what they are, for messages.
        rewrite: how the contents of other formats are to be written, such as ``AS_CSV``.

    Raises:
        DataError: naming what it is and what to do.
    """
    if kind is not None and kind.name not in wanted:
        raise DataError(f"{origin}: found {kind.found}, expected {expected}. {kind.advice.replace('{}', rewrite)}")


def unreadable(path: Path | str, expected: str, error: Exception) -> DataError:
    """The error for a file that is of the format, and damaged or not ours to read."""
    if isinstance(error, PermissionError):
        return DataError(f"{path}: {unreadable_by_us(Path(path))}")
    reason = (str(error).strip().splitlines() or ["no details"])[0][:200]
    return DataError(
        f"{path}: could not be read ({type(error).__name__}: {reason}), expected {expected}. "
        "It may be truncated or damaged: copy or write it again."
    )


def _kind_of_text(head: bytes) -> FileKind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _CONTROL.search(text) or _PICKLE_OF_TEXT.match(text) or not _is_utf8(text):
        return None
    if re.match(rb"(?i)<!doctype|<html|<\?xml", text):
        return _HTML
    return _JSON if re.match(rb'\{|\[\s*[\[{"\d-]', text) else _TEXT


def _is_utf8(text: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def refuse_broken_link(path: Path) -> None:
    """Refuse a link that leads nowhere: to who lists its folder, the file is there.

    Raises:
        DataError: naming where it leads.
    """
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"{path}: a link to {path.readlink()}, where nothing is. Put the file there (is its disk mounted?), or correct the "
            "link."
        )
