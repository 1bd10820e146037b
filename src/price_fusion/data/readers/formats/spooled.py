"""A matrix that arrives in blocks, through a file without a name: memory holds a block of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import DataError, StorageError


def spooled(blocks: Iterable[NDArray[Any]], origin: str) -> NDArray[Any]:
    """Blocks of rows, one after the other, as one matrix.

    Args:
        blocks: (rows, D), all of one width and type.
        origin: of the vectors, for messages.

    Returns:
        (N, D): the only block as it is, several as a mapped file of the temporary folder that has no name any more; (0, 0)
        where there is none.

    Raises:
        DataError: if blocks differ in width or type.
        StorageError: if the temporary folder has no room.
    """
    stream = (block for block in blocks if len(block))
    first = next(stream, None)
    if first is None:
        return np.empty((0, 0), np.float32)
    second = next(stream, None)
    if second is None:
        return first
    try:
        with tempfile.TemporaryFile() as file:
            rows = 0
            for block in _alike(chain([first, second], stream), origin):
                np.ascontiguousarray(block).tofile(file)
                rows += len(block)
            file.flush()
            return np.memmap(file, first.dtype, "r", shape=(rows, first.shape[1]))
    except OSError as error:
        folder = tempfile.gettempdir()
        raise StorageError(
            f"{origin}: its vectors do not fit in the temporary folder {folder} (TMPDIR; "
            f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB free), through which they pass ({error.strerror or error}). Set TMPDIR "
            "to a folder on a larger disk, or free some space, and give the same command again."
        ) from error


def _alike(blocks: Iterator[NDArray[Any]], origin: str) -> Iterator[NDArray[Any]]:
    first, rows = None, 0
    for block in blocks:
        first = block if first is None else first
        if block.shape[1:] != first.shape[1:] or block.dtype != first.dtype:
            raise DataError(
                f"{origin}: found vectors of width {block.shape[1]} and dtype {block.dtype} from row {rows:,} on, after such of "
                f"width {first.shape[1]} and dtype {first.dtype}; expected one width and one dtype. Write the vectors of one "
                "encoder only, all in one dtype."
            )
        yield block
        rows += len(block)
