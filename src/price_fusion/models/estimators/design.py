"""The design: a matrix of plain numbers made of a model's sources, with statistics of the rows that are fitted on.

Shapes: ``M`` rows asked for, ``D`` columns of the matrix. Sources stand side by side, each as ``Contribution`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from price_fusion.compute.progress import LoopProgress
from price_fusion.data.readers.rows import row_blocks
from price_fusion.errors import AlignmentError, DataError
from price_fusion.models.estimators.contribution import Amounts, Contribution, Matrix, fit_contribution
from price_fusion.models.features import Features
from price_fusion.parameters import Source
from price_fusion.parameters.base import Parameters

BLOCK_ROWS = 8_192
"""Rows brought to float32 or multiplied at a time: about 130 MB at the reference's widths."""
QUERY_ROWS = 512
"""Products compared with all fit rows at a time: four matrices of 140 MB for 70,000 fit rows."""

Rows = NDArray[np.int64]


class Design(Parameters):
    """Which columns come from which source, and how numbers are scaled."""

    sources: dict[str, Contribution]

    @property
    def width(self) -> int:
        """D."""
        return sum(source.width for source in self.sources.values())

    @property
    def embeddings(self) -> list[slice]:
        """Columns of each source's embedding."""
        return [embedding for _, embedding, _ in self._places() if embedding.start < embedding.stop]

    @property
    def columns(self) -> list[slice]:
        """Columns of each source beside its embedding."""
        return [columns for _, _, columns in self._places() if columns.start < columns.stop]

    def amounts(self, matrix: Matrix) -> Amounts | None:
        """How much of a product there is, read back from rows of the design, (M, D); None if no source says it."""
        for source, _, columns in self._places():
            if (found := source.amounts(matrix[:, columns])) is not None:
                return found
        return None

    def _places(self) -> Iterator[tuple[Contribution, slice, slice]]:
        """Each source, the columns of its embedding, and its other columns."""
        first = 0
        for source in self.sources.values():
            middle, end = first + source.source.embedding_width, first + source.width
            yield source, slice(first, middle), slice(middle, end)
            first = end

    def matrix(self, features: Features, rows: Rows) -> Matrix:
        """The matrix of products, (M, D).

        Args:
            features: of the sources that the design was fitted on, and perhaps others.
            rows: (M,) places among the features' products, in any order.

        Raises:
            AlignmentError: if the features lack a source.
            DataError: if a source's widths are not those that the design was fitted on.
        """
        self._check(features)
        matrix = np.zeros((len(rows), self.width), dtype=np.float32)
        for block in blocks(len(rows)):
            index = torch.from_numpy(np.ascontiguousarray(rows[block], dtype=np.int64)).to(features.device)
            first = 0
            for name, source in self.sources.items():
                batch = features.sources[name].batch(index, torch.device("cpu"))
                source.fill(matrix[block, first : first + source.width], batch)
                first += source.width
        return matrix

    def _check(self, features: Features) -> None:
        for name, design in self.sources.items():
            if name not in features.sources:
                raise AlignmentError(
                    f"the features lack source {name!r}, which the estimator was fitted on; they have "
                    f"{', '.join(features.sources)}. Give it, or fit again."
                )
            found = features.sources[name]
            widths = (found.vectors.shape[1], found.structural.shape[1])
            expected = (design.source.embedding_width, design.source.structural_columns)
            if widths != expected:
                raise DataError(
                    f"source {name!r} has {widths[0]} embedding and {widths[1]} structural columns, the estimator was "
                    f"fitted on {expected[0]} and {expected[1]}. Give the same files, or fit again."
                )


def fit_design(features: Features, sources: Mapping[str, Source], rows: Rows) -> Design:
    """Take the statistics of the rows that are fitted on; other rows are not used.

    Args:
        features: of products, with each of ``sources``.
        sources: as declared.
        rows: (F,) fit rows.
    """
    index = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int64)).to(features.device)
    known = {name: features.sources[name].structural_of(index).double().cpu().numpy() for name in sources}
    return Design(sources={name: fit_contribution(source, known[name]) for name, source in sources.items()})


def blocks(count: int, rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Slices that cover ``count`` rows, ``rows`` at a time."""
    return row_blocks(count, rows)


def shown_blocks(count: int, rows: int, label: str) -> Iterator[slice]:
    """``blocks`` of products with progress: comparing them with many stored rows takes minutes."""
    with LoopProgress(label, count, "products") as progress:
        for block in blocks(count, rows):
            yield block
            progress.advance(block.stop - block.start)


def even_blocks(count: int, most: int) -> Iterator[slice]:
    """Slices that cover ``count`` rows, at most so many at a time, all about as long."""
    number = -(-count // most)
    return (slice(count * place // number, count * (place + 1) // number) for place in range(number))


def drawn(count: int, most: int, seed: int) -> Rows:
    """Some of ``count`` rows at random, ascending, or all if they are not too many."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
