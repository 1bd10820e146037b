"""What alignment and models need of a table, wherever its rows are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids
from price_fusion.parameters import Source


class TableView(Protocol):
    """N rows of one source: an ``EmbeddingTable``, or one partition of many."""

    @property
    def source(self) -> str:
        """Name of the source."""

    @property
    def declaration(self) -> Source:
        """What its columns are."""

    @property
    def folder(self) -> Path | str:
        """Where it is, for messages."""

    @property
    def origin(self) -> str:
        """What it was made from, for messages."""

    @property
    def rows(self) -> int:
        """N."""

    @property
    def width(self) -> int:
        """D, of the vectors."""

    @property
    def structural_columns(self) -> int:
        """K."""

    @property
    def dtype(self) -> str:
        """Name of the type of the vectors."""

    @property
    def ids(self) -> Ids:
        """(N,)."""

    @property
    def vectors(self) -> Sequence[NDArray[np.floating[Any]]]:
        """Matrices of D columns that hold the N rows end to end."""

    @property
    def structural(self) -> NDArray[np.float32]:
        """(N, K)."""

    def rows_of(self, ids: Ids) -> NDArray[np.int64]:
        """Row of each id, -1 where the table does not have it."""
