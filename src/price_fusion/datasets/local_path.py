"""Paths of catalog entries that are on a disk."""

from __future__ import annotations

from pathlib import Path

from kedro.io.core import get_protocol_and_path

from price_fusion.datasets.errors import DatasetFileError


def local_path(filepath: str) -> Path:
    """The path that a catalog entry names, without ``file://``; ``~`` is spelt out where conf/ is read.

    Raises:
        DatasetFileError: for the address of a store: as a path, ``s3://shop`` would be a folder called ``s3:``.
    """
    protocol, path = get_protocol_and_path(filepath)
    if protocol != "file":
        raise DatasetFileError(
            f"{filepath}: the address of a store, expected a path on a disk. Copy the files to a disk, or mount the store as a "
            "folder. With compute.partitions, stores are read by entries with in_pieces: true (docs/scale.md)."
        )
    return Path(path)
