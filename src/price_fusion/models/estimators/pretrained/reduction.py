"""Fewer columns for models that take some hundreds: principal components of the wide parts of a design.

Shapes: ``F`` rows fitted on, ``M`` rows, ``D`` columns of the design, ``C`` columns left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.design import Design, blocks
from price_fusion.models.estimators.threads import threads_for

SMALLEST_SHARE = 1e-5
"""Of the largest component's variance: components of less may be rounding errors of float32."""

Values = NDArray[np.float64]


class _Part(NamedTuple):
    """Columns of the design and what they become."""

    columns: slice
    mean: Matrix
    """(width,) of the rows fitted on; (0,) where the columns stay as they are."""
    components: Matrix
    """(width, components); (0, 0) where the columns stay as they are."""


class Reduction:
    """Principal components of each part of a design that is wider than a limit; narrower parts stay as they are.

    Each source has two parts: its embedding, and its other columns. A product that lacks a source is a row of zeros there, in
    fitting as in predicting, and so has a place of its own among the components.

    Args:
        parts: of the design.
    """

    def __init__(self, parts: tuple[_Part, ...]) -> None:
        self._parts = parts

    @classmethod
    def fit(cls, design: Design, matrix: Matrix, most: int) -> Self:
        """Take the components of rows of a design, (F, D); at most ``most`` a part."""
        return cls(tuple(_fitted(matrix, part, most) for part in _parts(design)))

    @classmethod
    def read(cls, design: Design, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From ``arrays``."""
        return cls(
            tuple(
                _Part(part, arrays[f"mean.{place}"], arrays[f"components.{place}"])
                for place, part in enumerate(_parts(design))
            )
        )

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to write to disk."""
        return {
            f"{name}.{place}": getattr(part, name)
            for place, part in enumerate(self._parts)
            for name in ("mean", "components")
        }

    def reduced(self, matrix: Matrix) -> Matrix:
        """Rows of the design, (M, D), in fewer columns, (M, C)."""
        parts = [
            (matrix[:, part.columns] - part.mean) @ part.components if len(part.mean) else matrix[:, part.columns]
            for part in self._parts
        ]
        return np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)


def _parts(design: Design) -> list[slice]:
    return sorted([*design.embeddings, *design.columns], key=lambda part: part.start)


def _fitted(matrix: Matrix, part: slice, most: int) -> _Part:
    width = part.stop - part.start
    if width <= most:
        return _Part(part, np.empty(0, np.float32), np.empty((0, 0), np.float32))
    rows = matrix[:, part]
    with threads_for(2.0 * len(rows) * width**2 + 10.0 * width**3):
        mean, components = _principal(rows, most)
    return _Part(part, mean, components)


def _principal(rows: Matrix, most: int) -> tuple[Matrix, Matrix]:
    """Mean, (width,), and up to ``most`` components of rows, (width, components), by falling variance."""
    width = rows.shape[1]
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    gram: Values = np.zeros((width, width))
    for block in blocks(len(rows)):
        centred = rows[block] - mean
        gram += centred.T @ centred
    variances, vectors = linalg.eigh(gram, subset_by_index=(width - most, width - 1), overwrite_a=True)
    kept = vectors[:, variances > SMALLEST_SHARE * max(float(variances[-1]), 0.0)][:, ::-1]
    # An eigenvector's sign is arbitrary: the entry of largest size is positive.
    largest = kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])]
    return mean, np.ascontiguousarray(kept * np.sign(largest), dtype=np.float32)
