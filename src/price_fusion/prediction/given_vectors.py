"""Vectors as callers have them: arrays, tensors, frames and lists, brought into one form.

Shapes: ``N`` products, ``W`` columns of a source.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.errors import DataError


class Vectors(NamedTuple):
    """The vectors of a source."""

    matrix: NDArray[Any]
    """(N, W) numbers."""
    missing: NDArray[np.bool_] | None
    """(N,) products without a vector, whose rows are 0; None: there are none."""


def vectors_of(source: str, given: Any, width: int) -> Vectors:
    """The vectors of a source from what a caller has.

    Args:
        source: its name, for messages.
        given: (N, W) array, tensor of any type and device, frame, or list of vectors, in which None is a missing one.
        width: W.

    Raises:
        DataError: naming the source, and the row of what is not a vector.
    """
    given = _as_array(source, given)
    if isinstance(given, np.ndarray) and given.dtype.kind in "fiu":
        return Vectors(given, None)
    if isinstance(given, np.ndarray) and given.dtype != object:
        raise DataError(f"source {source!r}: found an array of {given.dtype}, expected numbers. Convert it to float32.")
    if not isinstance(given, (list, tuple, np.ndarray)):
        raise DataError(
            f"source {source!r}: found {type(given).__name__}, expected an array, a tensor, a frame or a list of vectors of "
            f"{width} numbers each; leave the source out, or give None, where it is missing."
        )
    rows = [_vector(source, number, row, width) for number, row in enumerate(given)]
    missing = np.array([row is None for row in rows], dtype=bool)
    matrix = np.zeros((len(rows), width))
    for number, row in enumerate(rows):
        if row is not None:
            matrix[number] = row
    return Vectors(matrix, missing if missing.any() else None)


def _as_array(source: str, given: Any) -> Any:
    """A tensor, a frame or a masked array as an array; all else as it is."""
    if isinstance(given, pd.DataFrame):
        return given.to_numpy()
    if isinstance(given, np.ma.MaskedArray) and given.dtype.kind in "fiu":
        return np.ma.filled(given.astype(np.float64), np.nan)  # what a mask hides is not known, and NaN is refused
    if not hasattr(given, "detach"):
        return given
    try:  # a tensor; numpy has no bfloat16
        return given.detach().cpu().float().numpy()
    except (TypeError, RuntimeError) as error:
        raise DataError(
            f"source {source!r}: found a tensor that cannot be made an array ({str(error).splitlines()[0]}), expected a dense one "
            "of real numbers."
        ) from error


def _vector(source: str, number: int, row: Any, width: int) -> NDArray[np.float64] | None:
    if row is None:
        return None
    try:
        vector = np.asarray([np.nan if value is None else value for value in _as_array(source, row)], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"source {source!r}, row {number}: found {row!r:.80} ({error}), expected {width} numbers, or None for a missing "
            "vector. Fix the row."
        ) from error
    if vector.shape != (width,):
        raise DataError(
            f"source {source!r}, row {number}: found a vector of shape {vector.shape}, expected ({width},). Give one vector of "
            "that width per product."
        )
    return vector
