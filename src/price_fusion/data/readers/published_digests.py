"""Files that must have the sha256 that their author published.

No format of embeddings but ours has a checksum: a flipped bit in a number is another number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from price_fusion.errors import DataError, ParameterError
from price_fusion.storage.files import sha256

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def check_digests(path: Path, expected: str | Mapping[str, str], read: Sequence[str]) -> None:
    """Compare files with their digests.

    Args:
        path: a file, or a folder.
        expected: the digest of a file; of a folder, or of several files, of each by its name.
        read: the names of files that will be read, within the folder or beside the file; each of several needs a digest.

    Raises:
        DataError: if a file is not there or has another digest.
        ParameterError: if a digest is none, or is missing.
    """
    if path.is_dir() or len(read) > 1:
        if isinstance(expected, str) or not set(read) <= set(expected):
            raise ParameterError(
                f"sha256 of {path}: found {_shown(expected)}, expected a mapping with the digest of each file that is "
                f"read: {', '.join(read)}. Write them below sha256 in the catalog entry."
            )
        folder = path if path.is_dir() else path.parent
        files = {folder / name: digest for name, digest in expected.items()}
    elif isinstance(expected, str):
        files = {path: expected}
    else:
        raise ParameterError(f"sha256 of {path}: found a mapping, expected the digest of this one file. Write it so.")
    for file, digest in files.items():
        _check(file, digest)


def _check(file: Path, digest: str) -> None:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ParameterError(
            f"sha256 of {file}: found {digest!r:.80}, expected 64 hexadecimal digits. Fix the catalog."
        )
    try:
        found = sha256(file)
    except OSError as error:
        raise DataError(f"{file}: could not be read ({error.strerror}), expected a file. Put it there.") from error
    if found != digest.lower():
        raise DataError(
            f"{file}: found the sha256 {found}, expected {digest.lower()}. It is damaged or another version: copy it again, "
            "or, if the new one is right, write its digest into the catalog."
        )


def _shown(expected: str | Mapping[str, str]) -> str:
    return "one digest" if isinstance(expected, str) else f"those of {', '.join(sorted(expected)) or 'no file'}"
