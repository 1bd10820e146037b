"""Files compressed with gzip, unpacked for whoever reads what is in them. gzip has a CRC-32, which unpacking checks."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from price_fusion.data.readers.file_kinds import HEAD, kind_of, kind_of_file, unreadable
from price_fusion.data.readers.pickles.process import exchange_folder
from price_fusion.errors import StorageError

_CHUNK = 1 << 20


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or, where gzip has compressed it, a temporary file with what was in it.

    Raises:
        DataError: if it breaks off or is damaged.
        StorageError: if the temporary folder has no room.
    """
    kind = kind_of_file(path)
    if kind is None or kind.name != "gzip":
        yield path
        return
    with exchange_folder() as folder:
        target = folder / path.name.removesuffix(".gz")
        _write(target, chunks(path), path)
        yield target


def chunks(path: Path) -> Iterator[bytes]:
    """What gzip has compressed, a piece at a time.

    Raises:
        DataError: if it breaks off or is damaged.
    """
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, "a file compressed with gzip", error) from error


def head_inside(path: Path) -> bytes:
    """The first bytes of a file, or of what gzip has compressed in it, as ``kind_of`` asks for them.

    Raises:
        DataError: if it is damaged, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise unreadable(path, "a file", error) from error
    kind = kind_of(head)
    return next(chunks(path), b"")[:HEAD] if kind is not None and kind.name == "gzip" else head


def _write(target: Path, content: Iterator[bytes], path: Path) -> None:
    with target.open("wb") as file:
        for chunk in content:
            try:
                file.write(chunk)
            except OSError as error:
                folder = tempfile.gettempdir()
                raise StorageError(
                    f"{path}: what gzip has compressed does not fit in the temporary folder {folder} (TMPDIR; "
                    f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB free). Set TMPDIR to a folder on a larger disk, or unpack the file "
                    "(gunzip FILE), and give the same command again."
                ) from error
