"""Digests of data frames, by which a checkpoint remembers the products and the split that it was trained on.

A frame may be a sample of a table that is too large for memory. Then its ``attrs``, which parquet files keep, say of how many
rows, and have the digests of the whole table: what was trained on all of it belongs to the sample, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from price_fusion.lazy import pd

_SAMPLE_OF = "sample_of"


def frame_fingerprint(frame: pd.DataFrame, of: str | None = None) -> str:
    """The same for the same values in the same order, whatever the index.

    Args:
        frame: a table, or a sample of one.
        of: the digest of the whole table that is meant, where the frame is a sample; None: digest the frame itself.
    """
    whole = frame.attrs.get(_SAMPLE_OF)
    if whole is not None and of in whole["digests"]:
        return str(whole["digests"][of])
    return hashlib.sha256(row_hashes(frame).tobytes()).hexdigest()


def row_hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """A hash of each row, (N,), by its values alone: those of parts of a frame end to end are those of the frame."""
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), np.uint64)


def mark_sample(frame: pd.DataFrame, rows: int, digests: Mapping[str, str]) -> None:
    """Have a frame say that it is a sample of a table of so many rows, with these digests by name."""
    frame.attrs[_SAMPLE_OF] = {"rows": rows, "digests": dict(digests)}


def rows_of_whole(frame: pd.DataFrame) -> int:
    """Rows of the table that a frame is, or is a sample of."""
    return int(frame.attrs.get(_SAMPLE_OF, {"rows": len(frame)})["rows"])


def is_sample(frame: pd.DataFrame) -> bool:
    """Whether a frame is a sample of a larger table."""
    return _SAMPLE_OF in frame.attrs
